"""Runs all sources, keeps each one's last good answer, and says what changed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from discovery.changes import Change, changes
from discovery.errors import DiscoveryError
from discovery.merge import Reading, merge, not_found
from discovery.model import Database, Inventory
from discovery.source import Answer, Skipped, Source

__all__ = ["SOURCE_TIMEOUT", "Scanner"]

_log = structlog.get_logger(__name__)

SOURCE_TIMEOUT = timedelta(seconds=60)  # three attempts of 20 seconds are what boto3 makes of a dead endpoint


class Scanner:
    """Reads sources side by side into one inventory.

    A source that fails, or takes longer than `timeout`, keeps its last good answer; so a database is gone only when its
    source has answered without it. At its first scan a scanner waits for every source to answer or fail, since names
    depend on all of them; afterwards `on_inventory` is told of each answer as it comes, so that none waits for another.

    Args:
        sources: what to read; their names are unique.
        timeout: how long one reading of one source may take.
        on_inventory: told of every inventory whose databases or users differ from those of the one before.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        timeout: timedelta = SOURCE_TIMEOUT,
        on_inventory: Callable[[Inventory], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = tuple(sources)
        self._timeout = timeout.total_seconds()
        self._on_inventory = on_inventory
        self._clock = clock
        self._readings: dict[str, Reading] = {source.name: Reading(source.name) for source in self._sources}
        if len(self._readings) != len(self._sources):
            raise ValueError("two sources have the same name")
        self._heard = set[str]()  # sources that have answered or failed at least once
        self._inventory = Inventory()
        self._not_found = set[Skipped]()
        self._scanning = asyncio.Lock()

    @property
    def inventory(self) -> Inventory:
        """What is known now; empty before the first scan."""
        return self._inventory

    async def scan(self) -> Inventory:
        """Read every source once, and return what is known then. Never fails because of a source.

        Callers that come while a scan runs wait, and get one that began after they asked.
        """
        async with self._scanning:
            async with asyncio.TaskGroup() as group:
                for source in self._sources:
                    group.create_task(self._read(source))
            return self._inventory

    async def _read(self, source: Source) -> None:
        old = self._readings[source.name]
        try:
            async with asyncio.timeout(self._timeout):
                answer = await source.read()
        except DiscoveryError as error:
            new = self._failed(old, str(error))
        except TimeoutError:
            new = self._failed(old, f"no answer within {self._timeout:g} seconds")
        except Exception as error:  # noqa: BLE001  a bug in one source must not take the others along
            _log.exception("source_broken", source=source.name)
            new = self._failed(old, f"unexpected {type(error).__name__}: {error}")
        else:
            new = self._answered(old, answer)
        self._readings[source.name] = new
        self._heard.add(source.name)
        if len(self._heard) == len(self._sources):
            self._take_over()

    def _failed(self, old: Reading, error: str) -> Reading:
        if error != old.error:
            age = None if old.read_at is None else round(self._clock() - old.read_at)
            _log.warning("source_failed", source=old.source, error=error, last_good_seconds_ago=age)
        return Reading(old.source, old.answer, old.read_at, error)

    def _answered(self, old: Reading, answer: Answer) -> Reading:
        if old.error is not None:
            _log.info("source_recovered", source=old.source)
        known = set() if old.answer is None else set(old.answer.skipped)
        for one in answer.skipped:
            if one not in known:
                say = _log.debug if one.passing else _log.info
                say("resource_skipped", source=old.source, resource=one.resource, reason=one.reason)
        return Reading(old.source, answer, self._clock())

    def _take_over(self) -> None:
        old, self._inventory = self._inventory, merge(self._readings.values())
        self._say_not_found()
        for change in changes(old, self._inventory):
            _say(change)
        changed = old.databases != self._inventory.databases or old.users != self._inventory.users
        if self._on_inventory is not None and changed:
            self._on_inventory(self._inventory)

    def _say_not_found(self) -> None:
        """Once for each, until it is found."""
        missing = set(not_found(self._readings.values()))
        for one in sorted(missing - self._not_found, key=lambda one: one.resource):
            _log.info("resource_skipped", source="static", resource=one.resource, reason=one.reason)
        self._not_found = missing


def _say(change: Change) -> None:
    subject = change.subject
    if isinstance(subject, Database):
        _log.info(
            change.kind.value, database=subject.name, endpoint=str(subject.endpoint), labels=subject.labels
        )
    else:
        _log.info(
            change.kind.value,
            user=str(subject.key),
            user_name=subject.name,
            managed=subject.managed,
            authentication=subject.authentication,
            databases=subject.databases,
        )
