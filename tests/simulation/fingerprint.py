"""The whole state as one number: the same for two paths that nothing could tell apart from here on.

A state has three parts: the world, and each instance with its proxy. Random strings (passwords, version ids, requests'
ids) are replaced by the order in which they come up. Of times only what can matter is kept: how far off they are, or
that they have passed. What a run knows is read off its own frames: where it stands, and what its local variables hold.
"""

import asyncio
import dataclasses
import enum
import hashlib
import marshal
import re
from datetime import datetime, timedelta

from pydantic import BaseModel, SecretStr

from discovery.errors import AwsError
from discovery.model import Database, Inventory, User, UserKey
from rotator.observation import Observation
from tests.simulation.aws import Endpoint
from tests.simulation.calls import at
from tests.simulation.walk import LONGEST_WAIT

__all__ = ["Part", "State", "numbered", "state_of"]

_SHORT = 20  # characters up to which nothing is made by chance
_RANDOM = re.compile(r"[0-9A-Za-z]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Passwords and ids. What holds one, such as a version's JSON, is as random."""
_WALL_CLOCK = 1e8  # seconds from which on a number is a moment of the real world's, for people
_TOLD = frozenset({"_", "asked_by", "result", "rotation", "row", "self", "standing", "steps"})
"""Variables and fields that are only told to people, or hold nothing that is not in the instance's memory as well.

`_` counts the turns of a run, of which there may be 40: more than the longest path has room for.
"""
_LEFT_OVER = {
    ("run", "_observe"): {"performed", "seen", "step"},
    ("run", "_plan"): {"performed", "step"},
    ("run", "_perform"): {"performed"},
    ("run", "_sleep"): {"performed", "seen", "step"},
    ("_settle", "_sleep"): {"state"},
    ("_settle", "read"): {"state"},
}
"""By function and the one it waits for: variables that it will not read again."""
_GIVEN = frozenset({User, UserKey, Database, Inventory, Endpoint})  # the same on every path


@dataclasses.dataclass(slots=True, frozen=True)
class Part:
    """What there is to know of the world, or of one instance with its proxy."""

    digest: bytes  # with the random strings numbered in the order in which they come up here
    names: tuple[str, ...]  # the random strings, in that order


@dataclasses.dataclass(slots=True, frozen=True)
class State:
    """Everything that anything later can depend on."""

    world: Part
    instances: tuple[Part, ...]
    left: tuple[tuple[int, int], ...]  # of each instance: the crashes and pauses that it may still have

    def fingerprint(self):
        """64 bits for all but the faults that are left, and these.

        The instances are alike, so it is the same if they change places. Of a million states, two are taken for one
        with a chance of 1 to 37 million (n²/2⁶⁵).
        """
        pairs = tuple(zip(self.instances, self.left, strict=True))
        return min(self._in_order(order) for order in (pairs, pairs[::-1]))

    def _in_order(self, pairs):
        parts = (self.world, *[part for part, _ in pairs])
        _, ranks = numbered(parts)
        digest = _hashed((ranks, *[part.digest for part in parts]))
        return int.from_bytes(digest[:8]), tuple([left for _, left in pairs])


def state_of(walk):
    """The state of a `walk.Walk`. What has not changed since it was read is not read again."""
    return State(
        _read(walk, walk.world, _world_values(walk)),
        tuple([_read(walk, one, _instance_values(walk, one)) for one in walk.instances]),
        tuple([(walk.crashes[one], walk.pauses[one]) for one in walk.instances]),
    )


def numbered(parts):
    """The different random strings of all parts, each with its number; and the numbers of all, one after the other."""
    numbers = {}
    return numbers, tuple([numbers.setdefault(name, len(numbers)) for part in parts for name in part.names])


def _read(walk, whose, values):
    part = walk.parts.get(whose)
    if part is None:
        reader = _Reader(at(walk.world.now))
        digest = _hashed(tuple([reader.read(value) for value in values]))
        part = walk.parts[whose] = Part(digest, tuple(reader.names))
    return part


def _hashed(plain):
    """Of nothing but tuples, strings and numbers: the same in every process."""
    return hashlib.blake2b(marshal.dumps(plain, 2), digest_size=16).digest()


def _world_values(walk):
    """Everything outside the instances that anything later can depend on."""
    for subject in walk.world.subjects.values():
        secret, record = subject.secret, subject.record
        yield secret is not None, subject.labels
        if secret is not None:
            for version_id in secret.versions:
                value = subject.value(version_id)
                yield version_id, value.password, value.succeeds, value.retire, value.ours
        yield record.passwords, record.status
        yield tuple(endpoint.taken[subject.id] for endpoint in subject.endpoints)
        yield tuple(endpoint in record.to_take for endpoint in subject.endpoints)
        yield walk.audit.histories[subject.id].upset is not None


def _instance_values(walk, instance):
    """The same of an instance and its proxy."""
    now = walk.world.now
    yield instance.up, walk.paused[instance]
    yield tuple(instance.proxy.directory.credentials.values()), walk.channels[instance]
    if not instance.up:
        return
    door = instance.rotations
    yield instance.engine._pacing._memories, instance.vault._versions
    yield tuple(instance.catalogue.directory.credentials.values())
    yield tuple(door._entries.values()), {key: _off(when - now) for key, when in door._queue._at.items()}
    yield tuple(instance.serves(key, version) for key, version in _served(instance))
    for task in instance.tasks:
        yield tuple(_frames(task.coroutine))
        yield _off(walk.timers[task] - now) if task in walk.timers else None


def _off(seconds):
    """How far off a moment is: no walk lasts until one that is as far off as the next regular look."""
    return round(min(max(seconds, 0.0), LONGEST_WAIT), 2)


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
        self.names = {}
        self._records = {}  # by identity, as runs hold the same ones in many places: each with what was read of it

    def read(self, value):  # noqa: PLR0911  called a million times, so without a table
        """What of a value matters."""
        kind = type(value)
        if value is None or kind is bool or kind is int:
            return value
        if kind is str:
            if len(value) <= _SHORT or not _RANDOM.search(value):
                return value
            return self.names.setdefault(value, len(self.names))
        if kind in {tuple, list}:
            return tuple([self.read(one) for one in value])
        if kind in _GIVEN:
            return None
        if kind is dict:
            return tuple([(self.read(key), self.read(one)) for key, one in value.items()])
        return self._record(value, kind)

    def _record(self, value, kind):
        fields = self._fields.get(kind)
        if fields is None:
            known = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
            fields = self._fields[kind] = tuple(one.name for one in known if one.name not in _TOLD)
        if not fields:
            return self._rare(value)
        _, read = self._records.get(id(value), (None, None))
        if read is None:
            read = kind.__name__, tuple([self.read(getattr(value, name)) for name in fields])
            if kind is Observation:  # it dates what is remembered of a step, however late that is made
                read = (*read, round((self._now - value.now).total_seconds(), 2))
            self._records[id(value)] = value, read
        return read

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
        (datetime, lambda self, value: _off((value - self._now).total_seconds())),
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
