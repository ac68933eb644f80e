"""Many sources' answers, fresh or old, to one inventory (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from discovery.model import Inventory, SourceState, User, UserKey
from discovery.names import Claim, resolve
from discovery.source import Answer, FoundDatabase

__all__ = ["Reading", "merge"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source's last attempt went, and the last good answer it gave.

    Attributes:
        source: the source's name.
        answer: the last good answer; None where there was none yet.
        read_at: when that was, in seconds since the epoch.
        error: why the last attempt failed; None where it did not.
    """

    source: str
    answer: Answer | None = None
    read_at: float | None = None
    error: str | None = None

    @property
    def state(self) -> SourceState:
        """The same for people, without the answer."""
        stale = self.error is not None and self.answer is not None
        return SourceState(self.source, self.read_at, self.error, stale=stale)


def merge(readings: Iterable[Reading]) -> Inventory:
    """The inventory that the readings together describe.

    Two sources may overlap. Of a database or user that both know, the newer reading is believed; such a user reaches
    what either says that it reaches.
    """
    every = tuple(readings)
    found: dict[str, FoundDatabase] = {}
    users: dict[UserKey, User] = {}
    for reading in sorted(every, key=lambda reading: reading.read_at or 0.0):
        if reading.answer is None:
            continue
        found |= {one.key: one for one in reading.answer.databases}
        for user in reading.answer.users:
            known = users.get(user.key)
            reach = user.databases if known is None else (*known.databases, *user.databases)
            users[user.key] = replace(user, databases=reach)
    names = resolve(Claim(one.key, one.database.name, one.suffix, one.fixed) for one in found.values())
    named = {names[key]: replace(one.database, name=names[key]) for key, one in found.items()}
    return Inventory(
        databases={name: named[name] for name in sorted(named)},
        users={key: _named(users[key], names) for key in sorted(users)},
        sources=tuple(reading.state for reading in every),
    )


def _named(user: User, names: dict[str, str]) -> User:
    return replace(user, databases=tuple(sorted({names[key] for key in user.databases if key in names})))
