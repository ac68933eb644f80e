"""The `proxy:` section of the configuration."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from discovery.duration import Duration
from proxy.admission import Limits
from proxy.directory import Record, UpstreamMode

__all__ = [
    "LimitSettings",
    "ListenerSettings",
    "ProxySettings",
    "UpstreamSettings",
    "WorkerSettings",
    "socket_path",
]

_MAX_SOCKET_PATH = 107
_MAX_PORT = 65535


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenerSettings(_Section):
    """One way in: a Unix socket, a loopback TCP port, or a TLS port.

    A Unix socket whose path says `{database}` is one for each database. One that does not, and a port without `database`,
    serve them all: clients log in as `user@database`, or ask a TLS port for a name whose first label is the database's.
    """

    unix: str | None = Field(default=None, description="A socket's path; {database}: one for each.")
    tcp: str | None = Field(
        default=None, description="A loopback address and port: plaintext, off unless asked for."
    )
    tls: str | None = Field(
        default=None, description="An address and port where clients speak TLS, such as 0.0.0.0:6381."
    )
    cert_file: Path | None = Field(
        default=None,
        description="PEM certificate of a tls port, with the chain behind it; read again when it changes.",
    )
    key_file: Path | None = Field(default=None, description="Its private key, unencrypted.")
    role: str | None = Field(
        default=None,
        description="What clients of a tls port may do: a role of access.roles. A tls port needs one.",
    )
    database: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,63}$",
        description="Which database a tcp or tls port serves; none: clients log in as user@database, or ask a tls port "
        "for a name whose first label is the database's (SNI).",
    )
    db_user: str | None = Field(
        default=None, min_length=1, description="The user of clients that name none; none: default."
    )

    mode: UpstreamMode | None = Field(
        default=None, description="As `proxy.upstream.mode`, for clients that come by it."
    )

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if sum(where is not None for where in (self.unix, self.tcp, self.tls)) != 1:
            raise ValueError(
                "a listener has one of 'unix: <path>', 'tcp: <address>:<port>' and 'tls: <address>:<port>'"
            )
        if self.unix is not None and self.database is not None:
            raise ValueError(
                "'database' belongs to a tcp or tls listener; a unix listener's path says {database}"
            )
        return self

    @model_validator(mode="after")
    def _all_of_tls(self) -> Self:
        needed = {"cert_file": self.cert_file, "key_file": self.key_file, "role": self.role}
        missing = [f"'{name}'" for name, value in needed.items() if value is None]
        if self.tls is not None and missing:
            raise ValueError(
                f"a tls listener needs {' and '.join(missing)}: its certificate and key (PEM files), and the role of "
                "access.roles that says what its clients may do"
            )
        if self.tls is None and len(missing) < len(needed):
            given = " and ".join(f"'{name}'" for name, value in needed.items() if value is not None)
            raise ValueError(
                f"{given} only a tls listener has; write 'tls: <address>:<port>', or leave it out"
            )
        return self

    @field_validator("tcp", "tls")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
            raise ValueError(f"'{value}' is not <address>:<port>, such as 127.0.0.1:6380")
        return value

    @field_validator("tcp")
    @classmethod
    def _loopback_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host = value.rpartition(":")[0]
        try:
            loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError(
                f"'{value}' is not a loopback address; a tcp listener is plaintext and knows no callers, "
                "so only 127.0.0.1, [::1] and localhost are allowed"
            )
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a tcp or tls listener."""
        host, _, port = (self.tcp or self.tls or "").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_per_database(self) -> bool:
        """True where every database has a socket of its own."""
        return self.unix is not None and "{database}" in self.unix


class UpstreamSettings(_Section):
    """How databases are reached."""

    mode: UpstreamMode = Field(
        default="dedicated",
        description="dedicated: each client gets a connection of its own; shared: a few are for all clients of a "
        "database and user.",
    )
    ca_file: Path | None = Field(default=None, description="Certificates to trust; none: the system's.")
    connect_timeout: Duration = Field(
        default=timedelta(seconds=5),
        description="For dial, TLS and AUTH together, and for the rotator's own logins.",
    )

    @field_validator("connect_timeout")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value <= timedelta():
            raise ValueError("a connect timeout is longer than nothing, such as 5s")
        return value


