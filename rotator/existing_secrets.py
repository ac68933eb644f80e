"""A secret that somebody else keeps: reading the login in it, in AWS's own form, and saying what is wrong with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from discovery.aws import Session
from discovery.errors import AwsError, NotFoundError, RetryableError
from discovery.model import SecretReference
from rotator.errors import RotatorError

__all__ = ["ExistingSecretError", "Login", "read_login", "unusable"]

_SERVICE = "secretsmanager"


class ExistingSecretError(RotatorError):
    """A secret that can't be used; the message names it and the user, and says what to do. No value is in it.

    Attributes:
        passes: it may be well again by itself soon.
    """

    def __init__(self, message: str, *, passes: bool = False) -> None:
        super().__init__(message)
        self.passes = passes


@dataclass(frozen=True, slots=True)
class Login:
    """What a secret holds for a user, and the version it stands in. A version's value never changes."""

    version: str
    password: SecretStr


async def read_login(session: Session, reference: SecretReference, username: str) -> Login:
    """The login in AWSCURRENT of a secret.

    Raises:
        ExistingSecretError: there is none that can be used.
    """
    try:
        # Without a stage AWS reads AWSCURRENT as well; it is named so that nothing depends on a default.
        answer = await session.call(
            _SERVICE, "get_secret_value", SecretId=reference.id, VersionStage="AWSCURRENT"
        )
    except AwsError as error:
        raise unusable(reference, username, error) from None
    problem, password = _password_in(answer, username)
    if password is None:
        raise ExistingSecretError(f"{_named(reference, username)} {problem}")
    return Login(answer["VersionId"], SecretStr(password))


def unusable(reference: SecretReference, username: str, error: Exception) -> ExistingSecretError:
    """What to say of a secret that could not be read because of this error."""
    named = _named(reference, username)
    if isinstance(error, NotFoundError):
        return ExistingSecretError(
            f"{named} does not exist in {reference.region}, or has no value:"
            " name one that has (databases[].users[].secret)"
        )
    if isinstance(error, AwsError) and error.code == "InvalidRequestException":
        return ExistingSecretError(
            f"{named} is scheduled for deletion: restore it (aws secretsmanager restore-secret), or name another"
        )
    return ExistingSecretError(
        f"{named} can't be read: {error}",
        passes=isinstance(error, RetryableError),
    )


def _named(reference: SecretReference, username: str) -> str:
    return f"secret {reference.id} of user {username}"


def _password_in(answer: Mapping[str, Any], username: str) -> tuple[str, str | None]:
    """What is wrong, or the password."""
    form = 'put JSON there as AWS writes it, {"username": …, "password": …}'
    text = answer.get("SecretString")
    if not isinstance(text, str):
        return f"is binary: {form}", None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return f"is not a JSON object: {form}", None
    if value.get("username", username) != username:
        return (
            f"holds the login of another username: give the user that name (databases[].users[].name),"
            f" or name the secret of {username}"
        ), None
    password = value.get("password")
    if not isinstance(password, str) or not password:
        return f"holds no password: {form}", None
    return "", password
