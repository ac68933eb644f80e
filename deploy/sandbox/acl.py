"""From an account's users to the ACL rules of a Redis server: pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "DEFAULT_USER",
    "EVERYTHING",
    "Acl",
    "Login",
    "Logins",
    "access_string_problem",
    "acl_of",
    "changes",
    "password_problem",
    "rules",
]

DEFAULT_USER = "default"
EVERYTHING = "on ~* &* +@all"
_FORBIDDEN = frozenset(',"/@')

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
    authentication: Literal["password", "no-password", "iam", "open-access"]
    passwords: tuple[str, ...] = ()


Logins = Mapping[str, Login]
"""User names, and how each gets into a database."""


def access_string_problem(access_string: str) -> str | None:
    """Return the first word of `access_string` that is no access rule, or None.

    Passwords have no place in an access string: AWS takes them as parameters of their own.
    """
    return next((word for word in access_string.split() if not _TOKEN.fullmatch(word)), None)


def password_problem(passwords: tuple[str, ...]) -> str | None:
    """Return what AWS has against these as a user's passwords, or None."""
    if len(passwords) > 2:
        return "A user can have at most 2 passwords."
    for password in passwords:
        if not 16 <= len(password) <= 128:
            return "Passwords length must be between 16-128 characters."
        if not (password.isascii() and password.isprintable()) or _FORBIDDEN & set(password):
            return 'Passwords are printable characters, and none of , " / @ is among them.'
    return None


def acl_of(logins: Logins, gate_password: str | None = None) -> Acl:
    """Return the users of a server that lets `logins` in."""
    return {name: rules(name, login, gate_password) for name, login in logins.items()}


def rules(name: str, login: Login, gate_password: str | None = None) -> tuple[str, ...]:
    """Return the rules that make a server's user exactly what `login` says, whatever it was before.

    An IAM user gets `gate_password`, which the gate before the server logs in with once it has
    checked the user's token; without a gate nobody logs in as an IAM user.
    """
    if login.authentication == "password":
        way_in = [_digest(password) for password in login.passwords]
    elif login.authentication == "open-access":
        way_in = ["nopass"]
    elif login.authentication == "iam" and gate_password is not None and name != DEFAULT_USER:
        way_in = [_digest(gate_password)]
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


def _digest(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def changes(held: Acl, wanted: Acl) -> Iterable[tuple[str, ...]]:
    """Yield the ACL commands, without their first word, that lead from `held` to `wanted`."""
    for name in held.keys() - wanted.keys():
        # Redis does not delete its default user, and ends the connections of every other.
        yield ("SETUSER", name, "reset") if name == DEFAULT_USER else ("DELUSER", name)
    for name, wanted_rules in wanted.items():
        if held.get(name) != wanted_rules:
            yield ("SETUSER", name, *wanted_rules)
