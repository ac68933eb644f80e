"""AWS's clock, as far as its answers' Date headers tell it."""

from datetime import UTC, datetime, timedelta

__all__ = ["RemoteClock"]

_STEP = 1.0  # seconds: a Date header tells no fractions (RFC 9110, 5.6.7)


class RemoteClock:
    """What time it is over there.

    A header says a whole second, and is written between a request's sending and its answer's arrival. So each answer gives
    bounds between which the other clock's offset lies; all together they narrow it down to fractions of a second, and the
    time does not jump from one answer to the next. Where an answer contradicts the bounds, a clock was set: it alone counts.
    """

    def __init__(self) -> None:
        self._least = float("-inf")  # seconds that the other clock is ahead
        self._most = float("inf")

    @property
    def offset(self) -> float:
        """Seconds that the other clock is ahead; 0 before the first answer."""
        if self._least == float("-inf"):
            return 0.0
        # Within the bounds, this machine's own clock is as good a guess as any, and the steadiest.
        return min(max(0.0, self._least), self._most)

    def note(self, date: datetime, *, sent: float, received: float) -> None:
        """An answer came: its Date, and when, in seconds since the epoch, it was asked for and arrived."""
        least = date.timestamp() - received
        most = date.timestamp() + _STEP - sent
        if least > self._most or most < self._least:
            self._least, self._most = least, most
        else:
            self._least, self._most = max(self._least, least), min(self._most, most)

    def at(self, now: float) -> datetime:
        """The time over there when it is `now` here, in seconds since the epoch."""
        return datetime.fromtimestamp(now, UTC) + timedelta(seconds=self.offset)
