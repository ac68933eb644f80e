"""A password file: its mode, its one line, and whether it has changed since it was last looked at."""

import os
import stat
from pathlib import Path

from pydantic import SecretStr

from rotator.errors import RotatorError

__all__ = ["Fingerprint", "PasswordFileError", "fingerprint", "read_password"]

_LONGEST = 4096

Fingerprint = tuple[int, ...]
"""Differs where a file's content, mode or owner may have changed, or where another file took its place."""


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


def fingerprint(path: Path) -> Fingerprint | None:
    """What a file looks like now, without reading it; links are followed. None: it can't be looked at.

    The time of the last change of its inode is part of it, since a writer can put the others back.
    """
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_mode)
