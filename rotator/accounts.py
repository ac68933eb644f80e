"""The doors that the engine needs, one set for each service in each account and region."""

from collections.abc import Callable, Mapping

from discovery.aws import Session, Sessions
from discovery.model import Place, Service, User
from rotator.engine import Account
from rotator.secrets import Vault
from rotator.users import ElastiCacheUsers, MemoryDBUsers, SharedReads, UserApi

__all__ = ["Accounts"]

_USERS: Mapping[Service, Callable[[Session], UserApi]] = {
    Service.ELASTICACHE: ElastiCacheUsers,
    Service.MEMORYDB: MemoryDBUsers,
}


class Accounts:
    """Makes and keeps them. A user is reached through the session that found it."""

    def __init__(self, sessions: Sessions, *, secret_prefix: str, kms_key_id: str | None) -> None:
        self._sessions = sessions
        self._secret_prefix = secret_prefix
        self._kms_key_id = kms_key_id
        self._vaults: dict[Place, Vault] = {}
        self._accounts: dict[tuple[Place, Service], Account] = {}

    def of(self, user: User) -> Account | None:
        """The doors to a user; None while no session is open there."""
        place, service = user.key.place, user.key.service
        account = self._accounts.get((place, service))
        if account is None and (session := self._sessions.at(place)) is not None:
            users = _USERS[service](session)
            account = Account(self._vault(session), SharedReads(users), users, session.now)
            self._accounts[place, service] = account
        return account

    def vault(self, place: Place) -> Vault | None:
        """The secrets of an account and region; None while no session is open there."""
        session = self._sessions.at(place)
        return self._vault(session) if session is not None else None

    def _vault(self, session: Session) -> Vault:
        vault = self._vaults.get(session.place)
        if vault is None:
            vault = Vault(session, prefix=self._secret_prefix, kms_key_id=self._kms_key_id)
            self._vaults[session.place] = vault
        return vault
