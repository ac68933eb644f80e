"""A client that holds no password: it connects anew through the proxy's sockets, again and again."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.demo.state import Counts, Target

__all__ = ["KeepsConnecting"]

# Enough that a connection falls into every moment of a rotation, few enough to leave the machine to its work.
_PER_SECOND = 20
_TIMEOUT = 10.0  # seconds; longer than the proxy's own, whose error says more
_PASSWORD = "x"  # noqa: S105 - anything will do: the proxy is what logs in


class KeepsConnecting:
    """Goes round its targets in a thread of its own, a new connection each time, and counts.

    Nothing is tried twice: what fails once is a failure.
    """

    def __init__(self) -> None:
        self._targets: tuple[Target, ...] = ()
        self._counts = Counts()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        return self._counts

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Connect to these from now on."""
        self._targets = tuple(targets)

    def stop(self) -> None:
        """End after the connection that is under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2 * _TIMEOUT)

    def _run(self) -> None:
        due = time.monotonic()
        for number in count():
            due = max(due + 1 / _PER_SECOND, time.monotonic())
            if self._stop.wait(due - time.monotonic()):
                return
            if targets := self._targets:
                self._visit(targets[number % len(targets)], number)

    def _visit(self, target: Target, number: int) -> None:
        client = redis.Redis(
            unix_socket_path=target.socket,
            username=target.user,
            password=_PASSWORD,
            socket_timeout=_TIMEOUT,
            # Without this redis-py tries three times, and would hide what it is here to show.
            retry=Retry(NoBackoff(), 0),
        )
        key, value = f"demo:{target.user}", str(number)
        self._counts = replace(self._counts, connections=self._counts.connections + 1)
        try:
            if target.writable:
                client.set(key, value)
                self._succeeded(target)
            answer = client.get(key)
        except (redis.RedisError, OSError) as error:
            self._failed(target, f"{type(error).__name__}: {error}")
        else:
            # A replica may be a moment behind; the primary is not.
            if target.writable and answer != value.encode():
                self._failed(target, f"GET answered {answer!r} where SET had said {value!r}")
            else:
                self._succeeded(target)
        finally:
            client.close()

    # Only the thread replaces the record, whole, so whoever reads it needs no lock.

    def _succeeded(self, target: Target) -> None:
        counts, key = self._counts, (target.database, target.user)
        by_target = {**counts.by_target, key: counts.by_target.get(key, 0) + 1}
        self._counts = replace(counts, commands=counts.commands + 1, by_target=by_target)

    def _failed(self, target: Target, error: str) -> None:
        counts = self._counts
        words = f"{target.user} on {target.database}: {error}"
        self._counts = replace(
            counts, commands=counts.commands + 1, failures=counts.failures + 1, last_failure=words
        )
