"""One model of all settings: a YAML file, the environment (`VALKEEPER_…`) and flags; flag beats environment beats file."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from discovery.duration import Duration, format_duration
from discovery.settings import DiscoverySettings
from discovery.static_settings import StaticDatabases
from proxy.roles import Role
from proxy.settings import ProxySettings
from rotator.errors import UsageError

__all__ = ["DEFAULT_FILE", "AdminSettings", "LogSettings", "RotationSettings", "Settings", "load"]

DEFAULT_FILE = Path("/etc/valkeeper/valkeeper.yaml")
_PREFIX = "VALKEEPER_"
_FILE_VARIABLE = "VALKEEPER_CONFIG"
_SHORTEST_INTERVAL = timedelta(seconds=5)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _not_too_short(value: timedelta) -> timedelta:
    if value < _SHORTEST_INTERVAL:
        raise ValueError(
            f"{format_duration(value)} is too short: a rotation needs time to settle,"
            f" so {format_duration(_SHORTEST_INTERVAL)} is the least"
        )
    return value


class RotationSettings(_Section):
    """The section `rotation:`."""

    interval: Annotated[Duration, AfterValidator(_not_too_short)] = Field(
        timedelta(minutes=15), description="How old a password gets before it is succeeded."
    )
    jitter: Duration = Field(
        timedelta(seconds=30),
        description="Rotations are put off by a random part of this, and of a tenth of the interval at most.",
    )
    managed_tag: str = Field(
        "teleport.dev/managed", min_length=1, max_length=128, description="The tag by which a user opts in."
    )
    secret_prefix: str = Field(
        "valkeeper/",
        pattern=r"^[A-Za-z0-9/_+=.@-]{1,256}$",
        description="What the names of users' secrets begin with.",
    )
    kms_key_id: str | None = Field(
        None,
        description="The KMS key of the users' secrets, given to existing ones too; none: new ones get AWS's own.",
    )

    @property
    def spread(self) -> timedelta:
        """The most by which a rotation is put off."""
        return min(self.jitter, self.interval / 10)


class AccessSettings(_Section):
    """The section `access:`."""

    roles: tuple[Role, ...] = Field(
        (), description="Roles beside the default one, which lets in root and Valkeeper's own user and group."
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [role.name for role in self.roles]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two roles named '{name}'; put them together, or rename one")
        return self


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  the largest TCP port
        raise ValueError(f"{value!r} is not <address>:<port>, such as 127.0.0.1:9127")
    return value


class AdminSettings(_Section):
    """The section `admin:`."""

    listen: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1:9127", description="Where /healthz, /readyz and /metrics are served; port 0: any free one."
    )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class LogSettings(_Section):
    """The section `log:`."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least to be logged.")
    format: Literal["json", "console"] = Field("json", description="One JSON object a line, or for people.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    discovery: DiscoverySettings = DiscoverySettings()
    databases: StaticDatabases = ()
    rotation: RotationSettings = RotationSettings()
    proxy: ProxySettings = ProxySettings()
    access: AccessSettings = AccessSettings()
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _roles_are_known(self) -> Self:
        known = [role.name for role in self.access.roles]
        for listener in self.proxy.listeners:
            if listener.role is not None and listener.role not in known:
                there = f"there are {', '.join(known)}" if known else "there is none"
                raise ValueError(
                    f"the listener on {listener.tls} names the role '{listener.role}', which access.roles lacks "
                    f"({there}); add it there, or name another"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no hidden files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  nor folders
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file."""
        return (init_settings, env_settings, _FileSource(settings_cls))


class _FileSource(PydanticBaseSettingsSource):
    """What `load` read from the file."""

    content: Mapping[str, Any] = {}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  pydantic's
        """One top-level section."""
        return self.content.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The whole file."""
        return dict(_FileSource.content)


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings from everywhere.

    Args:
        file: the configuration file; None: what `VALKEEPER_CONFIG` names, else `/etc/valkeeper/valkeeper.yaml` if
            there is one, else none.
        flags: nested like the file; they win.

    Raises:
        UsageError: something is wrong; the message has a line for each key, with its value and what is allowed.
    """
    named = file or (Path(value) if (value := os.environ.get(_FILE_VARIABLE)) else None)
    if named is None and DEFAULT_FILE.exists():
        named = DEFAULT_FILE
    _refuse_unknown_variables()
    _FileSource.content = _read(named) if named is not None else {}
    try:
        return Settings(**(flags or {}))
    except ValidationError as error:
        raise UsageError("\n".join(_explain(error))) from None
    except ValueError as error:  # a variable that should hold JSON, and does not
        raise UsageError(f"{error}: {error.__cause__}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the configuration file {file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the configuration file {file} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{file}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{file}: expected sections such as 'discovery:' at the top")
    return content


def _refuse_unknown_variables() -> None:
    sections = {f"{_PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in os.environ:
        if not name.upper().startswith(_PREFIX) or name.upper() == _FILE_VARIABLE:
            continue
        if name.upper().split("__")[0] not in sections:
            raise UsageError(
                f"{name}: unknown environment variable; allowed are {_FILE_VARIABLE} and those that begin with"
                f" {', '.join(sorted(sections))}, such as VALKEEPER_ROTATION__INTERVAL"
            )


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors(include_url=False):
        key = ".".join(str(part) for part in one["loc"])
        text = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            text = f"unknown key; allowed here: {', '.join(_allowed(one['loc']))}"
        elif not isinstance(one["input"], dict | list | BaseModel) and not _may_hold_a_secret(one["input"]):
            text = f"{one['input']!r}: {text}"
        lines.append(f"{key}: {text}" if key else text)  # without a key it is about several sections
    return lines


def _may_hold_a_secret(value: object) -> bool:
    """Whether a refused value might be a URI with a password in it, wherever it was put by mistake."""
    return "@" in str(value) or "password" in str(value).lower()


def _allowed(where: tuple[int | str, ...]) -> list[str]:
    """The keys that a section knows."""
    model: Any = Settings
    for part in where[:-1]:
        if isinstance(part, str) and hasattr(model, "model_fields") and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return sorted(model.model_fields) if hasattr(model, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    """The model in an annotation such as `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
