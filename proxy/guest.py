"""Who a session's client is, and as whom it is logged in."""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import datetime

from proxy.access import Identity
from proxy.directory import Credential, UpstreamMode
from proxy.errors import ClientError, RefusedError
from proxy.floor import Floor
from proxy.handshake import DEFAULT_USER, Login
from proxy.retirement import Used, is_retired

__all__ = ["Door", "Guest"]


@dataclass(frozen=True, slots=True)
class Door:
    """What a listener says about those who come in by it."""

    database: str | None  # which one a login leads to that names none; None: it has to name one
    db_user: str | None
    mode: UpstreamMode | None = None  # None: as the database's, or the proxy's
    is_for_all: bool = False  # a login may name its database, as user@database

    def asked_for(self, server_name: str | None, databases: Container[str]) -> "Door":
        """The same door for who asked for it by this name: its first label may be that of a database."""
        label = (server_name or "").partition(".")[0].lower()
        return replace(self, database=label) if self.is_for_all and label in databases else self


@dataclass(slots=True)
class Guest:
    """One client's standing. It changes with every login that is passed on.

    Attributes:
        floor: what the worker's sessions share.
        door: the listener it came in by.
        identity: who calls.
        database: which database it asked for, once known.
        user: as which database user, by the latest login that was passed on.
        used: the passwords that may have let it in.
        token_since: when AWS began to count the 12 hours of its connection, by the floor's clock; None: it does not.
        is_uncertain: True once it has sent a login inside its session of which the outcome decides who it is.
    """

    floor: Floor
    door: Door
    identity: Identity = field(default_factory=Identity)
    database: str = ""
    user: str | None = None
    used: Used = field(default_factory=dict)
    token_since: float | None = None
    is_uncertain: bool = False

    @property
    def credential(self) -> Credential | None:
        """What logs its user in; None where Valkeeper holds nothing."""
        return self.floor.directory.credential(self.database, self.user) if self.user is not None else None

    @property
    def counted_under(self) -> str:
        """The database; a name that a client made up gets no counter of its own."""
        return self.database if self.database in self.floor.directory.databases else ""

    @property
    def is_retired(self) -> bool:
        """True where a password that let it in was retired since."""
        return is_retired(self.used, self.floor.directory.credentials)

    @property
    def facts(self) -> dict[str, str | None]:
        """What a log line says of it."""
        return {"database": self.database, "user": self.user, "identity": str(self.identity)}

    def logged_in(self, credential: Credential, made: datetime | None) -> None:
        """Take note of a login that the database accepted, with a password that was made then."""
        self.used[credential.key] = made
        self.token_since = self.floor.now() if credential.kind == "iam" else None

    def becomes(self, user: str) -> Credential | None:
        """Take note of a login inside its session, of which the outcome will not be known; what logs that user in."""
        self.is_uncertain = self.is_uncertain or user != self.user  # the same user it is either way
        self.user = user
        credential = self.credential
        if self.token_since is None and credential is not None and credential.kind == "iam":
            self.token_since = self.floor.now()
        return credential

    def authorize(self, user: str) -> None:
        """Let it be this user of its database.

        Raises:
            RefusedError: it may not.
        """
        refusal = self._refusal(user)
        if refusal is not None:
            raise RefusedError(refusal, reason="not_allowed")

    @property
    def may_be_nobody(self) -> bool:
        """Whether it may use its database without having logged in, as far as that lets it."""
        return self._refusal(DEFAULT_USER) is None

    def _refusal(self, user: str) -> str | None:
        database = self.floor.directory.databases.get(self.database)
        labels = database.labels if database is not None else {}
        return self.floor.policy.refusal(self.identity, self.database, labels, user)

    def named_by(self, login: Login) -> str:
        """The user that a login inside its session names, without the database it may name as well.

        Raises:
            ClientError: it names another database.
        """
        user, at, database = login.user.rpartition("@")
        if not self.door.is_for_all or not at:
            return login.user
        if database != self.database:
            raise ClientError(
                f"this connection is to database '{self.database}'; connect again for '{database}'",
                reason="other_database",
            )
        return user or self.door.db_user or DEFAULT_USER
