"""The whole state as one number: the same for two paths that nothing could tell apart from here on.

Random strings (passwords, version ids, requests' ids) are replaced by the order in which they come up. Of times only
what can matter is kept: how far off a timer is, and whether another moment has passed. What a run knows is read off its
own frames: where it stands, and what its local variables hold.
"""

import asyncio
import dataclasses
import enum
from datetime import datetime, timedelta

from pydantic import BaseModel, SecretStr

from discovery.errors import AwsError
from discovery.model import Database, Inventory, User, UserKey
from tests.simulation.calls import at

__all__ = ["fingerprint"]

_RANDOM = 20  # characters from which on a string is a name made by chance
_WALL_CLOCK = 1e8  # seconds from which on a number is a moment of the real world's, for people
_TOLD = frozenset({"asked_by", "result", "rotation", "row", "self", "standing", "steps"})
"""Variables and fields that are only told to people, or hold nothing that is not in the instance's memory as well."""
_LEFT_OVER = {("run", "_observe"): {"performed", "seen", "step"}, ("_settle", "_sleep"): {"state"}}
"""By function and the one it waits for: variables that it will not read again."""
_GIVEN = frozenset({User, UserKey, Database, Inventory})  # the same on every path


def fingerprint(walk):
    """A number for the state of a `walk.Walk`. The two instances are alike, so it is the same if they change places."""
    return min(_hash(walk, order) for order in (walk.instances, walk.instances[::-1]))


def _hash(walk, instances):
    reader = _Reader(at(walk.world.now))
    return hash(tuple([reader.read(part) for part in _parts(walk, instances)]))


def _parts(walk, instances):
    """Everything that anything later can depend on."""
    now = walk.world.now
    for subject in walk.world.subjects.values():
        secret, record = subject.secret, subject.record
        yield subject.labels
        if secret is not None:
            for version_id in secret.versions:
                yield version_id, dataclasses.astuple(subject.value(version_id))
        yield record.passwords, record.status
        yield tuple(endpoint.taken[subject.id] for endpoint in subject.endpoints)
        yield tuple(endpoint in record.to_take for endpoint in subject.endpoints)
        yield walk.audit.histories[subject.id].upset is not None
    for instance in instances:
        yield instance.up, walk.paused[instance], walk.crashes[instance], walk.pauses[instance]
        yield tuple(instance.proxy.directory.credentials.values()), walk.channels[instance]
        if not instance.up:
            continue
        door = instance.rotations
        yield instance.engine._pacing._memories, instance.vault._versions
        yield tuple(instance.catalogue.directory.credentials.values())
        yield (
            tuple(door._entries.values()),
            {key: round(when - now, 2) for key, when in door._queue._at.items()},
        )
        yield tuple(instance.serves(key, version) for key, version in _served(instance))
        for task in instance.tasks:
            yield tuple(_frames(task.coroutine))
            yield round(walk.timers[task] - now, 2) if task in walk.timers else None


def _served(instance):
    return [(one.key, one.version) for one in instance.catalogue.directory.credentials.values()]


def _frames(coroutine):
    """Each frame of a run: where it is, and its variables."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            return
        waits_for = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
        name = frame.f_code.co_name
        skipped = _LEFT_OVER.get((name, getattr(waits_for, "__name__", None)), ())
        known = frame.f_locals.items()
        yield name, frame.f_lasti, [one for one in known if one[0] not in _TOLD and one[0] not in skipped]
        coroutine = waits_for


class _Reader:
    """Turns values into what can be hashed, and names what is random."""

    _fields = {}  # noqa: RUF012  a cache: what the fields of a type are called

    def __init__(self, now):
        self._now = now
        self._names = {}

    def read(self, value):  # noqa: PLR0911  called a million times, so without a table
        """What of a value matters."""
        kind = type(value)
        if value is None or kind is bool or kind is int:
            return value
        if kind is str:
            return self._names.setdefault(value, len(self._names)) if len(value) >= _RANDOM else value
        if kind in {tuple, list}:
            return tuple([self.read(one) for one in value])
        if kind in _GIVEN:
            return None
        if kind is dict:
            return tuple([(self.read(key), self.read(one)) for key, one in value.items()])
        names = self._fields.get(kind)
        if names is None:
            known = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
            names = self._fields[kind] = (
                kind.__name__,
                tuple(one.name for one in known if one.name not in _TOLD),
            )
        if names[1]:
            return names[0], tuple([self.read(getattr(value, name)) for name in names[1]])
        return self._rare(value)

    def _rare(self, value):
        for kinds, read in self._RARE:
            if isinstance(value, kinds):
                return read(self, value)
        return type(value).__name__

    _RARE = (
        (SecretStr, lambda self, value: self.read(value.get_secret_value())),
        (enum.Enum, lambda _, value: str(value)),
        (str, lambda self, value: self.read(str(value))),
        (float, lambda _, value: None if value > _WALL_CLOCK else round(value, 2)),
        (datetime, lambda self, value: value <= self._now),
        (timedelta, lambda _, value: value.total_seconds()),
        (tuple, lambda self, value: tuple(self.read(one) for one in value)),
        (set | frozenset, lambda self, value: tuple(sorted((self.read(one) for one in value), key=repr))),
        (
            BaseModel,
            lambda self, value: (type(value).__name__, tuple(self.read(one) for _, one in value)),
        ),
        (AwsError, lambda _, value: (type(value).__name__, value.code)),
        (asyncio.Future, lambda _, value: value.done()),
    )
    """How to read a value by its type: the first that fits."""
