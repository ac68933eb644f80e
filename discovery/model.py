"""What exists: databases, their endpoints, and their users, as frozen records.

These are values. A scan makes a whole new `Inventory`; nothing here is ever changed in place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

__all__ = [
    "Authentication",
    "Database",
    "DatabaseKind",
    "Endpoint",
    "HandedOnUser",
    "Inventory",
    "Place",
    "Role",
    "SecretReference",
    "Service",
    "SourceState",
    "Tls",
    "User",
    "UserKey",
    "UserState",
    "UserStatus",
]


class Service(StrEnum):
    """The AWS service whose API a user is changed through."""

    ELASTICACHE = "elasticache"
    MEMORYDB = "memorydb"


class DatabaseKind(StrEnum):
    """Where a database comes from; the words are those of `discovery.sources[].types`."""

    ELASTICACHE = "elasticache"
    SERVERLESS = "elasticache-serverless"
    MEMORYDB = "memorydb"
    STATIC = "static"


class Authentication(StrEnum):
    """How a user proves itself, in the words of AWS's `Authentication.Type`."""

    PASSWORD = "password"
    NO_PASSWORD = "no-password"
    IAM = "iam"


class UserStatus(StrEnum):
    """What AWS says a user is doing. Words that AWS may add later read as `OTHER`."""

    ACTIVE = "active"
    MODIFYING = "modifying"
    DELETING = "deleting"
    OTHER = "other"


class Endpoint(NamedTuple):
    """A host name (or address) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`, as people write it."""
        return f"{self.host}:{self.port}"


class Place(NamedTuple):
    """An account and a region: what one boto3 session and one failure reach."""

    account: str
    region: str

    def __str__(self) -> str:
        """`account/region`, as it stands in logs."""
        return f"{self.account}/{self.region}"


class Role(NamedTuple):
    """An IAM role to assume, and the ExternalId that its trust policy may ask for."""

    arn: str
    external_id: str | None = None


class UserKey(NamedTuple):
    """What makes a user the same user: ids are unique in one service, account and region."""

    service: Service
    account: str
    region: str
    id: str

    @property
    def place(self) -> Place:
        """The account and region the user lives in."""
        return Place(self.account, self.region)

    def __str__(self) -> str:
        """`service/region/account/user/id`: the tail of the secret's name."""
        return f"{self.service}/{self.region}/{self.account}/user/{self.id}"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a database's certificate is checked.

    `verify-full` checks the chain and the name, `verify-ca` the chain only. `server_name` replaces the
    endpoint's host in both SNI and the check. `ca_file` replaces the trust store.
    """

    mode: Literal["verify-full", "verify-ca"] = "verify-full"
    server_name: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class SecretReference:
    """An existing secret of Secrets Manager, and the session that reaches it."""

    id: str  # its name or ARN
    region: str
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class HandedOnUser:
    """A static database's user whose password Valkeeper hands on without changing it: from a file or from a secret."""

    name: str
    password_file: str | None = None
    secret: SecretReference | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """One endpoint that clients connect to by name.

    A replication group with a reader is two databases: `orders` and `orders-reader`.
    `nodes` are further addresses of the same servers, where a new password is verified as well.
    """

    name: str
    kind: DatabaseKind
    endpoint: Endpoint
    place: Place | None = None  # None: outside AWS
    resource_id: str | None = None  # replication group id, serverless cache name, MemoryDB cluster name
    cluster_mode: bool = False
    nodes: tuple[Endpoint, ...] = ()
    tls: Tls = Tls()
    labels: Mapping[str, str] = field(default_factory=dict)
    handed_on: tuple[HandedOnUser, ...] = ()
    engine: str = "redis"
    engine_version: str | None = None
    upstream_mode: Literal["dedicated", "shared"] | None = None  # None: as the proxy's settings say
    description: str = ""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every address where a login has to work, the one that clients use first."""
        return (self.endpoint, *(node for node in self.nodes if node != self.endpoint))


@dataclass(frozen=True, slots=True)
class UserState:
    """What a describe call says of a user that may change from one call to the next."""

    status: UserStatus
    authentication: Authentication
    enabled: bool  # False: the access string says `off`
    password_count: int


@dataclass(frozen=True, slots=True)
class User:
    """A database user of ElastiCache or MemoryDB that reaches at least one known database."""

    key: UserKey
    name: str  # what logs in; unique only within a user group
    arn: str
    status: UserStatus
    authentication: Authentication
    managed: bool  # carries the opt-in tag
    enabled: bool  # False: the access string says `off`
    databases: tuple[str, ...]  # names of the databases it reaches, sorted


@dataclass(frozen=True, slots=True)
class SourceState:
    """How one source's last reading went."""

    name: str
    read_at: float | None  # seconds since the epoch of the last good answer; None: never
    error: str | None  # why the last attempt failed; None: it did not
    stale: bool = False  # True: what the inventory holds of it is an older answer


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything known to exist after a scan."""

    databases: Mapping[str, Database] = field(default_factory=dict)  # by name
    users: Mapping[UserKey, User] = field(default_factory=dict)
    sources: tuple[SourceState, ...] = ()

    def databases_of(self, user: User) -> Iterator[Database]:
        """The databases a user reaches, in the order of their names."""
        return (self.databases[name] for name in user.databases if name in self.databases)
