"""From an account's users to the ACL rules of a Redis server: pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DEFAULT_USER", "Acl", "Login", "access_string_problem", "changes", "rules"]

DEFAULT_USER = "default"

Acl = Mapping[str, tuple[str, ...]]
"""User names, and for each the rules that ACL SETUSER takes after the name."""

_TOKEN = re.compile(
    r"on|off|[~&].+|%(R|W|RW)~.+|\([^()]*|[^()]*\)|[+-]@?[a-z][a-z0-9|_.-]*"
    r"|(all|reset)(keys|channels)|(all|no)commands|clearselectors|sanitize-payload|skip-sanitize-payload",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Login:
    """What an account says about a user's way in: how it authenticates, and what it may do."""

    access_string: str
    authentication: Literal["password", "no-password", "iam"]
    passwords: tuple[str, ...] = ()


def access_string_problem(access_string: str) -> str | None:
    """Return the first word of `access_string` that is no access rule, or None.

    Passwords have no place in an access string: AWS takes them as parameters of their own.
    """
    return next((word for word in access_string.split() if not _TOKEN.fullmatch(word)), None)


def rules(name: str, login: Login) -> tuple[str, ...]:
    """Return the rules that make a server's user exactly what `login` says, whatever it was before."""
    if login.authentication == "password":
        way_in = [f"#{hashlib.sha256(password.encode()).hexdigest()}" for password in login.passwords]
    elif login.authentication == "iam" or name == DEFAULT_USER:
        # No token is known to Redis itself. And a default user without password would let every
        # client in before it has said who it is, so that no test of a login could fail.
        way_in = ["resetpass"]
    else:
        way_in = ["nopass"]
    access = login.access_string.split()
    if name == DEFAULT_USER and way_in == ["resetpass"]:
        access = ["off"]
    return ("reset", *way_in, *access)


def changes(held: Acl, wanted: Acl) -> Iterable[tuple[str, ...]]:
    """Yield the ACL commands, without their first word, that lead from `held` to `wanted`."""
    for name in held.keys() - wanted.keys():
        # Redis does not delete its default user, and ends the connections of every other.
        yield ("SETUSER", name, "reset") if name == DEFAULT_USER else ("DELUSER", name)
    for name, wanted_rules in wanted.items():
        if held.get(name) != wanted_rules:
            yield ("SETUSER", name, *wanted_rules)