class LimitSettings(_Section):
    """How many clients there may be. Whole numbers are for all workers together, which share them out evenly."""

    connections: int = Field(
        default=10_000, ge=1, description="Clients' connections in all, logged in or not."
    )
    per_database: int | None = Field(default=None, ge=1, description="To one database; none: no limit.")
    per_identity: int | None = Field(
        default=None,
        ge=1,
        description="Of one uid, of one address by TLS, and of all who come over loopback TCP together; none: no limit.",
    )
    new_per_second: float | None = Field(
        default=500.0,
        gt=0,
        description="New connections to one database: a second's worth at once, further ones wait up to "
        "`connect_timeout` for their turn; none: no limit.",
    )
    idle_timeout: Duration | None = Field(
        default=None,
        description="Connections without a byte for so long are ended with an error, blocked and subscribed ones "
        "excepted; none: never.",
    )

    @field_validator("idle_timeout")
    @classmethod
    def _some_time(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value <= timedelta():
            raise ValueError("an idle timeout is longer than nothing, such as 10m")
        return value

    def share(self, workers: int) -> Limits:
        """What one of so many workers may take."""
        return Limits(
            connections=-(-self.connections // workers),
            per_database=None if self.per_database is None else -(-self.per_database // workers),
            per_identity=None if self.per_identity is None else -(-self.per_identity // workers),
            new_per_second=None if self.new_per_second is None else self.new_per_second / workers,
        )


class ProxySettings(_Section):
    """The whole section."""

    workers: int = Field(default=1, ge=1, le=256, description="Processes that carry traffic.")
    runtime_dir: Path = Field(default=Path("/run/valkeeper"), description="Where all sockets are.")
    listeners: tuple[ListenerSettings, ...] = Field(
        default=(ListenerSettings(unix="{runtime_dir}/{database}.sock"),), min_length=1
    )
    upstream: UpstreamSettings = UpstreamSettings()
    limits: LimitSettings = LimitSettings()
    drain_timeout: Duration = Field(
        default=timedelta(seconds=10), description="What open connections get when the proxy is told to end."
    )

    @model_validator(mode="after")
    def _paths_fit(self) -> Self:
        for listener in self.listeners:
            if listener.unix is None:
                continue
            path = socket_path(listener.unix, self.runtime_dir, "a" if listener.is_per_database else "")
            if len(str(path).encode()) > _MAX_SOCKET_PATH:
                raise ValueError(f"'{path}' is longer than the {_MAX_SOCKET_PATH} bytes of a socket's path")
            if not path.is_absolute():
                raise ValueError(f"'{listener.unix}' is not an absolute path; begin it with {{runtime_dir}}/")
            if self.control_dir in (path, *path.parents):
                raise ValueError(f"'{path}' is inside {self.control_dir}, which is Valkeeper's own")
        return self

    @property
    def control_dir(self) -> Path:
        """Where only root and Valkeeper may go."""
        return self.runtime_dir / "control"

    @property
    def directory_socket(self) -> Path:
        """Where the rotator publishes."""
        return self.control_dir / "directory.sock"


class WorkerSettings(Record):
    """What a worker is told of it. Times are in seconds."""

    mode: UpstreamMode
    ca_file: str | None
    connect_timeout: float
    drain_timeout: float
    limits: Limits
    idle_timeout: float | None

    @classmethod
    def of(cls, settings: ProxySettings) -> Self:
        """The part of the settings that workers need."""
        ca_file = settings.upstream.ca_file
        idle = settings.limits.idle_timeout
        return cls(
            mode=settings.upstream.mode,
            ca_file=None if ca_file is None else str(ca_file),
            connect_timeout=settings.upstream.connect_timeout.total_seconds(),
            drain_timeout=settings.drain_timeout.total_seconds(),
            limits=settings.limits.share(settings.workers),
            idle_timeout=None if idle is None else idle.total_seconds(),
        )


def socket_path(template: str, runtime_dir: Path, database: str) -> Path:
    """Where a unix listener's socket for a database is."""
    return Path(template.replace("{runtime_dir}", str(runtime_dir)).replace("{database}", database))
