"""What the admin API answers: records for people and scripts. None of them can hold a secret."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from discovery.model import Database, Inventory, SourceState
from proxy.messages import SessionRecord
from rotator.handed_on import HandedOnStanding
from rotator.requests import Rotation
from rotator.standing import Care, Standing

__all__ = [
    "DatabaseView",
    "EndedView",
    "RotationRequest",
    "RotationView",
    "SessionView",
    "SessionsView",
    "SourceView",
    "StatusView",
    "UserView",
    "database_views",
    "handed_on_view",
    "rotation_view",
    "session_view",
    "source_view",
    "user_view",
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class SourceView(_View):
    """A source of discovery."""

    name: str
    read_at: datetime | None = Field(description="When it last answered well.")
    stale: bool = Field(description="What is known of it is older than its last reading.")
    error: str | None


class DatabaseView(_View):
    """A database that clients can connect to by name."""

    name: str
    kind: str
    endpoint: str
    description: str
    account: str | None
    region: str | None
    engine: str
    engine_version: str | None
    labels: dict[str, str]
    users: list[str] = Field(description="Names of the users that Valkeeper logs in.")
    socket: str | None = Field(description="Where to connect on this machine.")


class UserView(_View):
    """A database user."""

    id: str
    name: str
    service: str | None = Field(description="elasticache or memorydb; null: a static database's own user.")
    account: str | None
    region: str | None
    arn: str | None
    databases: list[str]
    care: str = Field(description="managed, released, iam, passed-through or handed-on")
    source: str | None = Field(None, description="The file or secret that a handed-on password comes from.")
    state: str = Field(description="One word for how it stands.")
    reason: str = Field(description="What is wrong and what to do; empty where all is well.")
    status: str | None = Field(description="As AWS says.")
    version: str | None = Field(description="Version id of AWSCURRENT.")
    password_age_seconds: float | None
    token_expires_at: datetime | None = Field(description="When the first of an IAM user's tokens ends.")
    token_life_seconds: float | None = Field(description="For how long it still lives.")
    due: datetime | None = Field(description="When its next rotation is due, by AWS's clock.")
    due_in_seconds: float | None
    secret_versions: int | None = Field(
        None, description="How many versions its secret got in 24 hours; Secrets Manager keeps about 100."
    )
    interval_seconds: float | None = Field(
        None, description="Its rotation interval: longer than configured where versions run short."
    )
    secret_arn: str | None


class RotationView(_View):
    """A run of the rotation machine."""

    id: str
    user: str
    asked_by: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    result: str
    reason: str
    steps: list[str]
    version: str | None


class RotationRequest(BaseModel):
    """What to rotate: some users, or all."""

    model_config = ConfigDict(extra="forbid")

    users: list[str] = Field(default_factory=list, description="Ids, names, or keys of users.")
    all: bool = False
    wait: bool = Field(False, description="Answer when all of them have ended.")
    wait_seconds: float = Field(300, gt=0, le=3600, description="For how long to wait at most.")
    retire: bool = Field(False, description="Drop the old password at once: for one that leaked.")
    force: bool = Field(False, description="Take over an AWSPENDING version that is not Valkeeper's.")


class SessionView(_View):
    """A client's connection to a database."""

    id: str = Field(description="What `valkeeper kill` and DELETE /v1/sessions/{id} take.")
    who: str = Field(description="The caller's login name, else its uid; local: it came by a loopback port.")
    uid: int | None
    pid: int | None = Field(description="The client's process.")
    database: str
    user: str | None = Field(description="The database user of its latest login.")
    state: str = Field(description="greeting (has not said what it wants), connecting, open or ending")
    since: datetime
    open_seconds: float
    commands: int = Field(description="Of the client's, that the database got.")
    bytes_from_client: int
    bytes_from_database: int


class SessionsView(_View):
    """Clients' connections, and how far that is all of them."""

    sessions: list[SessionView] = Field(description="The longest first.")
    proxies: int = Field(description="How many proxies were asked.")
    silent: int = Field(
        description="Workers that did not answer in time: their sessions are not among these."
    )


class EndedView(_View):
    """Sessions that are being ended: their clients get the replies that are outstanding, and then the reason."""

    ended: list[str]


