"""The APScheduler jobs: discovery at its interval, one for the whole queue of users at its earliest time, one for files."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator.rotations import Rotations

__all__ = ["Schedule"]

_WATCH_EVERY = 2  # seconds

# Late jobs run late rather than never (APScheduler drops them after a second unless told otherwise).
_JOB = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


class Schedule:
    """Says when; what is done is others' business.

    Args:
        discover: one discovery pass.
        discovery_interval: how often.
        group: in which rotations run.
    """

    def __init__(
        self,
        discover: Callable[[], Awaitable[object]],
        discovery_interval: timedelta,
        group: asyncio.TaskGroup,
    ) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=_JOB)
        self._discover = discover
        self._interval = discovery_interval
        self._group = group
        self._rotations: Rotations | None = None

    def start(self, rotations: Rotations) -> None:
        """Begin: discovery at once, rotations as they fall due."""
        self._rotations = rotations
        self._scheduler.add_job(
            self._discover,
            IntervalTrigger(seconds=self._interval.total_seconds(), timezone=UTC),
            id="discovery",
            next_run_time=datetime.now(UTC),
        )
        self._scheduler.start()
        self.rotations_changed()

    def rotations_changed(self) -> None:
        """The earliest due time may be another: put the queue's job there."""
        if self._rotations is None or not self._scheduler.running:
            return
        at = self._rotations.next_at()
        if at is None:
            if self._scheduler.get_job("rotations") is not None:
                self._scheduler.remove_job("rotations")
            return
        when = datetime.now(UTC) + timedelta(seconds=max(0.0, at - time.monotonic()))
        self._scheduler.add_job(
            self._start_due, DateTrigger(when, timezone=UTC), id="rotations", replace_existing=True
        )

    def watch(self, check: Callable[[], None] | None) -> None:
        """Check for changed files from now on, every other second; None: there are none to be watched any longer."""
        watching = self._scheduler.get_job("files") is not None
        if check is None and watching:
            self._scheduler.remove_job("files")
        elif check is not None and not watching:
            self._scheduler.add_job(
                _on_the_loop, IntervalTrigger(seconds=_WATCH_EVERY, timezone=UTC), args=[check], id="files"
            )

    def stop(self) -> None:
        """No more jobs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _start_due(self) -> None:
        if self._rotations is not None:
            self._rotations.start_due(self._group)
            self.rotations_changed()


async def _on_the_loop(check: Callable[[], None]) -> None:
    """APScheduler runs what is no coroutine in a thread, where it would race with everything else."""
    check()
