"""How much room a secret has for new versions, and how far the rotation interval has to be stretched for it. Pure.

Secrets Manager deletes no version that is younger than 24 hours, and keeps about 100 of a secret
(https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html). So what counts is how many were
made within a day, not how far apart two of them are: a short interval is fine for a while, and a day full of rotations
that people asked for leaves less for the schedule. Everything here follows from AWS's own dates, so all instances come
to the same answer.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["ASKED_MOST", "SCHEDULED_MOST", "Headroom", "headroom"]

_KEPT = timedelta(hours=24)

SCHEDULED_MOST = 96
"""Most versions that the schedule lets a secret have within 24 hours: one every 15 minutes."""

ASKED_MOST = 98
"""Most that rotations on demand go up to. The two that are left are for leaked passwords."""

_FREE = 80  # as long as there are fewer, the interval is the one that is configured
_STEPS = 30  # of the search: 24 hours halved so often are less than a millisecond


@dataclass(frozen=True, slots=True)
class Headroom:
    """The versions of a secret.

    Attributes:
        versions: how many were made within the last 24 hours.
        interval: how old AWSCURRENT gets before the schedule makes its successor; at least what is configured.
    """

    versions: int
    interval: timedelta


def headroom(made: Iterable[datetime], since: datetime, interval: timedelta, now: datetime) -> Headroom:
    """Count versions, and stretch the interval where a day could not hold a version for each.

    The stretched interval is the shortest at which a rotation after the other, from AWSCURRENT on, never brings more
    than `SCHEDULED_MOST` versions into any 24 hours: it shares out evenly the room that there is and that old versions
    will leave.

    Args:
        made: when each version was made, in any order.
        since: when AWSCURRENT was made.
        interval: as configured.
        now: by AWS's clock. The interval does not depend on it.
    """
    dates = sorted(made)
    count = _within(dates, now)
    if not dates or _within(dates, dates[-1]) < _FREE or _fits(dates, since, interval):
        return Headroom(count, interval)
    short, long = interval, max(interval, _KEPT)
    for _ in range(_STEPS):
        middle = (short + long) / 2
        if _fits(dates, since, middle):
            long = middle
        else:
            short = middle
    return Headroom(count, long)


def _within(dates: list[datetime], end: datetime) -> int:
    """How many of the sorted dates lie within the 24 hours up to `end`."""
    return bisect_right(dates, end) - bisect_right(dates, end - _KEPT)


def _fits(dates: list[datetime], since: datetime, interval: timedelta) -> bool:
    """Whether rotations at this interval stay within bounds until all that is known is a day old."""
    number = 1
    while (moment := since + number * interval) < dates[-1] + _KEPT and number <= SCHEDULED_MOST:
        if _within(dates, moment) + number > SCHEDULED_MOST:
            return False
        number += 1
    # From then on a day holds only the schedule's own.
    return number <= SCHEDULED_MOST
