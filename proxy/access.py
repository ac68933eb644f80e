"""May this caller use this user of this database? Pure.

Who comes in by a listener that has a role may do what the role permits, and nothing else. For everybody else there is
the default role alone: root, and the uid and group that Valkeeper runs as, may use everything. Further grounds will
stand in `Policy.refusal`, each a question about the same values.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from discovery.tags import Tags
from proxy.roles import Role

__all__ = ["LOCAL", "Identity", "Policy"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls: the kernel's word for it, or where from, or only that it is a process on this machine."""

    uid: int | None = None  # None: came over TCP, which the kernel puts no name to
    gids: frozenset[int] = frozenset()
    pid: int | None = None
    role: str | None = None  # of the listener it came in by; None: only the default role is in question
    host: str | None = None  # the address it came from, where that is not this machine's loopback alone
    port: int | None = None

    @property
    def counted_as(self) -> str | int | None:
        """Whose connections its own is counted with: its uid's, its address's, or those of all on loopback TCP."""
        return self.uid if self.host is None else self.host

    def __str__(self) -> str:
        """What logs and lists of sessions show."""
        if self.host is not None:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"tls {host}:{self.port} (role {self.role})"
        return "local" if self.uid is None else f"uid {self.uid}"


LOCAL = Identity()
"""A caller on a loopback TCP listener. Whoever configures one lets in everything on the machine."""


class Policy:
    """Who may do what.

    Args:
        uid: the user id that Valkeeper runs as.
        gid: its group id.
        roles: those that listeners name.
    """

    def __init__(self, uid: int, gid: int, roles: Iterable[Role] = ()) -> None:
        self._uid = uid
        self._gid = gid
        self._roles = {role.name: role for role in roles}

    def refusal(self, identity: Identity, database: str, labels: Tags, user: str) -> str | None:
        """Why the caller may not use the database, which has these labels, as this user, and what to do; None: it may."""
        if identity.role is not None:
            return self._refusal_of_role(identity.role, database, labels, user)
        if self._has_default_role(identity):
            return None
        return (
            f"{identity} may not use database '{database}' as user '{user}'; "
            f"call as root or as uid {self._uid}, or join group {self._gid}"
        )

    def _refusal_of_role(self, name: str, database: str, labels: Tags, user: str) -> str | None:
        role = self._roles.get(name)
        if role is None:
            return f"there is no role '{name}', which this listener names; define it in access.roles"
        if not role.permits_database(database, labels):
            return f"role '{name}' does not permit database '{database}'; add it to the role's databases in access.roles"
        if not role.permits_user(user):
            return (
                f"role '{name}' does not permit user '{user}' of database '{database}'; "
                f"log in as {' or '.join(role.db_users)}, or add the user to the role's db_users in access.roles"
            )
        return None

    def _has_default_role(self, identity: Identity) -> bool:
        if identity.uid is None:
            return identity == LOCAL
        return identity.uid in (0, self._uid) or self._gid in identity.gids
