"""A real login with a password, on every endpoint of a user: the only proof there is."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr

from discovery.model import Database, Endpoint, Tls
from proxy.upstream import LoginOutcome, login
from rotator.observation import Logins

__all__ = ["RealLogins", "Verifier"]


class Verifier(Protocol):
    """Tries passwords."""

    async def logins(self, databases: Sequence[Database], username: str, password: SecretStr) -> Logins:
        """How many endpoints of these databases accept, reject, or can't be asked."""


class RealLogins:
    """Logs in over verified TLS, as the proxy does, on all endpoints at once."""

    def __init__(self, *, timeout: float, ca_file: str | None, at_once: int = 64) -> None:
        self._timeout = timeout
        self._ca_file = ca_file
        self._slots = asyncio.Semaphore(at_once)

    async def logins(self, databases: Sequence[Database], username: str, password: SecretStr) -> Logins:
        """See `Verifier`."""
        targets: dict[Endpoint, Tls] = {}
        for database in databases:
            for endpoint in database.endpoints:
                targets.setdefault(endpoint, database.tls)
        outcomes = await asyncio.gather(
            *(self._try(endpoint, tls, username, password) for endpoint, tls in targets.items())
        )
        return Logins(
            accepted=outcomes.count(LoginOutcome.ACCEPTED),
            rejected=outcomes.count(LoginOutcome.REJECTED),
            unreachable=outcomes.count(LoginOutcome.UNREACHABLE),
        )

    async def _try(self, endpoint: Endpoint, tls: Tls, username: str, password: SecretStr) -> LoginOutcome:
        async with self._slots:
            result = await login(
                endpoint.host,
                endpoint.port,
                tls,
                username,
                password,
                timeout=self._timeout,
                ca_file=self._ca_file,
            )
        return result.outcome
