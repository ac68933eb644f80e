"""One question about sessions, put to many, and answered in time even where some of them say nothing.

The parent asks its workers in this way, and the rotator its proxies.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.messages import AskSessions, EndSessions, SessionsPart

__all__ = ["RollCall"]

Who = TypeVar("Who")


@dataclass(slots=True)
class _Call(Generic[Who]):
    """A question under way."""

    number: int  # the asker's
    answer: Callable[[SessionsPart], None]
    waiting: set[Who]
    silent: int
    timer: asyncio.TimerHandle


class RollCall(Generic[Who]):
    """The questions under way.

    Args:
        patience: seconds after which those who have not answered are counted as silent.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        # Never used before by a program that had the same workers: an answer to it may still be under way.
        self._numbers = itertools.count(time.monotonic_ns())
        self._calls: dict[int, _Call[Who]] = {}

    def begin(
        self,
        question: AskSessions | EndSessions,
        asked: Iterable[Who],
        answer: Callable[[SessionsPart], None],
    ) -> AskSessions | EndSessions:
        """Begin a call; gives the question as it is to be put to all who are asked.

        Args:
            question: with the number that the answer is to carry.
            asked: who has to answer.
            answer: gets what was heard, part by part, and in any case and in time a last one.
        """
        serial = next(self._numbers)
        timer = asyncio.get_running_loop().call_later(self._patience, self._give_up, serial)
        self._calls[serial] = _Call(question.number, answer, set(asked), 0, timer)
        self._look(serial)
        return question.model_copy(update={"number": serial})

    def hear(self, who: Who, part: SessionsPart) -> None:
        """Pass on what one says. What comes too late, or from somebody who was not asked, is dropped."""
        call = self._calls.get(part.number)
        if call is None or who not in call.waiting:
            return
        call.silent += part.silent
        if part.sessions:
            call.answer(SessionsPart(number=call.number, sessions=part.sessions))
        if part.last:
            call.waiting.discard(who)
            self._look(part.number)

    def gone(self, who: Who) -> None:
        """One has gone, and its sessions with it: nobody waits for it any more."""
        for serial, call in tuple(self._calls.items()):
            if who in call.waiting:
                call.waiting.discard(who)
                self._look(serial)

    def _give_up(self, serial: int) -> None:
        call = self._calls[serial]
        call.silent += len(call.waiting)
        call.waiting.clear()
        self._look(serial)

    def _look(self, serial: int) -> None:
        """End a call that nobody is left to answer."""
        call = self._calls[serial]
        if not call.waiting:
            del self._calls[serial]
            call.timer.cancel()
            call.answer(SessionsPart(number=call.number, last=True, silent=call.silent))
