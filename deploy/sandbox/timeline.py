"""What happens in the account after the answer was given: transitions that take time."""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

__all__ = ["Timeline"]


class Timeline:
    """Runs transitions when their time has come, one after another, and knows when nothing is under way."""

    def __init__(self, delay: float) -> None:
        self._changed = threading.Condition()
        self._delay = delay
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._unfinished = 0
        threading.Thread(target=self._run, name="timeline", daemon=True).start()

    @property
    def delay(self) -> float:
        """Seconds that a change of a user or a group takes; a new value is for those under way, too."""
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        with self._changed:
            self._delay = seconds
            self._changed.notify_all()

    def later(self, action: Callable[[], None]) -> None:
        """Run `action` after the delay."""
        with self._changed:
            self._waiting.append((time.monotonic(), action))
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
                while (remaining := self._remaining()) is None or remaining > 0:
                    self._changed.wait(remaining)
                _, action = self._waiting.popleft()
            self._finish(action)

    def _remaining(self) -> float | None:
        return self._waiting[0][0] + self._delay - time.monotonic() if self._waiting else None

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
