"""Roles: which databases those who have one may use, and as which of their users."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from discovery.tags import Selector, Tags, parse_selector, selects
from proxy.directory import Record

__all__ = ["Role"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
_DATABASE = re.compile(r"[a-z0-9*-]{1,63}")
_DEFAULT = "default"


def _role_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a role's name has 1 to 63 characters, of letters, digits and ._-")
    if value == _DEFAULT:
        raise ValueError(
            "'default' is the role of root and of Valkeeper's own user and group; choose another name"
        )
    return value


def _databases(value: Any) -> Any:
    """Names stay as they are; labels become a selector."""
    if isinstance(value, Mapping):
        return parse_selector(value)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(
            'expected a list of names, such as ["orders", "carts-*"], or labels, such as {"env": "prod"}'
        )
    for name in value:
        if not _DATABASE.fullmatch(name):
            raise ValueError(
                f"{name!r} is no database's name: those are of a-z, 0-9 and -; * stands for any text"
            )
    return value


class Role(Record):
    """A role. What no role permits is denied."""

    name: Annotated[str, AfterValidator(_role_name)] = Field(description="What a listener calls it by.")
    databases: Annotated[tuple[str, ...] | Selector, BeforeValidator(_databases)] = Field(
        description="Names of databases, with * for any text; or labels, as in discovery.sources[].tags."
    )
    db_users: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = Field(
        description="Names of database users, with * for any text. Who logs in as nobody is `default`."
    )

    def permits_database(self, name: str, labels: Tags) -> bool:
        """Whether the database with this name and these labels may be used at all."""
        if isinstance(self.databases, tuple):
            return _is_among(name, self.databases)
        return selects(self.databases, labels)

    def permits_user(self, name: str) -> bool:
        """Whether it may be used as this user of it."""
        return _is_among(name, self.db_users)


def _is_among(name: str, patterns: tuple[str, ...]) -> bool:
    return any(_pattern(pattern).fullmatch(name) for pattern in patterns)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
