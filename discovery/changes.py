"""What became different between two scans."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from discovery.model import Database, Inventory, User

__all__ = ["Change", "ChangeKind", "changes"]


class ChangeKind(StrEnum):
    """What happened; the words are the events in the log."""

    DATABASE_FOUND = "database_found"
    DATABASE_CHANGED = "database_changed"
    DATABASE_GONE = "database_gone"
    USER_FOUND = "user_found"
    USER_GONE = "user_gone"
    USER_TAGGED = "user_tagged"
    USER_UNTAGGED = "user_untagged"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened, to `subject`: as it is now, or as it last was where it is gone."""

    kind: ChangeKind
    subject: Database | User


def changes(old: Inventory, new: Inventory) -> tuple[Change, ...]:
    """What happened between two inventories: databases first, each in the order of names.

    A user counts as tagged or untagged where it was there before; one that is found says itself whether it is managed.
    """
    return (*_database_changes(old, new), *_user_changes(old, new))


def _database_changes(old: Inventory, new: Inventory) -> Iterator[Change]:
    for name in sorted(old.databases.keys() | new.databases.keys()):
        before, after = old.databases.get(name), new.databases.get(name)
        if after is None:
            if before is not None:
                yield Change(ChangeKind.DATABASE_GONE, before)
        elif before is None:
            yield Change(ChangeKind.DATABASE_FOUND, after)
        elif before != after:
            yield Change(ChangeKind.DATABASE_CHANGED, after)


def _user_changes(old: Inventory, new: Inventory) -> Iterator[Change]:
    for key in sorted(old.users.keys() | new.users.keys()):
        before, after = old.users.get(key), new.users.get(key)
        if after is None:
            if before is not None:
                yield Change(ChangeKind.USER_GONE, before)
        elif before is None:
            yield Change(ChangeKind.USER_FOUND, after)
        elif before.managed != after.managed:
            yield Change(ChangeKind.USER_TAGGED if after.managed else ChangeKind.USER_UNTAGGED, after)
