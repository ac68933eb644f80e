"""Which sessions have to end because the password that let them in was retired, as one does with one that leaked. Pure.

Redis lets a connection live on when its user's password changes, so somebody has to end it. Every proxy does so by
itself as soon as it hears of the credential, whichever rotator retired the password, and however late.
"""

from collections.abc import Mapping

from proxy.directory import Credential

__all__ = ["RETIRED", "is_retired"]

RETIRED = "the password that opened this connection was retired; connect again"
"""What the client reads."""


def is_retired(used: Mapping[str, str], credentials: Mapping[str, Credential]) -> bool:
    """Whether a session was let in by a password that was retired since.

    Args:
        used: the version that let it in, by credential key.
        credentials: as they are now, by key.
    """
    for key, version in used.items():
        credential = credentials.get(key)
        if credential is not None and credential.keeps is not None and version not in credential.keeps:
            return True
    return False
