"""Users in the order in which they want to be looked at."""

import heapq
import itertools

from discovery.model import UserKey

__all__ = ["DueQueue"]


class DueQueue:
    """Each user at most once, by the time of its next look; times are seconds on any one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, UserKey]] = []
        self._at: dict[UserKey, float] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many users wait."""
        return len(self._at)

    def put(self, key: UserKey, at: float) -> None:
        """Look at a user then, whatever was said of it before."""
        self._at[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))

    def hasten(self, key: UserKey, at: float) -> None:
        """Look at a user then at the latest."""
        self.put(key, min(at, self._at.get(key, at)))

    def remove(self, key: UserKey) -> None:
        """Look at a user no more."""
        self._at.pop(key, None)

    def when(self, key: UserKey) -> float | None:
        """When a user is to be looked at; None: not in the queue."""
        return self._at.get(key)

    def next_at(self) -> float | None:
        """The earliest time in the queue; None: it is empty."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[UserKey]:
        """Takes out all users whose time has come, the earliest first."""
        due = []
        while (at := self.next_at()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._at[key]
            due.append(key)
        return due

    def _drop_outdated(self) -> None:
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
