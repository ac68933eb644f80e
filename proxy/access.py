"""May this caller use this user of this database? Pure.

For now there is the default role alone: root, and the uid and group that Valkeeper runs as, may use everything.
Configured roles will be further grounds in `Policy.refusal`, each a question about the same four values.
"""

from dataclasses import dataclass

__all__ = ["LOCAL", "Identity", "Policy"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls: the kernel's word for it, or only that it is a process on this machine."""

    uid: int | None = None  # None: came over loopback TCP, which the kernel puts no name to
    gids: frozenset[int] = frozenset()
    pid: int | None = None

    def __str__(self) -> str:
        """What logs and lists of sessions show."""
        return "local" if self.uid is None else f"uid {self.uid}"


LOCAL = Identity()
"""A caller on a loopback TCP listener. Whoever configures one lets in everything on the machine."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what.

    Attributes:
        uid: the user id that Valkeeper runs as.
        gid: its group id.
    """

    uid: int
    gid: int

    def refusal(self, identity: Identity, database: str, user: str) -> str | None:
        """Why the caller may not use the database as this user, and what to do; None: it may."""
        if self._has_default_role(identity):
            return None
        return (
            f"{identity} may not use database '{database}' as user '{user}'; "
            f"call as root or as uid {self.uid}, or join group {self.gid}"
        )

    def _has_default_role(self, identity: Identity) -> bool:
        if identity.uid is None:
            return True
        return identity.uid in (0, self.uid) or self.gid in identity.gids
