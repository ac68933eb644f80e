"""What the demo knows: records, and how the service's events and answers change them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.demo.story import Line, moment, tell, tell_token

__all__ = [
    "SERVICES",
    "Counts",
    "DatabaseRow",
    "Run",
    "State",
    "Target",
    "UserRow",
    "UserStory",
    "names_by_service",
    "targets",
]

SERVICES = {"elasticache": "ElastiCache", "memorydb": "MemoryDB"}
"""The services that the demo shows, as users' keys have them and as people call them."""

_KINDS = {**SERVICES, "elasticache-serverless": "Serverless", "static": "static"}
_LINES_KEPT = 200
# A user is offered in the API some milliseconds before the news has reached the proxy's workers. Until then its
# AUTH goes through untouched, as it did before Valkeeper took it over; so clients that hold no password come later.
_OFFERED_FOR = 0.5


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """A database that clients can connect to."""

    name: str
    kind: str
    """In people's words."""
    role: str
    endpoint: str
    engine: str
    users: tuple[str, ...]
    """Names of the users that Valkeeper logs in."""
    socket: str


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as the service shows it."""

    key: str
    id: str
    name: str
    service: str
    databases: tuple[str, ...]
    """Names of the databases that it reaches."""
    care: str
    state: str
    age: float | None
    """Seconds since its password was made."""
    due_in: float | None
    token_ends_at: float | None
    """Of an IAM user: seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class UserStory:
    """What has happened to one user since the demo began. Times are seconds since the start of the command."""

    adopted_at: float | None = None
    rotated_at: tuple[float, ...] = ()
    """Rotations after its adoption."""
    step: str = ""
    """The last step of the rotation that is under way; empty between rotations."""
    tokens: int = 0
    """How many tokens of an IAM user were seen, one after the other."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the rotation machine that was no adoption. Times are seconds since the epoch."""

    user: str
    """The user's key."""
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What the client has done so far."""

    connections: int = 0
    commands: int = 0
    failures: int = 0
    last_failure: str = ""
    by_target: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Commands that succeeded, by database and user name."""

    def of(self, user: UserRow) -> int:
        """How many commands succeeded as a user, on all of its databases."""
        return sum(self.by_target.get((database, user.name), 0) for database in user.databases)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the client connects, and as whom."""

    database: str
    user: str
    socket: str
    writable: bool


@dataclass(frozen=True, slots=True)
class State:
    """Everything on the screen, but for the client's counts."""

    started_at: float
    """Of the command, in seconds since the epoch."""
    interval: float
    duration: float | None
    """Seconds from readiness on; None: until Ctrl-C."""
    ready_at: float | None = None
    databases: tuple[DatabaseRow, ...] = ()
    users: tuple[UserRow, ...] = ()
    stories: Mapping[str, UserStory] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    offered: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Since when each user (by name) of each database can be logged in."""
    ever_managed: frozenset[str] = frozenset()
    """Keys of users that were managed at some time."""
    proxy_pid: int | None = None
    lines: tuple[Line, ...] = ()

    def since_ready(self, now: float) -> float:
        """Seconds since readiness, of a moment in seconds since the start of the command."""
        return now - self.ready_at if self.ready_at is not None else 0.0

    def story(self, key: str) -> UserStory:
        """What has happened to a user."""
        return self.stories.get(key, UserStory())

    def take_event(self, event: Mapping[str, Any]) -> "State":
        """The state after an event of the service."""
        line = tell(event, started_at=self.started_at)
        state = replace(self, lines=(*self.lines, line)[-_LINES_KEPT:]) if line is not None else self
        match event.get("event"):
            case "rotation_step":
                return _with_story(state, event["user"], step=event["step"])
            case "rotation":
                return _take_rotation(state, event)
            case "proxy_connected":
                return replace(state, proxy_pid=event["pid"])
        return state

    def take_answers(
        self, databases: Sequence[Mapping[str, Any]], users: Sequence[Mapping[str, Any]], now: float
    ) -> "State":
        """The state after the service was asked for its databases and users, `now` seconds into the command."""
        rows = tuple(_database_row(one) for one in databases)
        user_rows = tuple(_user_row(one) for one in users)
        offered = {
            (row.name, user): self.offered.get((row.name, user), now) for row in rows for user in row.users
        }
        managed = {row.key for row in user_rows if row.care == "managed"}
        state = self
        for row in user_rows:
            served = [one.name for one in rows if row.name in one.users and one.name in row.databases]
            state = _take_token(state, row, served, now)
        return replace(
            state,
            databases=rows,
            users=user_rows,
            offered=offered,
            ever_managed=self.ever_managed | managed,
        )


def names_by_service(users: Iterable[tuple[str, str]]) -> str:
    """Services and ids in words, since ids are unique in one service only: `ElastiCache's a, b; MemoryDB's c`."""
    ids: dict[str, list[str]] = {}
    for service, user_id in sorted(users):
        ids.setdefault(service, []).append(user_id)
    return "; ".join(f"{SERVICES.get(service, service)}'s {', '.join(of)}" for service, of in ids.items())


def targets(state: State, now: float) -> tuple[Target, ...]:
    """Where the client can connect without a password, `now` seconds into the command."""
    return tuple(
        Target(row.name, user, row.socket, writable=row.role != "reader")
        for user in sorted({user for row in state.databases for user in row.users})
        for row in state.databases
        if now - state.offered.get((row.name, user), now) >= _OFFERED_FOR
    )


def _database_row(view: Mapping[str, Any]) -> DatabaseRow:
    return DatabaseRow(
        name=view["name"],
        kind=_KINDS.get(view["kind"], view["kind"]),
        role=view["labels"].get("endpoint-type", ""),
        endpoint=view["endpoint"],
        engine=f"{view['engine']} {view['engine_version'] or ''}".rstrip(),
        users=tuple(view["users"]),
        socket=view["socket"] or "",
    )


def _user_row(view: Mapping[str, Any]) -> UserRow:
    ends = view["token_expires_at"]
    return UserRow(
        key=f"{view['service']}/{view['region']}/{view['account']}/user/{view['id']}",
        id=view["id"],
        name=view["name"],
        service=view["service"],
        databases=tuple(view["databases"]),
        care=view["care"],
        state=view["state"],
        age=view["password_age_seconds"],
        due_in=view["due_in_seconds"],
        token_ends_at=datetime.fromisoformat(ends).timestamp() if ends else None,
    )


def _take_rotation(state: State, event: Mapping[str, Any]) -> State:
    key, end = event["user"], moment(event)
    happened = end - state.started_at
    if event["result"] == "adopted":
        return _with_story(state, key, step="", adopted_at=happened)
    state = replace(state, runs=(*state.runs, Run(key, end - event["seconds"], end)))
    if event["result"] == "rotated":
        return _with_story(state, key, step="", rotated_at=(*state.story(key).rotated_at, happened))
    return _with_story(state, key, step="")


def _take_token(state: State, row: UserRow, served: Sequence[str], now: float) -> State:
    # The service signs so many tokens that each is no event of its own; when they end, it says.
    before = next((known.token_ends_at for known in state.users if known.key == row.key), None)
    if row.token_ends_at is None or row.token_ends_at == before:
        return state
    number = state.story(row.key).tokens + 1
    lasts = row.token_ends_at - state.started_at - now
    line = tell_token(row.id, served, lasts, now, renewed=number > 1)
    state = replace(state, lines=(*state.lines, line)[-_LINES_KEPT:])
    return _with_story(state, row.key, tokens=number)


def _with_story(state: State, key: str, **changes: Any) -> State:
    return replace(state, stories={**state.stories, key: replace(state.story(key), **changes)})
