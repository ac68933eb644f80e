"""What one worker counts of one database."""

import bisect
from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

from proxy.counters import CONNECT_SECONDS_BOUNDS, DatabaseCounters, Durations

__all__ = ["Passed", "Tally"]


class _Carrier(Protocol):
    @property
    def commands(self) -> int: ...
    @property
    def from_client(self) -> int: ...
    @property
    def from_database(self) -> int: ...


class Passed(NamedTuple):
    """What has passed between a client and its database: commands, and bytes either way."""

    commands: int = 0
    from_client: int = 0
    from_database: int = 0

    def and_by(self, carrier: _Carrier) -> Self:
        """This, and what somebody has carried."""
        return type(self)(
            self.commands + carrier.commands,
            self.from_client + carrier.from_client,
            self.from_database + carrier.from_database,
        )


class _Histogram:
    def __init__(self) -> None:
        self._buckets = [0] * (len(CONNECT_SECONDS_BOUNDS) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        self._buckets[bisect.bisect_left(CONNECT_SECONDS_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def record(self) -> Durations:
        return Durations(buckets=tuple(self._buckets), seconds=self._seconds)


class Tally:
    """One database's counts, as plain integers; sessions that are open add theirs when asked."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.bytes_from_clients = 0
        self.bytes_from_database = 0
        self.failures: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.renewals: dict[str, int] = {}
        self.moves: dict[str, int] = {}
        self._connects: dict[str, _Histogram] = {}

    def failed(self, reason: str) -> None:
        """Count a client turned away."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def ended(self, cause: str) -> None:
        """Count a session ended from outside."""
        self.ends[cause] = self.ends.get(cause, 0) + 1

    def renewal(self, outcome: str) -> None:
        """Count what became of a fresh token for an open connection."""
        self.renewals[outcome] = self.renewals.get(outcome, 0) + 1

    def moved(self, why: str) -> None:
        """Count a session that shared connections and got one of its own, or went back to sharing."""
        self.moves[why] = self.moves.get(why, 0) + 1

    def connected(self, stages: Mapping[str, float]) -> None:
        """Count a connection to the database: how many seconds each stage took: dial, tls and, where there was one, auth."""
        for stage, seconds in (*stages.items(), ("whole", sum(stages.values()))):
            self._connects.setdefault(stage, _Histogram()).add(seconds)

    def record(self, carried: Passed, shared_connections: int) -> DatabaseCounters:
        """The counts as they cross the socket, together with what open sessions have on their account."""
        return DatabaseCounters(
            connections=self.connections,
            open=self.open,
            bytes_from_clients=self.bytes_from_clients + carried.from_client,
            bytes_from_database=self.bytes_from_database + carried.from_database,
            shared_connections=shared_connections,
            failures=dict(self.failures),
            ends=dict(self.ends),
            renewals=dict(self.renewals),
            moves=dict(self.moves),
            connects={stage: histogram.record() for stage, histogram in self._connects.items()},
        )
