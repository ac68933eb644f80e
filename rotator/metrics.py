"""What Prometheus scrapes. Events are counted as they happen; states are read when a scrape asks."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from discovery.limiter import Limiter
from discovery.model import Inventory, Place, User
from proxy.counters import CONNECT_SECONDS_BOUNDS, Counters
from rotator.handed_on import HandedOnStanding
from rotator.requests import Rotation
from rotator.standing import Care, Standing

__all__ = ["CONTENT_TYPE", "Metrics", "State", "is_overdue"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENESS_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600)
_ROTATION_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True)
class State:
    """What a scrape reads."""

    inventory: Inventory
    standings: tuple[Standing, ...]
    handed_on: tuple[HandedOnStanding, ...]
    counters: Counters
    paces: tuple[tuple[Place, str, Limiter], ...]
    proxies: int
    now_of: Callable[[User], datetime]  # the time by the clock of a user's account
    now: datetime  # the time by this machine's clock
    overdue_after: float  # seconds past its due time from which a rotation counts as overdue

    def user_states(self) -> Iterator[str]:
        """One word for each user."""
        yield from (standing.state for standing in self.standings)
        yield from (standing.state for standing in self.handed_on)


def is_overdue(standing: Standing, now: datetime, after: float) -> bool:
    """Whether a managed user's rotation should have happened by now."""
    return (
        standing.care is Care.MANAGED
        and standing.due is not None
        and (now - standing.due).total_seconds() > after
    )


class Metrics:
    """Everything that is measured, in a registry of its own."""

    def __init__(self, read_state: Callable[[], State]) -> None:
        # A second series for each counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._registry.register(_StateCollector(read_state))
        self._rotations = Counter(
            "valkeeper_rotations",
            "Runs that did something, were asked for, or met something new, by how they ended and at which row of the"
            " plan (docs/rotation.md), such as contended or foreign; where they failed, AWS's error code.",
            ["result", "reason"],
            registry=self._registry,
        )
        self._steps = Counter(
            "valkeeper_rotation_steps",
            "Steps that changed something, such as stage, apply, promote, retire and heal.",
            ["step"],
            registry=self._registry,
        )
        self._late = Histogram(
            "valkeeper_rotation_lateness_seconds",
            "From the moment a rotation was due to the promotion of the new password.",
            buckets=_LATENESS_SECONDS,
            registry=self._registry,
        )
        self._orphans = Counter(
            "valkeeper_orphans",
            "Pending versions that were staged over, since they succeed what is no longer AWSCURRENT.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "valkeeper_rotation_seconds",
            "How long rotations took that gave a user a new password.",
            buckets=_ROTATION_SECONDS,
            registry=self._registry,
        )
        self._tokens = Counter(
            "valkeeper_tokens",
            "IAM tokens signed, and tries that failed for want of credentials.",
            ["account", "region", "result"],
            registry=self._registry,
        )
        self._aws = Counter(
            "valkeeper_aws_requests",
            "Calls to AWS, by action and answer (OK or AWS's error code).",
            ["account", "region", "action", "code"],
            registry=self._registry,
        )

    def count_aws(self, place: Place | None, action: str, code: str) -> None:
        """A call to AWS ended. Safe from any thread."""
        account, region = place or ("", "")
        self._aws.labels(account, region, action, code).inc()

    def count_rotation(self, rotation: Rotation) -> None:
        """A run ended."""
        self._rotations.labels(str(rotation.result), rotation.row).inc()
        if rotation.result in {"rotated", "adopted"} and rotation.finished_at is not None:
            self._seconds.observe(rotation.finished_at - rotation.started_at)

    def count_step(self, step: str, *, late: float | None, orphan: bool) -> None:
        """A step changed something; `late`: a promotion came so many seconds after it was due."""
        self._steps.labels(step).inc()
        if late is not None:
            self._late.observe(late)
        if orphan:
            self._orphans.inc()

    def count_tokens(self, place: Place, signed: int, well: bool) -> None:
        """Tokens were signed at a place, or could not be."""
        if well:
            self._tokens.labels(*place, "signed").inc(signed)
        else:
            self._tokens.labels(*place, "failed").inc()

    def render(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)


class _StateCollector(Collector):
    def __init__(self, read_state: Callable[[], State]) -> None:
        self._read_state = read_state

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: the names are only known with the state."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The state as metrics."""
        state = self._read_state()
        yield from _discovery(state)
        yield from _users(state)
        yield from _aws(state)
        yield from _proxies(state)


def _discovery(state: State) -> Iterator[Metric]:
    read = GaugeMetricFamily(
        "valkeeper_discovery_last_success_timestamp_seconds",
        "When a source last answered well.",
        labels=["source"],
    )
    failing = GaugeMetricFamily(
        "valkeeper_discovery_failing", "1 where a source's last reading failed.", labels=["source"]
    )
    for source in state.inventory.sources:
        if source.read_at is not None:
            read.add_metric([source.name], source.read_at)
        failing.add_metric([source.name], float(source.error is not None))
    databases = GaugeMetricFamily("valkeeper_databases", "Known databases, by kind.", labels=["kind"])
    kinds = sorted(str(database.kind) for database in state.inventory.databases.values())
    for kind, group in itertools.groupby(kinds):
        databases.add_metric([kind], len(list(group)))
    yield from (read, failing, databases)


