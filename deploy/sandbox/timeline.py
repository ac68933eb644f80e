"""What happens in the account after the answer was given: transitions that take time."""

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable

__all__ = ["Timeline"]


class Timeline:
    """Runs actions later, those with a delay one after another, and knows when nothing is left to do."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._unfinished = 0
        threading.Thread(target=self._run, name="timeline", daemon=True).start()

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Run `action` in `delay` seconds."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), action))
            self._unfinished += 1
            self._changed.notify_all()

    def aside(self, action: Callable[[], None]) -> None:
        """Run `action` now, on a thread of its own, because it takes long."""
        with self._changed:
            self._unfinished += 1
        threading.Thread(target=self._finish, args=(action,), daemon=True).start()

    def settle(self, timeout: float) -> bool:
        """Wait until nothing is under way; False if `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unfinished, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                _, _, action = heapq.heappop(self._due)
            self._finish(action)

    def _finish(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - one transition's failure must not stop the account
            print("sandbox: a transition failed", file=sys.stderr)
            traceback.print_exc()
        finally:
            with self._changed:
                self._unfinished -= 1
                self._changed.notify_all()
