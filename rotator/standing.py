"""How each user stands: what was last seen of it, and how its last run ended. For people, metrics and proxies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from discovery.model import Authentication, User, UserKey
from proxy.directory import Credential
from rotator.engine import Outcome, Result
from rotator.headroom import Headroom
from rotator.observation import Secret, fallback, is_live, retired_before

__all__ = ["Care", "Standing", "TokenStanding", "care_of", "credential_of"]


class Care(StrEnum):
    """What Valkeeper does for a user; the words stand in the API."""

    MANAGED = "managed"  # rotated, and logged in
    RELEASED = "released"  # lost its tag: still logged in, never rotated
    IAM = "iam"  # logged in with tokens that are signed here
    PASSED_THROUGH = "passed-through"  # its own AUTH goes through untouched

    @property
    def has_secret(self) -> bool:
        """Whether Valkeeper logs the user in with a password of Secrets Manager, and so looks at it regularly."""
        return self in {Care.MANAGED, Care.RELEASED}


@dataclass(frozen=True, slots=True)
class TokenStanding:
    """How an IAM user's tokens stand."""

    databases: tuple[str, ...] = ()  # where it is logged in, sorted
    refusals: Mapping[str, str] = field(default_factory=dict)  # where it can't be, by database, and why
    expires_at: datetime | None = (
        None  # of the token that ends first, by this machine's clock; None: there is none
    )
    error: str | None = None  # why no new ones could be signed


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
    tokens: TokenStanding | None = None  # of an IAM user
    headroom: Headroom | None = None  # of its secret, when its versions were last counted

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
    def logged_in_at(self) -> tuple[str, ...]:
        """The databases where Valkeeper logs it in."""
        if self.care is Care.IAM:
            return self.tokens.databases if self.tokens is not None else ()
        return self.user.databases if self.care.has_secret and self.has_password else ()

    @property
    def state(self) -> str:
        """One word, or two, for a table."""
        if self.care is Care.IAM:
            return _token_state(self.tokens)
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
        if self.tokens is not None:
            refusals = (f"{database}: {reason}" for database, reason in sorted(self.tokens.refusals.items()))
            return "; ".join([*([self.tokens.error] if self.tokens.error is not None else []), *refusals])
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


def _token_state(tokens: TokenStanding | None) -> str:
    if tokens is None:
        return "new"
    if tokens.error is not None:
        return "failing"
    if tokens.refusals:
        return "blocked"
    return "fresh" if tokens.databases else "new"


def credential_of(standing: Standing) -> Credential | None:
    """What proxies log the user in with; None where Valkeeper holds no password, or does not log it in."""
    secret = standing.secret
    if not standing.care.has_secret or secret is None or secret.current is None:
        return None
    current, previous = secret.current, fallback(secret)
    if current.password is None:
        return None
    return Credential(
        key=str(standing.key),
        kind="released" if standing.care is Care.RELEASED else "managed",
        username=standing.user.name,
        version=current.id,
        current=current.password,
        previous=previous.password if previous is not None else None,
        made=current.created,
        previous_made=previous.created if previous is not None else None,
        retired_before=retired_before(secret),
    )


def care_of(user: User, before: Standing | None, released: set[UserKey]) -> Care:
    """What Valkeeper does for a user; `released`: those that lost their tag and have a secret of ours still."""
    if user.authentication is Authentication.IAM:
        return Care.IAM  # tagged or not: it has no password to rotate
    if user.managed:
        return Care.MANAGED
    if user.authentication is not Authentication.PASSWORD:
        return Care.PASSED_THROUGH
    was_ours = before is not None and before.care.has_secret and before.has_password
    return Care.RELEASED if was_ours or user.key in released else Care.PASSED_THROUGH
