"""What a proxy counts, as plain integers that add up: over workers, and over workers that have died."""

from collections.abc import Mapping

from pydantic import Field

from proxy.directory import Record

__all__ = ["CONNECT_SECONDS_BOUNDS", "Counters", "DatabaseCounters", "Durations"]

CONNECT_SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds, in seconds, of the buckets of `Durations`; one more bucket follows."""


class Durations(Record):
    """How often something took how long."""

    buckets: tuple[int, ...] = (0,) * (len(CONNECT_SECONDS_BOUNDS) + 1)
    seconds: float = 0.0  # of all together

    def __add__(self, other: "Durations") -> "Durations":
        """Both together."""
        return Durations(
            buckets=tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True)),
            seconds=self.seconds + other.seconds,
        )


class DatabaseCounters(Record):
    """One database's counts since the proxy started. All but `open` and `shared_connections` only grow."""

    connections: int = 0  # let in: logged in upstream, or passed through
    open: int = 0  # sessions right now
    shared_connections: int = 0  # that sessions share right now
    bytes_from_clients: int = 0
    bytes_from_database: int = 0
    failures: Mapping[str, int] = Field(default_factory=dict)  # refused connections, by reason
    ends: Mapping[str, int] = Field(default_factory=dict)  # sessions ended from outside, by cause
    renewals: Mapping[str, int] = Field(default_factory=dict)  # of open connections' tokens, by outcome
    moves: Mapping[str, int] = Field(
        default_factory=dict
    )  # sessions that stopped sharing, by why, and that came back
    connects: Mapping[str, Durations] = Field(default_factory=dict)  # by stage: dial, tls, auth, and whole

    def __add__(self, other: "DatabaseCounters") -> "DatabaseCounters":
        """Both together."""
        return DatabaseCounters(
            connections=self.connections + other.connections,
            open=self.open + other.open,
            shared_connections=self.shared_connections + other.shared_connections,
            bytes_from_clients=self.bytes_from_clients + other.bytes_from_clients,
            bytes_from_database=self.bytes_from_database + other.bytes_from_database,
            failures=_sum(self.failures, other.failures),
            ends=_sum(self.ends, other.ends),
            renewals=_sum(self.renewals, other.renewals),
            moves=_sum(self.moves, other.moves),
            connects={
                stage: self.connects.get(stage, Durations()) + other.connects.get(stage, Durations())
                for stage in {*self.connects, *other.connects}
            },
        )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {word: one.get(word, 0) + other.get(word, 0) for word in {*one, *other}}


class Counters(Record):
    """A proxy's counts, by database."""

    databases: Mapping[str, DatabaseCounters] = Field(default_factory=dict)

    def __add__(self, other: "Counters") -> "Counters":
        """Both together."""
        names = {*self.databases, *other.databases}
        nothing = DatabaseCounters()
        return Counters(
            databases={
                name: self.databases.get(name, nothing) + other.databases.get(name, nothing) for name in names
            }
        )
