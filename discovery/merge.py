"""Many sources' answers, fresh or old, to one inventory (pure)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from discovery.model import Database, Inventory, SourceState, User, UserKey
from discovery.names import Claim, resolve
from discovery.source import Answer, FoundDatabase, Skipped

__all__ = ["Reading", "merge", "not_found"]


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

    A static database stands in for the discovered one that it means: there is one database then, by the static one's
    name, and whoever reaches the discovered one reaches it.
    """
    every = tuple(readings)
    found: dict[str, FoundDatabase] = {}
    users: dict[UserKey, User] = {}
    stands_for: dict[str, str] = {}  # key of a static database → key of the discovered one
    for reading in sorted(every, key=lambda reading: reading.read_at or 0.0):
        if reading.answer is None:
            continue
        found |= {one.key: one for one in reading.answer.databases}
        stands_for |= {static: one.key for one in reading.answer.databases for static in one.stood_in_by}
        for user in reading.answer.users:
            known = users.get(user.key)
            reach = user.databases if known is None else (*known.databases, *user.databases)
            users[user.key] = replace(user, databases=reach)
    stands_for = {static: key for static, key in stands_for.items() if static in found}
    replaced = set(stands_for.values())
    databases = {
        key: _standing_in(one.database, found[stands_for[key]].database)
        if key in stands_for
        else one.database
        for key, one in found.items()
        if key not in replaced
    }
    names = resolve(
        Claim(key, one.database.name, one.suffix, one.fixed) for key, one in found.items() if key in databases
    )
    named = {names[key]: replace(one, name=names[key]) for key, one in databases.items()}
    reached_as: dict[str, set[str]] = {key: {name} for key, name in names.items()}
    for static, key in stands_for.items():
        reached_as.setdefault(key, set()).add(names[static])
    return Inventory(
        databases={name: named[name] for name in sorted(named)},
        users={key: _named(users[key], reached_as) for key in sorted(users)},
        sources=tuple(reading.state for reading in every),
    )


def not_found(readings: Iterable[Reading]) -> tuple[Skipped, ...]:
    """The static databases on AWS endpoints that none of the sources found which look for them; all have answered."""
    answers = {reading.source: reading.answer for reading in readings if reading.answer is not None}
    every = [one for answer in answers.values() for one in answer.databases]
    known = {static for one in every for static in one.stood_in_by}
    return tuple(
        Skipped(
            f"static database {one.database.name}",
            f"nothing that {' and '.join(one.sought_in)} found has its endpoint {one.database.endpoint}, so it is served"
            " without looking after its users; for a host name of your own set aws.type and aws.resource_id",
        )
        for one in every
        if one.sought_in and one.key not in known and all(source in answers for source in one.sought_in)
    )


def _standing_in(static: Database, found: Database) -> Database:
    """What an operator wrote, on top of what AWS knows. The kind is AWS's: tokens and calls depend on it."""
    return replace(
        found,
        name=static.name,
        endpoint=static.endpoint,
        tls=static.tls,
        upstream_mode=static.upstream_mode,
        labels={**found.labels, **static.labels},
        handed_on=static.handed_on,
        description=static.description or found.description,
    )


def _named(user: User, reached_as: dict[str, set[str]]) -> User:
    names = {name for key in user.databases for name in reached_as.get(key, ())}
    return replace(user, databases=tuple(sorted(names)))
