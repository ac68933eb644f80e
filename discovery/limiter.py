"""Paces the calls to one service in one account and region, once AWS has asked for fewer of them.

The arithmetic is botocore's own for its `adaptive` retry mode (CUBIC, as in TCP); it is done here because botocore does it
for each client alone and in the thread that calls, where a paced service would take the threads from all others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from botocore.retries.adaptive import RateClocker
from botocore.retries.throttling import CubicCalculator

__all__ = ["Limiter"]

_LEAST_RATE = 0.5  # calls a second, as botocore's
_FREE_AFTER = 60.0  # seconds without a throttle after which nothing is paced any longer
_MOST_SCALE = 2.0  # times the rate that was last measured: as botocore's


class _Clock:
    """A clock in the form that botocore's parts ask for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.current_time = clock


class Limiter:
    """Lets everything through until the first throttle; then as much as AWS bears, in the order of asking.

    Args:
        clock: seconds that only grow.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._measured = RateClocker(_Clock(clock))
        self._cubic = CubicCalculator(starting_max_rate=0, start_time=clock())
        self._rate: float | None = None
        self._throttled_at = 0.0
        self._next = 0.0  # when the next call may begin
        self.throttles = 0

    @property
    def rate(self) -> float | None:
        """Calls a second that are let through now; None: all."""
        return self._rate

    async def turn(self) -> None:
        """Wait until a call may begin."""
        if self._rate is None:
            return
        now = self._clock()
        begin = max(now, self._next)
        self._next = begin + 1 / self._rate
        if begin > now:
            await self._sleep(begin - now)

    def ended(self, *, throttled: bool) -> None:
        """A call has ended: AWS asked for fewer, or did not."""
        now = self._clock()
        measured = self._measured.record()
        if throttled:
            self.throttles += 1
            self._throttled_at = now
            at = measured if self._rate is None else min(measured, self._rate)
            self._rate = max(_LEAST_RATE, self._cubic.error_received(at, now))
        elif self._rate is not None:
            if now - self._throttled_at > _FREE_AFTER:
                self._rate = None
            else:
                wished = min(self._cubic.success_received(now), _MOST_SCALE * measured)
                self._rate = max(_LEAST_RATE, wished)
