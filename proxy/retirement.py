"""Which sessions have to end because the password that let them in was retired, as one does with one that leaked. Pure.

Redis lets a connection live on when its user's password changes, so somebody has to end it. Every proxy does so by
itself as soon as it hears of the credential, whichever rotator retired the password, and however late: the journal of
rotations carries the moment of the last retirement on.
"""

from collections.abc import Mapping
from datetime import datetime

from proxy.directory import Credential

__all__ = ["RETIRED", "Used", "is_retired"]

Used = dict[str, datetime | None]
"""By credential key: when the password was made that let a session in. None counts as older than any retirement."""

RETIRED = "the password that opened this connection was retired; connect again"
"""What the client reads."""


def is_retired(used: Used, credentials: Mapping[str, Credential]) -> bool:
    """Whether a session was let in by a password that was retired since.

    Args:
        used: the passwords that let it in.
        credentials: as they are now, by key.
    """
    for key, made in used.items():
        credential = credentials.get(key)
        moment = credential.retired_before if credential is not None else None
        if moment is not None and (made is None or made < moment):
            return True
    return False
