"""The steps that the plan gives: what is to be done with one user next. Values; `rotator.engine` performs them."""

from dataclasses import dataclass
from datetime import datetime

from rotator.attributes import Amendment
from rotator.observation import Version

__all__ = [
    "Amend",
    "Apply",
    "Ask",
    "Count",
    "Heal",
    "Idle",
    "Leave",
    "Promote",
    "Retire",
    "Seed",
    "Settle",
    "Stage",
    "Step",
    "Wait",
]


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until the user is active again."""


@dataclass(frozen=True, slots=True)
class Seed:
    """Create the secret if it is missing, and its first version, without a password."""

    create: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Try to log in with a version's password on every endpoint, then plan again."""

    version: Version


@dataclass(frozen=True, slots=True)
class Count:
    """Count the secret's versions of the last day, then plan again."""


@dataclass(frozen=True, slots=True)
class Heal:
    """Make AWSCURRENT work again: set exactly these versions' passwords."""

    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Promote:
    """Move AWSCURRENT from one version to the other, if it is still where it was seen."""

    version: Version
    current: Version


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the pending version's password valid beside the current one."""

    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """Set the current password alone: the old one ends now."""

    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Put a new password as AWSPENDING under a token that only one writer can win."""

    token: str
    succeeds: str
    retire: bool


@dataclass(frozen=True, slots=True)
class Amend:
    """Set the secret's KMS key, description and tags where they are not as configured. Makes no version."""

    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing now: look again when `until` has come (None: soon)."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """Not to be touched: a person has to change something. The reason says what."""

    reason: str


@dataclass(frozen=True, slots=True)
class Idle:
    """All is well until the next rotation is due."""

    due: datetime


Step = Settle | Seed | Ask | Count | Heal | Promote | Apply | Retire | Stage | Amend | Wait | Leave | Idle
