"""The configuration's section `databases:`, the static ones."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from discovery.hosts import AwsHost, aws_host
from discovery.model import Endpoint, Role
from discovery.names import MAX_LENGTH, NAME
from discovery.settings_fields import (
    AwsKind,
    ExternalId,
    Region,
    RoleArn,
    Section,
    role_of,
    without_role,
)

__all__ = [
    "StaticAwsSettings",
    "StaticDatabaseSettings",
    "StaticDatabases",
    "StaticUserSettings",
    "TlsSettings",
    "parse_uri",
]

_DEFAULT_PORT = 6379
_SECRET_ID = re.compile(
    r"(arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:)?[A-Za-z0-9/_+=.@!-]{1,519}"
)


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"a name has 1 to {MAX_LENGTH} characters, of a-z, 0-9 and -")
    return value


def parse_uri(uri: str) -> tuple[Endpoint, bool]:
    """The endpoint of `rediss://host:port`, and whether `?mode=cluster` follows; without a port it is 6379.

    Raises:
        ValueError: it is something else; the message says what is allowed, and repeats nothing of it.
    """
    if _may_hold_a_secret(uri):
        raise ValueError(
            "a uri holds no user and no password: name them under `users`, each with a password_file or a secret"
        )
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("expected rediss://host:port") from None
    if parts.scheme == "redis":
        raise ValueError(
            "plain redis:// is refused, for passwords go over TLS only; write rediss://host:port"
        )
    other = parts.query not in {"", "mode=cluster"} or parts.fragment
    if parts.scheme != "rediss" or not host or port == 0 or other:
        raise ValueError("expected rediss://host:port, with ?mode=cluster or nothing behind it")
    if parts.path not in {"", "/"}:
        raise ValueError("a uri names no database number; clients choose it with SELECT")
    return Endpoint(host, port or _DEFAULT_PORT), bool(parts.query)


def _uri(value: str) -> str:
    parse_uri(value)
    return value


def _may_hold_a_secret(uri: str) -> bool:
    return "@" in uri or "password" in uri.lower()


_HIDDEN = "(not shown)"


class TlsSettings(Section):
    """How a static database's certificate is checked."""

    mode: Literal["verify-full", "verify-ca"] = Field(
        "verify-full", description="verify-full checks the chain and the name, verify-ca the chain only."
    )
    server_name: str | None = Field(
        None, description="The name to ask for and to check, in place of the host."
    )
    ca_file: str | None = Field(None, description="Certificates to trust, in place of the system's.")


class _Refused(str):
    """Stands for a value that may be a password: errors repeat what they refuse, and of this one nothing is to be seen."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, reason: str) -> Self:
        refused = super().__new__(cls, _HIDDEN)
        refused.reason = reason
        return refused


def _secret(value: Any) -> Any:
    if isinstance(value, _Refused):
        raise ValueError(value.reason)  # noqa: TRY004  pydantic reads ValueError only
    return value


class StaticUserSettings(Section):
    """A user whose password Valkeeper hands on without changing it: it is somebody else's to rotate."""

    name: str = Field(min_length=1, description="What logs in.")
    password_file: str | None = Field(
        None, min_length=1, description="The file that holds its password; re-read when it changes."
    )
    secret: Annotated[str | None, BeforeValidator(_secret)] = Field(
        None,
        description="Or the name or ARN of an existing secret, JSON with username and password; re-read each discovery.",
    )

    @model_validator(mode="before")
    @classmethod
    def _hide_what_may_be_a_password(cls, value: Any) -> Any:
        """Errors repeat the value they refuse, and `password: …` is what people write by mistake."""
        if not isinstance(value, Mapping):
            return _HIDDEN
        shown = {key: one if key in cls.model_fields else _HIDDEN for key, one in value.items()}
        file, secret = value.get("password_file"), value.get("secret")
        if (file is None) == (secret is None):
            both = {
                "password_file": None,
                "secret": _Refused("a user needs either a password_file or a secret"),
            }
            return shown | both
        if secret is not None and not (isinstance(secret, str) and _SECRET_ID.fullmatch(secret)):
            shown["secret"] = _Refused(
                "expected the name or ARN of a secret in Secrets Manager, not the password itself"
            )
        return shown

    @property
    def secret_region(self) -> str | None:
        """The region that the secret's ARN tells; None: it is a name, or there is no secret."""
        found = _SECRET_ID.fullmatch(self.secret or "")
        return found["region"] if found is not None else None


