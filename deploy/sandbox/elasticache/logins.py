"""What AWS lets a user's password and access string be: pure."""

from collections.abc import Mapping
from typing import Any

from moto.elasticache.exceptions import ElastiCacheException

from deploy.sandbox.acl import Login, access_string_problem, password_problem

__all__ = ["asked_login"]

_AUTHENTICATION = {"password": "password", "no-password-required": "no-password", "iam": "iam"}


def asked_login(params: Mapping[str, Any], held: Login | None, *, user_id: str, user_name: str) -> Login:
    """Return the login that the parameters of CreateUser or ModifyUser ask for.

    Args:
        params: The call's parameters, by the API's names.
        held: What the user has now, for what the call does not mention; None for a new user.
        user_id: The user's id, in lower case.
        user_name: The name it logs in with.

    Raises:
        ElastiCacheException: AWS would refuse this.
    """
    access_string = params.get("AccessString") or (held.access_string if held else "off -@all")
    if params.get("AppendAccessString"):
        access_string = f"{access_string} {params['AppendAccessString']}"
    if word := access_string_problem(access_string):
        raise ElastiCacheException(
            "InvalidParameterValue", f"Access string has an invalid rule: {word.split('>')[0]}"
        )
    authentication, passwords = _authentication(params, held)
    if authentication == "iam" and user_id != user_name.lower():
        raise ElastiCacheException(
            "InvalidParameterValue", "A user with IAM authentication needs a name equal to its id."
        )
    return Login(access_string, authentication, passwords)  # type: ignore[arg-type]


def _authentication(params: Mapping[str, Any], held: Login | None) -> tuple[str, tuple[str, ...]]:
    mode = params.get("AuthenticationMode") or {}
    passwords = tuple(params.get("Passwords") or ())
    without = params.get("NoPasswordRequired")
    if mode and (passwords or without is not None):
        raise ElastiCacheException(
            "InvalidParameterCombination", "AuthenticationMode excludes Passwords and NoPasswordRequired."
        )
    if mode:
        passwords = tuple(mode.get("Passwords") or ())
        if mode.get("Type") not in _AUTHENTICATION:
            raise ElastiCacheException("InvalidParameterValue", "AuthenticationMode needs a known Type.")
        authentication = _AUTHENTICATION[mode["Type"]]
    elif passwords:
        authentication = "password"
    elif without:
        authentication = "no-password"
    elif held is not None and without is None:
        return held.authentication, held.passwords
    else:
        authentication = "password"
    if passwords and (without or authentication != "password"):
        raise ElastiCacheException(
            "InvalidParameterCombination", "Passwords are for users that log in with a password."
        )
    if authentication == "password":
        _check(passwords)
    return authentication, passwords


def _check(passwords: tuple[str, ...]) -> None:
    if not passwords:
        raise ElastiCacheException(
            "InvalidParameterValue",
            "No password was provided. If you want to create/update the user without password, "
            "please use the NoPasswordRequired flag.",
        )
    if problem := password_problem(passwords):
        raise ElastiCacheException("InvalidParameterValue", problem)
