"""Passwords of static databases' users, read from files and handed on as they are."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import SecretStr

from discovery.model import Database, HandedOnUser
from proxy.directory import Credential
from rotator.catalogue import handed_on_key
from rotator.errors import RotatorError

__all__ = ["HandedOnPasswords", "PasswordFileError", "read_password"]

_log = structlog.get_logger(__name__)

_LONGEST = 4096


class PasswordFileError(RotatorError):
    """A password file that can't be used; the message names it and says why."""


def read_password(path: Path) -> SecretStr:
    """The password in a file: its content less one line end.

    Raises:
        PasswordFileError: it can't be read, others may read it, or it does not hold one password.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise PasswordFileError(f"password_file {path} can't be read: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise PasswordFileError(
            f"password_file {path} has mode {stat.S_IMODE(mode):04o}, so others can reach it: chmod 0600 (or 0640)"
        )
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PasswordFileError(f"password_file {path} is not UTF-8 text") from None
    if not password or len(content) > _LONGEST or "\n" in password:
        raise PasswordFileError(f"password_file {path} has to hold one password on one line")
    return SecretStr(password)


class HandedOnPasswords:
    """Keeps the credentials of all handed-on users, and the last good one of each where a file is bad."""

    def __init__(self) -> None:
        self._last: dict[str, Credential] = {}
        self._errors: dict[str, str] = {}
        self._salt = os.urandom(16)  # so that a version says nothing of the password

    @property
    def errors(self) -> dict[str, str]:
        """What is wrong with which user's file now, by credential key."""
        return dict(self._errors)

    def read(self, databases: Iterable[Database]) -> tuple[Credential, ...]:
        """The credentials of these databases' handed-on users. Reads their files."""
        wanted = {
            handed_on_key(database.name, user.name): user
            for database in databases
            for user in database.handed_on
            if user.password_file is not None
        }
        self._last = {key: credential for key, credential in self._last.items() if key in wanted}
        self._errors = {key: error for key, error in self._errors.items() if key in wanted}
        for key, user in wanted.items():
            self._read_one(key, user)
        return tuple(self._last.values())

    def _read_one(self, key: str, user: HandedOnUser) -> None:
        try:
            password = read_password(Path(user.password_file or ""))
        except PasswordFileError as error:
            if self._errors.get(key) != str(error):
                _log.warning(
                    "password_file_unusable", user=key, error=str(error), last_good_kept=key in self._last
                )
            self._errors[key] = str(error)
            return
        self._errors.pop(key, None)
        version = hashlib.blake2b(
            password.get_secret_value().encode(), key=self._salt, digest_size=12
        ).hexdigest()
        known = self._last.get(key)
        if known is None or known.version != version:
            previous = known.current if known is not None else None
            self._last[key] = Credential(
                key=key,
                kind="handed-on",
                username=user.name,
                version=version,
                current=password,
                previous=previous,
            )
            _log.info("password_file_read", user=key)
