"""How many connections there may be, and how fast new ones go to a database.

A worker decides for itself: what the configuration allows is shared out evenly among the workers.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable

from proxy.access import Identity
from proxy.directory import Record
from proxy.errors import CrowdedError, StormError

__all__ = ["Admission", "Limits"]

_FULL = "proxy.limits.{} is reached by {}; see who is connected with: valkeeper sessions"
_BURST_SECONDS = 1.0  # a second's worth of connections may come at once


class Limits(Record):
    """One worker's share. None: no limit."""

    connections: int | None = None
    per_database: int | None = None
    per_identity: int | None = None
    new_per_second: float | None = None  # towards each database


class Admission:
    """The connections of one worker, counted.

    Args:
        limits: how many there may be.
        clock: seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._identities: Counter[Hashable] = Counter()
        self._databases: Counter[Hashable] = Counter()
        self._turns: dict[str, float] = {}  # when the next connection would come if all came evenly

    def entered(self, identity: Identity) -> "_Counted":
        """Count a caller, from its first moment to its last.

        Raises:
            CrowdedError: there are too many already.
        """
        limits, who = self._limits, identity.counted_as
        if limits.connections is not None and self._identities.total() >= limits.connections:
            raise CrowdedError(
                _FULL.format("connections", "all clients together"), reason="too_many_connections"
            )
        if limits.per_identity is not None and self._identities[who] >= limits.per_identity:
            raise CrowdedError(_FULL.format("per_identity", identity), reason="too_many_of_identity")
        return _Counted(self._identities, who)

    def opened(self, database: str) -> "_Counted":
        """Count a session that goes to a database.

        Raises:
            CrowdedError: too many do already.
        """
        most = self._limits.per_database
        if most is not None and self._databases[database] >= most:
            raise CrowdedError(
                _FULL.format("per_database", f"database '{database}'"), reason="too_many_to_database"
            )
        return _Counted(self._databases, database)

    async def turn(self, database: str, patience: float) -> bool:
        """Wait until a new connection may go to a database, so that all who reconnect at once come one by one.

        Args:
            database: its name.
            patience: the most seconds to wait.

        Returns:
            True where it had to wait.

        Raises:
            StormError: its turn would not come in time.
        """
        rate = self._limits.new_per_second
        if rate is None:
            return False
        now = self._clock()
        due = max(self._turns.get(database, 0.0), now - max(_BURST_SECONDS - 1 / rate, 0.0))
        wait = due - now
        if wait > patience:
            raise StormError(
                f"too many clients connect to database '{database}' at once (proxy.limits.new_per_second); try again later",
                reason="too_many_at_once",
            )
        self._turns[database] = due + 1 / rate
        if wait > 0:
            await asyncio.sleep(wait)
        return wait > 0


class _Counted:
    """One more of these, while it is entered."""

    __slots__ = ("_counter", "_key")

    def __init__(self, counter: Counter[Hashable], key: Hashable) -> None:
        self._counter = counter
        self._key = key

    def __enter__(self) -> None:
        self._counter[self._key] += 1

    def __exit__(self, *_: object) -> None:
        self._counter[self._key] -= 1
        if not self._counter[self._key]:
            del self._counter[self._key]
