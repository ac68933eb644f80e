"""What is measured, and how fast it has to be."""

import fnmatch
import itertools
from dataclasses import dataclass

__all__ = ["ALL", "CASES", "QUICK", "Case", "Connecting", "Goal", "Idling", "Traffic", "chosen"]

_PEER = "haproxy"


@dataclass(frozen=True, slots=True)
class Goal:
    """How one target has to compare with another, or with a number.

    Attributes:
        target: whose figure it is about.
        metric: which figure.
        bound: of the ratio, or of the figure itself where there is no `against`.
        against: the other target; None: the figure stands alone.
        is_most: True where more than the bound misses the goal.
    """

    target: str
    metric: str
    bound: float
    against: str | None = _PEER
    is_most: bool = False

    def is_met_by(self, value):
        return value <= self.bound if self.is_most else value >= self.bound


@dataclass(frozen=True, slots=True)
class Case:
    """One load; the subclasses say which.

    Attributes:
        goals: what it has to show.
        targets: the only ones that it is for; none: all that are asked for.
    """

    goals: tuple[Goal, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic(Case):
    """Connections that stay, and send commands as fast as they are answered."""

    connections: int
    pipeline: int
    size: int
    command: str
    requests: int

    metrics = ("ops/s", "CPU s/100k")

    @property
    def name(self):
        size = {64: "64B", 16 * 1024: "16KiB", 8 * 1024 * 1024: "8MiB"}[self.size]
        return f"c{self.connections}-p{self.pipeline}-{size}-{self.command}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(Case):
    """Connections that say one PING each."""

    connections: int
    requests: int

    metrics = ("conn/s", "CPU s/100k")
    name = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Idling(Case):
    """Connections that have logged in and say nothing more."""

    connections: int

    metrics = ("PSS KiB",)
    name = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers(Traffic):
    """The same load on one worker and on two.

    Attributes:
        cores: how much of a core each worker has at most; None: whatever client and database leave it.
    """

    cores: float | None = None

    @property
    def name(self):
        return "workers" if self.cores is None else "workers-limited"


def _goals(connections, pipeline, size, command):
    rate = {(50, 64): 0.75, (50, 16384): 0.75, (500, 64): 0.65, (500, 16384): 0.5}.get((connections, size))
    if rate is not None:
        yield Goal("valkeeper", "ops/s", rate)
    shared = {(50, 1, 64): 1.4, (50, 16, 64): 0.8, (500, 1, 64): 1.5}.get((connections, pipeline, size))
    if shared is not None:
        yield Goal("shared", "ops/s", shared)
    if (connections, pipeline, size) == (50, 1, 64):
        yield Goal("shared", "ops/s", 1.0, against="direct")
    if (connections, pipeline, size, command) == (50, 1, 64, "get"):
        yield Goal("valkeeper", "CPU s/100k", 1.4, is_most=True)


def _requests(connections, pipeline, size):
    """As many as take HAProxy a second, and some more where the connecting is to be a small part of it."""
    rate = {(1, 64): 10_000, (16, 64): 60_000, (1, 16384): 7_000, (16, 16384): 15_000}[pipeline, size]
    return rate * {1: 1, 50: 6, 500: 10}[connections]


_BIG = 8 * 1024 * 1024

ALL = (
    *(
        Traffic(
            connections=connections,
            pipeline=pipeline,
            size=size,
            command=command,
            requests=_requests(connections, pipeline, size),
            goals=tuple(_goals(connections, pipeline, size, command)),
        )
        for connections, pipeline, size, command in itertools.product(
            (1, 50, 500), (1, 16), (64, 16384), ("get", "set")
        )
    ),
    *(
        Traffic(
            connections=1, pipeline=1, size=_BIG, command=command, requests=60,
            goals=(Goal("valkeeper", "ops/s", 0.9),),
        )
        for command in ("get", "set")
    ),
    Connecting(
        connections=20, requests=6000,
        goals=(Goal("valkeeper", "conn/s", 0.7), Goal("shared", "conn/s", 3)),
    ),
    Idling(
        connections=2000,
        goals=(
            Goal("valkeeper", "PSS KiB", 48, against=None, is_most=True),
            Goal("shared", "PSS KiB", 12, against=None, is_most=True),
        ),
    ),
    Workers(
        connections=50, pipeline=1, size=64, command="get", requests=30_000,
        targets=("valkeeper", "valkeeper-2"),
    ),
    # Of two cores, client and database leave too little for a second worker to show what it can do.
    Workers(
        connections=50, pipeline=1, size=64, command="get", requests=20_000, cores=0.25,
        targets=("valkeeper", "valkeeper-2"), goals=(Goal("valkeeper-2", "ops/s", 1.5, against="valkeeper"),),
    ),
)  # fmt: skip
CASES = {case.name: case for case in ALL}
"""Every case by its name, in order."""

QUICK = "c50-p1-64B-* c50-p16-64B-* c50-p1-16KiB-* c500-p1-64B-get c500-p1-16KiB-get c1-p1-8MiB-* connect idle workers workers-limited"
"""What a run of a few minutes has room for: whatever has a goal of its own."""


def chosen(patterns):
    """The cases whose names match any of the patterns, as file names do.

    Raises:
        KeyError: a pattern matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(CASES, pattern):
            raise KeyError(f"no case is called '{pattern}'; there are: {' '.join(CASES)}")
    return [case for name, case in CASES.items() if any(fnmatch.fnmatch(name, one) for one in patterns)]