def _users(state: State) -> Iterator[Metric]:
    users = GaugeMetricFamily("valkeeper_users", "Known users, by how they stand.", labels=["state"])
    for name, group in itertools.groupby(sorted(state.user_states())):
        users.add_metric([name], len(list(group)))
    labels = ["service", "account", "region", "user"]
    age = GaugeMetricFamily(
        "valkeeper_password_age_seconds", "Age of a user's current password.", labels=labels
    )
    versions = GaugeMetricFamily(
        "valkeeper_secret_versions",
        "Versions that a user's secret got in 24 hours, of about 100 that Secrets Manager keeps; counted at each rotation.",
        labels=labels,
    )
    overdue = 0
    for standing in state.standings:
        now = state.now_of(standing.user)
        seconds = standing.password_age(now)
        if seconds is not None and standing.care.has_secret:
            age.add_metric([str(part) for part in standing.key], seconds)
        if standing.headroom is not None:
            versions.add_metric([str(part) for part in standing.key], standing.headroom.versions)
        overdue += is_overdue(standing, now, state.overdue_after)
    life = GaugeMetricFamily(
        "valkeeper_token_life_seconds",
        "How long the first of an IAM user's tokens to end still lives.",
        labels=labels,
    )
    for standing in state.standings:
        if standing.tokens is not None and standing.tokens.expires_at is not None:
            left = standing.tokens.expires_at - state.now
            life.add_metric([str(part) for part in standing.key], left.total_seconds())
    late = GaugeMetricFamily(
        "valkeeper_users_overdue", "Managed users whose rotation should have happened.", value=overdue
    )
    yield from (users, age, late, life, versions)


def _aws(state: State) -> Iterator[Metric]:
    labels = ["account", "region", "service"]
    rate = GaugeMetricFamily(
        "valkeeper_aws_calls_per_second_limit",
        "How many calls a second are made at most, after AWS has asked for fewer; absent where nothing is paced.",
        labels=labels,
    )
    throttles = CounterMetricFamily(
        "valkeeper_aws_throttles",
        "Times that AWS asked for fewer calls, repeated attempts included.",
        labels=labels,
    )
    asked: dict[tuple[str, str, str], int] = {}
    rates: dict[tuple[str, str, str], float] = {}
    for place, service, limiter in state.paces:  # several sessions may reach one place, by different roles
        key = (*place, service)
        asked[key] = asked.get(key, 0) + limiter.throttles
        if limiter.rate is not None:
            rates[key] = min(limiter.rate, rates.get(key, limiter.rate))
    for key, number in sorted(asked.items()):
        throttles.add_metric(key, number)
    for key, most in sorted(rates.items()):
        rate.add_metric(key, most)
    yield from (rate, throttles)


def _proxies(state: State) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "valkeeper_proxies_connected", "Proxies on the directory socket.", value=state.proxies
    )
    let_in = CounterMetricFamily("valkeeper_connections", "Client connections let in.", labels=["database"])
    still = GaugeMetricFamily("valkeeper_connections_open", "Client connections now.", labels=["database"])
    failures = CounterMetricFamily(
        "valkeeper_connection_failures",
        "Client connections refused, by reason.",
        labels=["database", "reason"],
    )
    ends = CounterMetricFamily(
        "valkeeper_sessions_ended",
        "Sessions that neither side ended as usual: killed, drained, idle, retired with the password that opened them, "
        "not_renewed within the 12 hours of an IAM connection, or database_lost.",
        labels=["database", "cause"],
    )
    renewals = CounterMetricFamily(
        "valkeeper_token_renewals",
        "Fresh tokens for open connections of IAM users: renewed, refused by the database, or late (impossible so far, "
        "an hour before the connection has to end).",
        labels=["database", "outcome"],
    )
    shared = GaugeMetricFamily(
        "valkeeper_shared_connections",
        "Connections to databases that sessions share (proxy.upstream.mode: shared).",
        labels=["database"],
    )
    moves = CounterMetricFamily(
        "valkeeper_sharing_moves",
        "Sessions that needed a connection of their own (docs/sharing.md tells the reasons), and those that came back to "
        "sharing (back).",
        labels=["database", "reason"],
    )
    carried = CounterMetricFamily(
        "valkeeper_bytes", "Bytes relayed, by where they came from.", labels=["database", "from"]
    )
    whole = HistogramMetricFamily(
        "valkeeper_connect_seconds", "Dial, TLS and AUTH towards the database.", labels=["database"]
    )
    stages = HistogramMetricFamily(
        "valkeeper_connect_stage_seconds",
        "The same by stage: dial (with DNS), tls, and auth (with the wait for a fresh password, where one was refused).",
        labels=["database", "stage"],
    )
    bounds = [*(str(bound) for bound in CONNECT_SECONDS_BOUNDS), "+Inf"]
    for name, counts in sorted(state.counters.databases.items()):
        let_in.add_metric([name], counts.connections)
        still.add_metric([name], counts.open)
        for reason, number in sorted(counts.failures.items()):
            failures.add_metric([name, reason], number)
        for cause, number in sorted(counts.ends.items()):
            ends.add_metric([name, cause], number)
        for outcome, number in sorted(counts.renewals.items()):
            renewals.add_metric([name, outcome], number)
        shared.add_metric([name], counts.shared_connections)
        for reason, number in sorted(counts.moves.items()):
            moves.add_metric([name, reason], number)
        carried.add_metric([name, "client"], counts.bytes_from_clients)
        carried.add_metric([name, "database"], counts.bytes_from_database)
        for stage, durations in sorted(counts.connects.items()):
            totals = itertools.accumulate(durations.buckets)
            buckets = list(zip(bounds, totals, strict=True))
            if stage == "whole":
                whole.add_metric([name], buckets, durations.seconds)
            else:
                stages.add_metric([name, stage], buckets, durations.seconds)
    yield from (connected, let_in, still, failures, ends, renewals, shared, moves, carried, whole, stages)
