"""What one worker counts of one database."""

import bisect
from collections.abc import Mapping

from proxy.counters import CONNECT_SECONDS_BOUNDS, DatabaseCounters, Durations

__all__ = ["Tally"]


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

    def connected(self, stages: Mapping[str, float]) -> None:
        """Count a client let in, and how many seconds each stage took: dial, tls and, where there was one, auth."""
        self.connections += 1
        for stage, seconds in (*stages.items(), ("whole", sum(stages.values()))):
            self._connects.setdefault(stage, _Histogram()).add(seconds)

    def record(self, from_clients: int, from_database: int) -> DatabaseCounters:
        """The counts as they cross the socket, together with these bytes of open sessions."""
        return DatabaseCounters(
            connections=self.connections,
            open=self.open,
            bytes_from_clients=self.bytes_from_clients + from_clients,
            bytes_from_database=self.bytes_from_database + from_database,
            failures=dict(self.failures),
            ends=dict(self.ends),
            renewals=dict(self.renewals),
            connects={stage: histogram.record() for stage, histogram in self._connects.items()},
        )
