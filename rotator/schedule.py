"""The APScheduler jobs: discovery at its interval, and one job for the whole queue of users, at its earliest time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator.rotations import Rotations

__all__ = ["Schedule"]

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

    def stop(self) -> None:
        """No more jobs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _start_due(self) -> None:
        if self._rotations is not None:
            self._rotations.start_due(self._group)
            self.rotations_changed()
