"""What the API, the metrics and the command line are told: the parts of the service, read together."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog

from discovery.aws import Sessions
from discovery.model import Inventory, User
from discovery.scanner import Scanner
from proxy.settings import socket_path
from rotator.accounts import Accounts
from rotator.config import Settings
from rotator.handed_on import HandedOnPasswords
from rotator.issuer import TokenIssuer
from rotator.log import EventStream
from rotator.metrics import Metrics, State, is_overdue
from rotator.publisher import Publisher
from rotator.requests import Request, Rotation
from rotator.rotations import Rotations
from rotator.sessions import SessionsHeard, login_names
from rotator.standing import Care, Standing
from rotator.views import (
    DatabaseView,
    RotationRequest,
    SessionsView,
    StatusView,
    UserView,
    database_views,
    handed_on_view,
    session_view,
    source_view,
    user_view,
)

__all__ = ["Answers"]

_log = structlog.get_logger(__name__)


class Answers:
    """What is asked of the service (`rotator.admin.Backend`).

    It changes nothing but by `ask`, `discover` and `end_sessions`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        scanner: Scanner,
        rotations: Rotations,
        issuer: TokenIssuer,
        handed_on: HandedOnPasswords,
        publisher: Publisher,
        accounts: Accounts,
        sessions: Sessions,
        metrics: Metrics,
        events: EventStream,
        discover: Callable[[], Awaitable[Inventory]],
    ) -> None:
        self._settings = settings
        self._scanner = scanner
        self._rotations = rotations
        self._issuer = issuer
        self._handed_on = handed_on
        self._publisher = publisher
        self._accounts = accounts
        self._sessions = sessions
        self._metrics = metrics
        self._events = events
        self._discover = discover
        self._started_at = time.time()
        self.ready = False  # a directory is published, and every source has answered or failed once

    def standings(self) -> list[Standing]:
        """Every known user, IAM users with their tokens."""
        return [
            replace(one, tokens=self._issuer.standing(one.key)) if one.care is Care.IAM else one
            for one in self._rotations.standings
        ]

    def state(self) -> State:
        """What a scrape reads."""
        return State(
            inventory=self._scanner.inventory,
            standings=tuple(self.standings()),
            handed_on=self._handed_on.standings,
            counters=self._publisher.counters,
            paces=tuple(self._sessions.paces()),
            proxies=len(self._publisher.proxies),
            now_of=self._now_of,
            now=datetime.now(UTC),
            overdue_after=self._settings.rotation.interval.total_seconds() / 3,
        )

    def _now_of(self, user: User) -> datetime:
        account = self._accounts.of(user)
        return account.now() if account is not None else datetime.now(UTC)

    def readiness(self) -> tuple[bool, str]:
        """Whether clients can be served, and if not, what is waited for."""
        if not self.ready:
            return False, "the first discovery is under way"
        return True, ""

    def metrics(self) -> bytes:
        """Prometheus's text."""
        return self._metrics.render()

    def status(self) -> StatusView:
        """The service as a whole."""
        state = self.state()
        ready, reason = self.readiness()
        return StatusView(
            version=version("valkeeper"),
            ready=ready,
            reason=reason,
            started_at=datetime.fromtimestamp(self._started_at, UTC),
            databases=len(state.inventory.databases),
            users=dict(Counter(state.user_states())),
            overdue=sum(is_overdue(s, self._now_of(s.user), state.overdue_after) for s in state.standings),
            proxies=state.proxies,
            connections_open=sum(database.open for database in state.counters.databases.values()),
            sources=[source_view(source) for source in state.inventory.sources],
            runtime_dir=str(self._settings.proxy.runtime_dir),
            interval_seconds=self._settings.rotation.interval.total_seconds(),
        )

    def databases(self) -> list[DatabaseView]:
        """All databases."""
        inventory = self._scanner.inventory
        per_database = next((one for one in self._settings.proxy.listeners if one.is_per_database), None)
        sockets = (
            {
                name: str(socket_path(per_database.unix or "", self._settings.proxy.runtime_dir, name))
                for name in inventory.databases
            }
            if per_database is not None
            else {}
        )
        return database_views(inventory, self.standings(), sockets)

    def users(self) -> list[UserView]:
        """All users."""
        return [
            *(user_view(standing, self._now_of(standing.user)) for standing in self.standings()),
            *(handed_on_view(standing) for standing in self._handed_on.standings),
        ]

    def rotations(self) -> list[Rotation]:
        """Runs, the latest first."""
        return self._rotations.history

    def ask(self, wanted: RotationRequest, asked_by: str) -> list[Request]:
        """Ask for rotations."""
        if wanted.all:
            return self._rotations.ask_all(asked_by=asked_by, retire=wanted.retire, force=wanted.force)
        return self._rotations.ask(wanted.users, asked_by=asked_by, retire=wanted.retire, force=wanted.force)

    async def discover(self) -> Inventory:
        """Look at AWS now."""
        return await self._discover()

    def asked(self, request_id: str) -> Request | None:
        """A rotation that was asked for."""
        return self._rotations.asked(request_id)

    async def sessions(self) -> SessionsView:
        """Clients' sessions."""
        return await _shown(await self._publisher.sessions())

    async def end_sessions(self, ids: Sequence[str], reason: str, asked_by: str) -> SessionsView:
        """End clients' sessions; those that there were."""
        words = "an operator ended this session"
        ended = await self._publisher.end_sessions(ids, f"{words}: {reason}" if reason else words)
        for one in ended.sessions:
            _log.info(
                "session_killed",
                asked_by=asked_by,
                session=one.id,
                identity=one.identity,
                database=one.database,
                user=one.user,
                reason=reason,
            )
        return await _shown(ended)

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """What happens from now on."""
        return self._events.follow()


async def _shown(heard: SessionsHeard) -> SessionsView:
    names = await asyncio.to_thread(login_names, {one.uid for one in heard.sessions if one.uid is not None})
    now = time.time()
    return SessionsView(
        sessions=[
            session_view(one, names, now)
            for one in sorted(heard.sessions, key=lambda one: (one.since, one.id))
        ],
        proxies=heard.proxies,
        silent=heard.silent,
    )