class StaticAwsSettings(Section):
    """Where in AWS a static database is, as far as its host name does not tell."""

    region: Region | None = Field(
        None, description="Its region; none: as the host name says, else the default one."
    )
    account_id: Annotated[str, Field(pattern=r"^\d{12}$")] | None = Field(
        None, description="Its account: discovery fails where the credentials reach another."
    )
    assume_role_arn: RoleArn | None = Field(None, description="The role to assume for it.")
    external_id: ExternalId | None = Field(None, description="What the role's trust policy asks for.")
    type: AwsKind | None = Field(None, description="Which type it is; none: as the host name says, else any.")
    resource_id: str | None = Field(
        None, min_length=1, description="For a host name of your own: the id or name of what it leads to."
    )

    @model_validator(mode="before")
    @classmethod
    def _external_id_needs_a_role(cls, values: Any) -> Any:
        return without_role(values)

    @property
    def role(self) -> Role | None:
        """The role to assume; None: Valkeeper's own credentials do."""
        return role_of(self.assume_role_arn, self.external_id)


def _unique_users(users: tuple[StaticUserSettings, ...]) -> tuple[StaticUserSettings, ...]:
    _refuse_repeated("user", [user.name for user in users])
    return users


class StaticUpstreamSettings(Section):
    """How clients' commands get to one database."""

    mode: Literal["dedicated", "shared"] | None = Field(
        None, description="As `proxy.upstream.mode`, for this database; none: as there."
    )


class StaticDatabaseSettings(Section):
    """One of `databases:`: any Redis or Valkey with TLS."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="What clients call it: a-z, 0-9 and -.")
    uri: Annotated[str, AfterValidator(_uri)] = Field(
        description="rediss://host:port, for a cluster with ?mode=cluster"
    )
    tls: TlsSettings = Field(TlsSettings(), description="How its certificate is checked.")
    upstream: StaticUpstreamSettings = Field(
        StaticUpstreamSettings(), description="How clients' commands get to it."
    )
    labels: Mapping[str, str] = Field({}, description="What roles choose it by.")
    description: str = Field("", description="What people should know about it.")
    users: Annotated[tuple[StaticUserSettings, ...], AfterValidator(_unique_users)] = Field(
        (), description="Users whose passwords are handed on."
    )
    aws: StaticAwsSettings | None = Field(
        None, description="Set it where the database is in AWS and its host name does not say so."
    )

    @model_validator(mode="before")
    @classmethod
    def _hide_what_may_be_a_password(cls, value: Any) -> Any:
        """Errors repeat the value they refuse, so a uri with a password is hidden before it is refused."""
        uri = value.get("uri") if isinstance(value, Mapping) else None
        if isinstance(uri, str) and _may_hold_a_secret(uri):
            return {**value, "uri": f"{_HIDDEN}@"}
        return value

    @model_validator(mode="after")
    def _a_resource_has_a_type(self) -> Self:
        if self.aws is not None and self.aws.resource_id and self.aws.type is None and self.aws_host is None:
            raise ValueError("aws.resource_id needs aws.type, since the host does not tell it")
        return self

    @property
    def endpoint(self) -> Endpoint:
        """The host and port of `uri`."""
        return parse_uri(self.uri)[0]

    @property
    def cluster_mode(self) -> bool:
        """Whether `uri` says that it is a cluster."""
        return parse_uri(self.uri)[1]

    @property
    def aws_host(self) -> AwsHost | None:
        """What its host name tells about AWS; None: nothing."""
        return aws_host(self.endpoint.host)

    @property
    def on_aws(self) -> bool:
        """Whether it is looked for in AWS: its host name says so, or there is an `aws`, were it empty."""
        return self.aws is not None or self.aws_host is not None

    @property
    def role(self) -> Role | None:
        """The role by which it is reached; None: Valkeeper's own credentials do."""
        return self.aws.role if self.aws is not None else None

    def region(self, default: str | None) -> str | None:
        """Its region: what `aws` says, else its host name, else the default one."""
        told = self.aws.region if self.aws is not None else None
        return told or (self.aws_host.region if self.aws_host is not None else None) or default


def _unique_databases(databases: tuple[StaticDatabaseSettings, ...]) -> tuple[StaticDatabaseSettings, ...]:
    _refuse_repeated("database", [database.name for database in databases])
    return databases


def _refuse_repeated(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"every {what} needs a name of its own; repeated: {', '.join(repeated)}")


StaticDatabases = Annotated[tuple[StaticDatabaseSettings, ...], AfterValidator(_unique_databases)]
"""The section `databases:`: names are unique."""
