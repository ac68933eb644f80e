"""What the proxy serves from: an immutable directory of databases and credentials, and its updates.

The directory is made by whoever knows the cloud and arrives over a socket. Every record replaces its
predecessor whole; a directory is never changed in place, so a session may keep the one it began with.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, SerializationInfo
from pydantic.functional_serializers import PlainSerializer

__all__ = ["Credential", "Database", "Directory", "Record", "Tls", "Update", "UpstreamMode", "to_wire"]

UpstreamMode = Literal["dedicated", "shared"]
"""Whether each client gets a connection of its own to its database, or a few are for all."""

_REVEAL = {"reveal_secrets": True}


def _serialize_secret(secret: SecretStr, info: SerializationInfo) -> str:
    if info.context is not None and info.context.get("reveal_secrets") is True:
        return secret.get_secret_value()
    return str(secret)


WireSecret = Annotated[SecretStr, PlainSerializer(_serialize_secret, return_type=str, when_used="json")]
"""A secret that stays masked in every dump but the one made by `to_wire`."""


class Record(BaseModel):
    """A frozen value that can cross a socket as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def to_wire(record: Record) -> bytes:
    """The record as one line of JSON, secrets revealed: for the control sockets and nothing else."""
    return record.model_dump_json(context=_REVEAL).encode() + b"\n"


class Tls(Record):
    """How a database's certificate is checked; see `discovery.model.Tls`."""

    mode: Literal["verify-full", "verify-ca"] = "verify-full"
    server_name: str | None = None
    ca_file: str | None = None


class Credential(Record):
    """What logs a database user in, whichever of its databases is asked for."""

    key: str  # who it is, across databases: the user's service, region, account and id
    kind: Literal["managed", "released", "iam", "handed-on"]
    username: str
    version: str  # names `current`: the version id of AWSCURRENT, or a digest that reveals nothing
    current: WireSecret
    previous: WireSecret | None = None
    made: AwareDatetime | None = None  # when `current` was
    previous_made: AwareDatetime | None = None  # when `previous` was
    retired_before: AwareDatetime | None = None  # what passwords made before this opened ends; None: nothing
    expires_at: AwareDatetime | None = None  # of `current`, for tokens

    def has_expired(self, now: datetime) -> bool:
        """Whether `current` is a token whose time is over. It is not to be sent to anybody then."""
        return self.expires_at is not None and self.expires_at <= now


class Database(Record):
    """One endpoint that clients reach by name."""

    name: str
    host: str
    port: int
    tls: Tls = Tls()
    cluster_mode: bool = False
    mode: UpstreamMode | None = None  # None: as the proxy's settings say
    labels: Mapping[str, str] = Field(default_factory=dict)
    users: Mapping[str, str] = Field(
        default_factory=dict
    )  # user name → credential key, which may be unknown yet


class Update(Record):
    """The records that changed between two versions of a directory.

    Sent as well, with an unchanged record, to answer a proxy that reported a credential as rejected.
    """

    version: int
    databases: tuple[Database, ...] = ()
    credentials: tuple[Credential, ...] = ()
    removed_databases: tuple[str, ...] = ()
    removed_credentials: tuple[str, ...] = ()


class Directory(Record):
    """Everything a proxy knows. Versions only grow while one rotator publishes."""

    version: int = 0
    databases: Mapping[str, Database] = Field(default_factory=dict)  # by name
    credentials: Mapping[str, Credential] = Field(default_factory=dict)  # by key

    def credential(self, database: str, username: str) -> Credential | None:
        """The credential of a database's user; None where Valkeeper holds none for it."""
        entry = self.databases.get(database)
        key = entry.users.get(username) if entry else None
        return self.credentials.get(key) if key is not None else None

    def heir_of(self, older: Self) -> Self:
        """This directory, with the older one's credentials for users whose passwords its sender has not read yet.

        A database names the keys of all users that are logged in; a rotator that has just started knows the keys
        before it knows the passwords, and the last good credential serves until then.
        """
        named = {key for database in self.databases.values() for key in database.users.values()}
        kept = {key: one for key, one in older.credentials.items() if key in named}
        return self.model_copy(update={"credentials": {**kept, **self.credentials}})

    def updated(self, update: Update) -> Self:
        """The directory that follows from this one and an update."""
        databases = dict(self.databases) | {record.name: record for record in update.databases}
        credentials = dict(self.credentials) | {record.key: record for record in update.credentials}
        for name in update.removed_databases:
            databases.pop(name, None)
        for key in update.removed_credentials:
            credentials.pop(key, None)
        return self.model_copy(
            update={"version": update.version, "databases": databases, "credentials": credentials}
        )
