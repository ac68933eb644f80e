"""Who of a database's IAM users gets in, and the record of it."""

import dataclasses
import secrets
import threading
import time
from collections import deque
from typing import Any

from deploy.sandbox.cache import Cache
from deploy.sandbox.iam_tokens import TokenRefused, check_token
from deploy.sandbox.keys import KeyRing

__all__ = ["Admission", "GateLog"]

_REMEMBERED = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    time: float
    service: str
    account: str
    region: str
    database: str
    user: str
    accepted: bool
    reason: str  # empty where it was accepted


class GateLog:
    """The latest logins of IAM users; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[_Entry] = deque(maxlen=_REMEMBERED)
        self._sequence = 0

    def note(self, cache: Cache, user: str, reason: str = "") -> None:
        """Note a login, and why it was refused if it was."""
        with self._lock:
            self._sequence += 1
            self._entries.append(
                _Entry(
                    self._sequence,
                    time.time(),
                    cache.service,
                    cache.account,
                    cache.region,
                    cache.name,
                    user,
                    accepted=not reason,
                    reason=reason,
                )
            )

    def since(self, sequence: int) -> list[dict[str, Any]]:
        """Return the logins after `sequence`, as far as they are remembered."""
        with self._lock:
            return [dataclasses.asdict(entry) for entry in self._entries if entry.sequence > sequence]


class Admission:
    """Exchanges a valid token for the password that the database's servers know, and no one else."""

    def __init__(self, cache: Cache, keys: KeyRing, log: GateLog) -> None:
        self._cache = cache
        self._keys = keys
        self._log = log
        self.gate_password = secrets.token_hex(32)
        self.iam_users: frozenset[str] = frozenset()
        """The names of those that log in with tokens; replaced whole, by any thread."""

    def judge(self, user: bytes, password: bytes) -> bytes:
        """Return the password to give to the server: what the client gave, unless it is a valid token."""
        name = user.decode(errors="replace")
        if name not in self.iam_users:
            return password
        try:
            check_token(
                password.decode(errors="replace"),
                cache=self._cache,
                user_name=name,
                keys=self._keys,
                now=time.time(),
            )
        except TokenRefused as refusal:
            # No server knows it as a password, and refuses it in its own words.
            self._log.note(self._cache, name, str(refusal))
            return password
        self._log.note(self._cache, name)
        return self.gate_password.encode()
