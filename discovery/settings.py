"""The configuration's sections `discovery:` and `databases:`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from discovery.duration import Duration
from discovery.model import DatabaseKind, Endpoint, Role
from discovery.names import MAX_LENGTH, NAME
from discovery.tags import EVERYTHING, Selector, parse_selector

__all__ = [
    "DiscoverySettings",
    "SourceSettings",
    "StaticDatabaseSettings",
    "StaticDatabases",
    "StaticUserSettings",
    "TlsSettings",
    "parse_uri",
]

_DEFAULT_PORT = 6379
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


def _supported(value: Any) -> Any:
    kinds = [kind.value for kind in DatabaseKind if kind is not DatabaseKind.STATIC]
    if value not in kinds:
        raise ValueError(f"allowed are {', '.join(kinds)}")
    return value


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("expected an AWS region, such as us-east-1")
    return value


def _not_yet(value: str | None) -> str | None:
    if value is not None:
        raise ValueError("assumed roles are not supported yet; leave it out, or null")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"a name has 1 to {MAX_LENGTH} characters, of a-z, 0-9 and -")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("has to be more than nothing, such as 5m")
    return value


def parse_uri(uri: str) -> Endpoint:
    """The endpoint of `rediss://host:port`; without a port it is 6379.

    Raises:
        ValueError: it is something else; the message says what is allowed, and repeats nothing of it.
    """
    if _may_hold_a_secret(uri):
        raise ValueError(
            "a uri holds no user and no password: name them under `users`, each with a password_file"
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
    if parts.query == "mode=cluster":
        raise ValueError("?mode=cluster is not supported yet")
    if parts.scheme != "rediss" or not host or port == 0 or parts.query or parts.fragment:
        raise ValueError("expected rediss://host:port, and nothing else")
    if parts.path not in {"", "/"}:
        raise ValueError("a uri names no database number; clients choose it with SELECT")
    return Endpoint(host, port or _DEFAULT_PORT)


def _uri(value: str) -> str:
    parse_uri(value)
    return value


def _may_hold_a_secret(uri: str) -> bool:
    return "@" in uri or "password" in uri.lower()


_HIDDEN = "(not shown)"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(_Section):
    """One of `discovery.sources`: where to look, and what to take."""

    types: tuple[Annotated[DatabaseKind, BeforeValidator(_supported)], ...] = Field(
        (DatabaseKind.ELASTICACHE, DatabaseKind.SERVERLESS, DatabaseKind.MEMORYDB),
        min_length=1,
        description="What to discover: elasticache (replication groups), elasticache-serverless, memorydb.",
    )
    regions: tuple[Annotated[str, AfterValidator(_region)], ...] = Field(
        (), description="AWS regions; none: the one that AWS's own settings name."
    )
    tags: Annotated[Selector, BeforeValidator(parse_selector)] = Field(
        EVERYTHING,
        description="Labels a database needs: key to a value or a list; * and ^regular expressions$.",
    )
    assume_role_arn: Annotated[str | None, AfterValidator(_not_yet)] = Field(
        None, description="Not supported yet: leave it null."
    )
    external_id: Annotated[str | None, AfterValidator(_not_yet)] = Field(
        None, description="Not supported yet: leave it null."
    )

    @property
    def role(self) -> Role | None:
        """The role to assume; None: Valkeeper's own credentials do."""
        return Role(self.assume_role_arn, self.external_id) if self.assume_role_arn is not None else None


class DiscoverySettings(_Section):
    """The section `discovery:`."""

    interval: Annotated[Duration, AfterValidator(_positive)] = Field(
        timedelta(minutes=5), description="How often AWS is read."
    )
    sources: tuple[SourceSettings, ...] = Field(
        (SourceSettings(),), description="Where databases are looked for; an empty list: nowhere in AWS."
    )


class TlsSettings(_Section):
    """How a static database's certificate is checked."""

    mode: Literal["verify-full", "verify-ca"] = Field(
        "verify-full", description="verify-full checks the chain and the name, verify-ca the chain only."
    )
    server_name: str | None = Field(
        None, description="The name to ask for and to check, in place of the host."
    )
    ca_file: str | None = Field(None, description="Certificates to trust, in place of the system's.")


class StaticUserSettings(_Section):
    """A user whose password Valkeeper hands on without changing it."""

    name: str = Field(min_length=1, description="What logs in.")
    password_file: str = Field(min_length=1, description="The file that holds its password.")

    @model_validator(mode="before")
    @classmethod
    def _hide_what_may_be_a_password(cls, value: Any) -> Any:
        """Errors repeat the value they refuse, and `password: …` is what people write by mistake."""
        if not isinstance(value, Mapping):
            return _HIDDEN
        return {key: one if key in cls.model_fields else _HIDDEN for key, one in value.items()}


def _unique_users(users: tuple[StaticUserSettings, ...]) -> tuple[StaticUserSettings, ...]:
    _refuse_repeated("user", [user.name for user in users])
    return users


class StaticDatabaseSettings(_Section):
    """One of `databases:`: any Redis or Valkey with TLS."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="What clients call it: a-z, 0-9 and -.")
    uri: Annotated[str, AfterValidator(_uri)] = Field(description="rediss://host:port")
    tls: TlsSettings = Field(TlsSettings(), description="How its certificate is checked.")
    labels: Mapping[str, str] = Field({}, description="What roles choose it by.")
    description: str = Field("", description="What people should know about it.")
    users: Annotated[tuple[StaticUserSettings, ...], AfterValidator(_unique_users)] = Field(
        (), description="Users whose passwords are handed on."
    )

    @model_validator(mode="before")
    @classmethod
    def _hide_what_may_be_a_password(cls, value: Any) -> Any:
        """Errors repeat the value they refuse, so a uri with a password is hidden before it is refused."""
        uri = value.get("uri") if isinstance(value, Mapping) else None
        if isinstance(uri, str) and _may_hold_a_secret(uri):
            return {**value, "uri": f"{_HIDDEN}@"}
        return value

    @property
    def endpoint(self) -> Endpoint:
        """The host and port of `uri`."""
        return parse_uri(self.uri)


def _unique_databases(databases: tuple[StaticDatabaseSettings, ...]) -> tuple[StaticDatabaseSettings, ...]:
    _refuse_repeated("database", [database.name for database in databases])
    return databases


def _refuse_repeated(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"every {what} needs a name of its own; repeated: {', '.join(repeated)}")


StaticDatabases = Annotated[tuple[StaticDatabaseSettings, ...], AfterValidator(_unique_databases)]
"""The section `databases:`: names are unique."""
