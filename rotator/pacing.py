"""What one instance remembers of users to pace itself: tries that failed, heals, amendments. It may be lost any time."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from discovery.model import UserKey
from rotator.attributes import Amendment
from rotator.steps import Apply, Heal, Retire

__all__ = ["Memory", "Pacing"]

_APPLY_FIRST, _APPLY_MOST = timedelta(seconds=1), timedelta(minutes=1)
_AMEND_AGAIN = timedelta(hours=1)  # after a failure: a permission that was missing may be there by then


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one user."""

    applied: str | None = None  # version id
    times: int = 0
    not_before: datetime | None = None
    heals: tuple[datetime, ...] = ()
    amended: Amendment | None = None  # as last tried
    amend_again: datetime | None = None  # when that failed; None: it did not

    def to_amend(self, found: Amendment | None, now: datetime) -> Amendment | None:
        """What is to be amended now.

        What was set once and still looks different, such as an alias that AWS reports as a key, is taken as right: so
        nothing is set for ever, nor do two instances with different settings fight.
        """
        if found is None or found != self.amended:
            return found
        return found if self.amend_again is not None and now >= self.amend_again else None


class Pacing:
    """The memories of all users.

    Args:
        interval: heals are counted within it.
        chance: 0 to 1.
    """

    def __init__(self, interval: timedelta, chance: Callable[[], float] = random.random) -> None:
        self._interval = interval
        self._chance = chance
        self._memories: dict[UserKey, Memory] = {}

    def recall(self, key: UserKey, now: datetime) -> Memory:
        """What is remembered of a user; heals of the last interval only."""
        memory = self._memories.get(key, Memory())
        return replace(memory, heals=tuple(at for at in memory.heals if at > now - self._interval))

    def remember(self, key: UserKey, step: Apply | Heal | Retire, now: datetime) -> None:
        """Passwords are about to be set."""
        memory = self.recall(key, now)
        match step:
            case Heal():
                memory = replace(memory, heals=(*memory.heals, now))
            case Apply(versions=versions):
                pending = versions[-1].id
                times = memory.times + 1 if memory.applied == pending else 1
                pause = min(_APPLY_FIRST * 2 ** min(times - 1, 10), _APPLY_MOST) * (0.5 + self._chance() / 2)
                memory = replace(memory, applied=pending, times=times, not_before=now + pause)
        self._memories[key] = memory

    def remember_amendment(self, key: UserKey, amendment: Amendment, now: datetime, *, failed: bool) -> None:
        """A secret's attributes were set, or could not be."""
        again = now + _AMEND_AGAIN if failed else None
        self._memories[key] = replace(self.recall(key, now), amended=amendment, amend_again=again)

    def forget(self, key: UserKey) -> None:
        """Drop what is remembered of a user."""
        self._memories.pop(key, None)
