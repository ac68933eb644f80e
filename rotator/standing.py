"""How each user stands: what was last seen of it, and how its last run ended. For people, metrics and proxies."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from discovery.model import User, UserKey
from proxy.directory import Credential
from rotator.engine import Outcome, Result
from rotator.observation import Secret, is_live

__all__ = ["Care", "Standing", "credential_of"]


class Care(StrEnum):
    """What Valkeeper does for a user; the words stand in the API."""

    MANAGED = "managed"  # rotated, and logged in
    RELEASED = "released"  # lost its tag: still logged in, never rotated
    PASSED_THROUGH = "passed-through"  # its own AUTH goes through untouched


@dataclass(frozen=True, slots=True)
class Standing:
    """One user, as far as this instance knows."""

    user: User
    care: Care
    secret: Secret | None = None  # as last read
    due: datetime | None = None  # of the next rotation, by AWS's clock
    outcome: Outcome | None = None  # of the last run
    error: str | None = None  # why the last run failed; None: it did not
    failures: int = 0  # in a row
    rotated_at: float | None = None  # seconds since the epoch: this instance's last promotion of it

    @property
    def key(self) -> UserKey:
        """Which user."""
        return self.user.key

    @property
    def has_password(self) -> bool:
        """Whether Valkeeper holds a password that logs it in."""
        current = self.secret.current if self.secret is not None else None
        return current is not None and current.password is not None

    @property
    def state(self) -> str:
        """One word, or two, for a table."""
        if self.care is not Care.MANAGED:
            return str(self.care)
        if self.error is not None:
            return "failing"
        if self.outcome is not None and self.outcome.result is Result.LEFT:
            return "blocked"
        if self.secret is not None and is_live(self.secret):
            return "rotating" if self.has_password else "adopting"
        return "fresh" if self.has_password else "new"

    @property
    def reason(self) -> str:
        """What is wrong, and what to do; empty where all is well."""
        if self.error is not None:
            return self.error
        if self.outcome is not None and self.outcome.result in {Result.LEFT, Result.WAITING}:
            return self.outcome.reason
        return ""

    def password_age(self, now: datetime) -> float | None:
        """Seconds since AWSCURRENT was made, by AWS's clock."""
        current = self.secret.current if self.secret is not None else None
        if current is None or current.password is None:
            return None
        return max(0.0, (now - current.created).total_seconds())


def credential_of(standing: Standing) -> Credential | None:
    """What proxies log the user in with; None where Valkeeper holds no password, or does not log it in."""
    secret = standing.secret
    if standing.care is Care.PASSED_THROUGH or secret is None or secret.current is None:
        return None
    current, previous = secret.current, secret.previous
    if current.password is None:
        return None
    return Credential(
        key=str(standing.key),
        kind="released" if standing.care is Care.RELEASED else "managed",
        username=standing.user.name,
        version=current.id,
        current=current.password,
        previous=previous.password if previous is not None and not current.retire else None,
    )
