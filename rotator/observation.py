"""What is observed of one user before each step, as frozen values, and what follows from a secret's labels alone."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import SecretStr

from discovery.model import Authentication, UserStatus
from rotator.attributes import Amendment, Attributes
from rotator.headroom import Headroom

__all__ = [
    "Logins",
    "Observation",
    "Secret",
    "Version",
    "due_at",
    "fallback",
    "is_live",
    "is_orphan",
    "retired_before",
    "version_token",
]

_NAMESPACE = uuid.UUID("6f0c4a4e-6a3b-4a53-9f0e-2d3c1a7b5e90")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a user's secret. Its content never changes; its labels stand in `Secret`."""

    id: str
    created: datetime  # AWS's CreatedDate
    password: SecretStr | None = None  # None: seeded, or not ours to read
    succeeds: str | None = None  # the version id of AWSCURRENT when this one was staged
    retire: bool = False  # once promoted, the old password is dropped at once
    retired_before: datetime | None = (
        None  # of versions older than this one: those made before then were retired
    )
    ours: bool = True  # carries Valkeeper's mark
    readable: bool = True  # is JSON in AWS's own form


@dataclass(frozen=True, slots=True)
class Secret:
    """A user's secret: which versions hold the three staging labels."""

    arn: str
    current: Version | None = None  # AWSCURRENT
    previous: Version | None = None  # AWSPREVIOUS
    pending: Version | None = None  # AWSPENDING
    deleted: bool = False  # scheduled for deletion: unreadable until it is restored
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(frozen=True, slots=True)
class Logins:
    """How often one password was accepted, rejected, or could not be tried, over all endpoints of a user."""

    accepted: int = 0
    rejected: int = 0
    unreachable: int = 0

    @property
    def everywhere(self) -> bool:
        """Every endpoint accepted."""
        return self.accepted > 0 and self.rejected == 0 and self.unreachable == 0


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the next step depends on, read from AWS in one turn."""

    now: datetime  # by AWS's clock
    interval: timedelta
    status: UserStatus
    secret: Secret | None  # None: there is none of that name
    enabled: bool = True
    authentication: Authentication = Authentication.PASSWORD
    password_count: int = 1  # as DescribeUsers tells it
    endpoints: int = 1
    logins: Mapping[str, Logins] = field(default_factory=dict)  # by version id; missing: not asked yet
    wanted: bool = False  # somebody asked for a rotation that has not happened yet
    wanted_retire: bool = False  # … and that the old password is dropped at once
    force: bool = False  # … and that a foreign pending version is taken over
    acknowledged: bool = True  # every connected proxy logs in with AWSCURRENT
    apply_not_before: datetime | None = None  # backoff after earlier tries to apply the pending version
    heals: int = 0  # within the last interval, by this instance
    amendment: Amendment | None = (
        None  # of the secret's attributes; None: there is none, or it was tried lately
    )
    headroom: Headroom | None = None  # for another version; None: the versions were not counted


def is_live(secret: Secret) -> bool:
    """Whether AWSPENDING holds a successor of AWSCURRENT that is on its way."""
    pending = secret.pending
    return (
        pending is not None
        and secret.current is not None
        and pending.ours
        and pending.password is not None
        and pending.id != secret.current.id
        and (secret.previous is None or pending.id != secret.previous.id)
        and pending.succeeds == secret.current.id
    )


def is_orphan(secret: Secret) -> bool:
    """Whether AWSPENDING holds a version of ours that succeeds what is AWSCURRENT no longer: staged over when due."""
    pending = secret.pending
    taken = {version.id for version in (secret.current, secret.previous) if version is not None}
    return pending is not None and pending.ours and pending.id not in taken and not is_live(secret)


def due_at(secret: Secret, interval: timedelta) -> datetime | None:
    """When AWSCURRENT is to be succeeded, by AWS's clock; None: at once, since it holds no password yet."""
    if secret.current is None or secret.current.password is None:
        return None
    return secret.current.created + interval


def retired_before(secret: Secret) -> datetime | None:
    """Versions made before this were retired, and what they opened ends; None: no retirement is known.

    Each version carries on what the one before it knew, so nobody is away for too long to hear of it. AWSPREVIOUS is
    asked too, since a version that was put by hand knows nothing. Never later than AWSCURRENT: what an operator has moved
    back there is in use again.
    """
    current = secret.current
    if current is None:
        return None
    moments = [
        moment
        for version in (current, secret.previous)
        if version is not None
        for moment in (version.created if version.retire else None, version.retired_before)
        if moment is not None and moment <= current.created
    ]
    return max(moments, default=None)


def fallback(secret: Secret) -> Version | None:
    """AWSPREVIOUS, where it has a password that may stay valid beside AWSCURRENT's: one that was not retired."""
    current, previous = secret.current, secret.previous
    if current is None or current.retire or previous is None or previous.password is None:
        return None
    moment = retired_before(secret)
    return None if moment is not None and previous.created < moment else previous


def version_token(secret: Secret) -> str:
    """The version id of the successor: the same for all who saw the same labels, so that one of them wins.

    A version id is 32 to 64 characters (Secrets Manager's ClientRequestToken).
    """
    labels = (secret.current, secret.previous, secret.pending)
    return str(uuid.uuid5(_NAMESPACE, "|".join([secret.arn, *(v.id if v else "none" for v in labels)])))