class StatusView(_View):
    """How the service does as a whole."""

    version: str
    ready: bool
    reason: str
    started_at: datetime
    databases: int
    users: dict[str, int] = Field(description="How many users stand how.")
    overdue: int
    proxies: int
    connections_open: int
    sources: list[SourceView]
    runtime_dir: str
    interval_seconds: float


def _when(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def source_view(source: SourceState) -> SourceView:
    """A source, for people."""
    return SourceView(name=source.name, read_at=_when(source.read_at), stale=source.stale, error=source.error)


def database_views(
    inventory: Inventory, standings: list[Standing], sockets: dict[str, str]
) -> list[DatabaseView]:
    """All databases, by name."""
    users: dict[str, set[str]] = {}
    for standing in standings:
        for name in standing.logged_in_at:
            users.setdefault(name, set()).add(standing.user.name)
    return [
        _database_view(database, users.get(name, set()), sockets.get(name))
        for name, database in sorted(inventory.databases.items())
    ]


def _database_view(database: Database, users: set[str], socket: str | None) -> DatabaseView:
    return DatabaseView(
        name=database.name,
        kind=database.kind,
        endpoint=str(database.endpoint),
        description=database.description,
        account=database.place.account if database.place else None,
        region=database.place.region if database.place else None,
        engine=database.engine,
        engine_version=database.engine_version,
        labels=dict(database.labels),
        users=sorted(users | {user.name for user in database.handed_on}),
        socket=socket,
    )


def user_view(standing: Standing, now: datetime) -> UserView:
    """A user, for people; `now` by the clock of its account."""
    user, secret = standing.user, standing.secret
    due = standing.due if standing.care is Care.MANAGED else None
    token_ends = standing.tokens.expires_at if standing.tokens is not None else None
    return UserView(
        id=user.key.id,
        name=user.name,
        service=user.key.service,
        account=user.key.account,
        region=user.key.region,
        arn=user.arn,
        databases=list(user.databases),
        care=standing.care,
        state=standing.state,
        reason=standing.reason,
        status=user.status,
        version=secret.current.id if secret is not None and secret.current is not None else None,
        password_age_seconds=standing.password_age(now),
        token_expires_at=token_ends,
        token_life_seconds=(token_ends - datetime.now(UTC)).total_seconds()
        if token_ends is not None
        else None,
        due=due,
        due_in_seconds=(due - now).total_seconds() if due is not None else None,
        secret_versions=standing.headroom.versions if standing.headroom is not None else None,
        interval_seconds=standing.headroom.interval.total_seconds()
        if standing.headroom is not None
        else None,
        secret_arn=secret.arn if secret is not None else None,
    )


def handed_on_view(standing: HandedOnStanding) -> UserView:
    """A static database's own user, for people."""
    return UserView(
        id=standing.name,
        name=standing.name,
        service=None,
        account=None,
        region=None,
        arn=None,
        databases=[standing.database],
        care="handed-on",
        source=f"{standing.source} {standing.where}",
        state=standing.state,
        reason=standing.error or "",
        status=None,
        version=None,
        password_age_seconds=None,
        token_expires_at=None,
        token_life_seconds=None,
        due=None,
        due_in_seconds=None,
        secret_arn=None,
    )


def session_view(record: SessionRecord, names: Mapping[int, str], now: float) -> SessionView:
    """A session, for people; `names` are login names by uid, `now` is in seconds since the epoch."""
    name = names.get(record.uid) if record.uid is not None else None
    return SessionView(
        id=record.id,
        who=name or record.identity,
        uid=record.uid,
        pid=record.pid,
        database=record.database,
        user=record.user,
        state=record.state,
        since=datetime.fromtimestamp(record.since, UTC),
        open_seconds=max(0.0, now - record.since),
        commands=record.commands,
        bytes_from_client=record.bytes_from_client,
        bytes_from_database=record.bytes_from_database,
    )


def rotation_view(rotation: Rotation) -> RotationView:
    """A run, for people."""
    finished = rotation.finished_at
    return RotationView(
        id=rotation.id,
        user=str(rotation.user),
        asked_by=rotation.asked_by,
        started_at=datetime.fromtimestamp(rotation.started_at, UTC),
        finished_at=_when(finished),
        seconds=finished - rotation.started_at if finished is not None else None,
        result=str(rotation.result),
        reason=rotation.reason,
        steps=list(rotation.steps),
        version=rotation.version,
    )
