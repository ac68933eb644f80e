"""The access keys that the sandbox knows: whose they are, what they sign with, and when they end."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["AccessKey", "KeyRing"]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key, of a user or of an assumed role's session."""

    id: str
    secret: str = field(repr=False)
    account: str
    arn: str  # of the caller, as GetCallerIdentity tells it
    session_token: str | None = field(default=None, repr=False)  # None: a user's, which does not expire
    expires_at: float | None = None  # seconds since the epoch
    user_id: str = ""  # of the caller, too; of a session AROA…:name

    def has_expired(self, now: float) -> bool:
        """Whether its session is over."""
        return self.expires_at is not None and now >= self.expires_at


class KeyRing:
    """All of them, by id; safe from any thread.

    Args:
        elsewhere: Finds the key of an id that was not added, if there is one.
    """

    def __init__(self, elsewhere: Callable[[str], AccessKey | None] = lambda _: None) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, AccessKey] = {}
        self._elsewhere = elsewhere

    def add(self, key: AccessKey) -> None:
        """Know a key from now on."""
        with self._lock:
            self._keys[key.id] = key

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of an id; None: nobody's."""
        with self._lock:
            key = self._keys.get(access_key_id)
        return key or self._elsewhere(access_key_id)
