"""What the scanner asks of a source, and what a source answers."""

from dataclasses import dataclass
from typing import Protocol

from discovery.model import Database, DatabaseKind, User

__all__ = ["Answer", "FoundDatabase", "Skipped", "Source"]


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A database as one source sees it; its `name` is the one it wants, and may still give way to another's.

    Attributes:
        key: what makes it the same database in every scan and on every instance.
        database: everything known of it.
        sought_in: of a static database on an AWS endpoint, the sources that look for it.
        stood_in_by: of one found in AWS, the keys of the static databases that stand in for it.
    """

    key: str
    database: Database
    sought_in: tuple[str, ...] = ()
    stood_in_by: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """What its name gets on a clash; nothing outside AWS."""
        place = self.database.place
        return "" if place is None else f"-{self.database.kind}-{place.region}-{place.account}"

    @property
    def fixed(self) -> bool:
        """Whether its name was written down by an operator, and so never gives way."""
        return self.database.kind is DatabaseKind.STATIC


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was seen and left out, and why.

    `passing` says that it is likely to be taken in later without anybody's doing.
    """

    resource: str
    reason: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole reading of a source. A user's `databases` hold keys of `FoundDatabase` here, not names."""

    databases: tuple[FoundDatabase, ...] = ()
    users: tuple[User, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class Source(Protocol):
    """A place where databases and users are found."""

    @property
    def name(self) -> str:
        """What it is called in logs and in `Inventory.sources`; unique among the sources of a scanner."""

    async def read(self) -> Answer:
        """Read it whole: what the answer leaves out does not exist.

        Raises:
            DiscoveryError: it could not be read whole.
        """
