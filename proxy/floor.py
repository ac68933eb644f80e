"""What all sessions of one worker share: the directory, who waits for news of a credential, and the counts."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from proxy.access import Policy
from proxy.admission import Admission
from proxy.directory import Credential, Directory, Update
from proxy.settings import WorkerSettings
from proxy.tally import Tally

__all__ = ["Floor"]

_VOUCH_SECONDS = 60.0
_REPORT_SECONDS = 1.0


class Floor:
    """The state of one worker.

    Args:
        settings: time limits and trust.
        policy: who may do what.
        report_rejected: tells the rotator that nothing of a credential serves at a database: refused, or expired.
        clock: seconds that only grow.
        wall_clock: the time of day, with its zone, by which tokens expire.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        policy: Policy,
        report_rejected: Callable[[Credential, str], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.admission = Admission(settings.limits, clock)
        self.directory = Directory()
        self.tallies: dict[str, Tally] = {}
        self._report_rejected = report_rejected
        self._clock = clock
        self._wall_clock = wall_clock
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._reported: dict[str, float] = {}
        self._vouched: dict[tuple[str, str], tuple[str, float]] = {}

    def now(self) -> float:
        """Seconds by the clock that only grows."""
        return self._clock()

    def tally(self, database: str) -> Tally:
        """The counts of a database."""
        tally = self.tallies.get(database)
        if tally is None:
            tally = self.tallies[database] = Tally()
        return tally

    def replace(self, directory: Directory) -> None:
        """Serve from a whole new directory."""
        self.directory = directory
        for key in directory.credentials:
            self._news_of(key)

    def update(self, update: Update) -> None:
        """Serve from the directory with these changes."""
        self.directory = self.directory.updated(update)
        for credential in update.credentials:
            self._news_of(credential.key)

    @contextmanager
    def news(self, credential: Credential, database: str) -> Iterator[asyncio.Future[None]]:
        """A future that is done when the rotator has answered for a credential that was refused, or has expired.

        However many clients wait for the answer, the report is sent at most once a second.
        """
        key, now = credential.key, self._clock()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, set())
        if not waiting or now - self._reported[key] >= _REPORT_SECONDS:
            self._reported[key] = now
            self._report_rejected(credential, database)
        waiting.add(future)
        try:
            yield future
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    def vouch(self, database: str, credential: Credential) -> None:
        """Remember that `current` has just logged in."""
        self._vouched[database, credential.key] = (credential.version, self._clock() + _VOUCH_SECONDS)

    def is_vouched(self, database: str, credential: Credential) -> bool:
        """True where `current` of this very version has logged in within the last minute, and has not expired since."""
        version, until = self._vouched.get((database, credential.key), ("", 0.0))
        return version == credential.version and self._clock() < until and not self.has_expired(credential)

    def has_expired(self, credential: Credential) -> bool:
        """Whether `current` is a token whose time is over: to be asked right before it would be sent."""
        return credential.has_expired(self._wall_clock())

    def doubt(self, database: str, credential: Credential) -> None:
        """Forget that it has: it was refused."""
        self._vouched.pop((database, credential.key), None)

    def _news_of(self, key: str) -> None:
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)
