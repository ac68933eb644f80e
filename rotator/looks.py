"""When a user is looked at again after a run.

Healing rests on this: whatever happened, nobody waits longer than a third of the interval for the next look.
"""

from collections.abc import Callable
from datetime import timedelta

from discovery.errors import AwsError, PermanentError
from rotator.engine import Outcome, Result

__all__ = ["Looks", "is_stuck"]

_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0  # seconds; full jitter below them
_RETRY_LEAST = 0.05
_SOON = 1.0


def is_stuck(outcome: Outcome | None, error: AwsError | None) -> bool:
    """Whether trying again changes nothing until somebody changes something: the next discovery may find it changed."""
    return isinstance(error, PermanentError) or (outcome is not None and outcome.result is Result.LEFT)


class Looks:
    """Pauses in seconds.

    Args:
        interval: how old a password gets.
        spread: the most by which a due rotation is put off, so that instances rarely meet.
        chance: 0 to 1.
    """

    def __init__(self, interval: timedelta, spread: timedelta, chance: Callable[[], float]) -> None:
        self._most = interval.total_seconds() / 3
        self._spread = spread.total_seconds()
        self._chance = chance

    def soon(self) -> float:
        """For a new user, and for one that is stuck when a discovery has ended: not all of them at one moment."""
        return self._chance() * min(self._spread, _SOON)

    def after(
        self,
        outcome: Outcome | None,
        error: AwsError | None,
        *,
        times: int,
        until_due: float | None,
    ) -> float:
        """How long to wait after a run.

        A stuck user waits for the next discovery, which asks for `soon`. The bound holds for it too: an instance whose
        discoveries are rarer, or take long, still looks whether AWSCURRENT logs in, for whatever was stuck may be past.

        Args:
            outcome: of the run; None where it failed.
            error: why it failed.
            times: how many runs in a row failed or had to wait, this one included.
            until_due: seconds until the next rotation of the schedule; None: none is scheduled.
        """
        if is_stuck(None, error):
            return self._most
        if error is not None or (outcome is not None and outcome.result is Result.WAITING):
            return min(self._backoff(times), self._most)
        look = self._most * (0.8 + 0.2 * self._chance())
        if (
            until_due is None or until_due <= 0
        ):  # due, and yet nothing was done: blocked, so the next look will do
            return look
        return min(look, until_due + self._chance() * self._spread)

    def _backoff(self, times: int) -> float:
        return self._chance() * min(_RETRY_FIRST * 2.0 ** min(times, 10), _RETRY_MOST) + _RETRY_LEAST
