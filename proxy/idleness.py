"""Which sessions have been idle for too long."""

from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

__all__ = ["Idleness"]


class _Session(Protocol, Hashable):
    @property
    def traffic(self) -> int:
        """Grows with every byte."""

    @property
    def may_wait(self) -> bool:
        """Whether silence is no sign of idleness."""


S = TypeVar("S", bound=_Session)


class Idleness(Generic[S]):
    """Looks at sessions now and then, so that none needs a timer of its own.

    Args:
        timeout: seconds without a byte in either direction after which a session is idle.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._seen: dict[S, tuple[int, float]] = {}  # what had passed, and since when it is no more

    @property
    def pause(self) -> float:
        """Seconds between two looks: idle sessions are found at most so much later."""
        return min(self._timeout / 4, 5.0)

    def look(self, sessions: Iterable[S], now: float) -> list[S]:
        """Those that are idle. As with Redis' own `timeout`, whoever waits for an element or a message is not."""
        seen, idle = {}, []
        for session in sessions:
            traffic = session.traffic
            before = self._seen.get(session)
            since = before[1] if before is not None and before[0] == traffic else now
            seen[session] = (traffic, since)
            if now - since >= self._timeout and not session.may_wait:
                idle.append(session)
        self._seen = seen
        return idle
