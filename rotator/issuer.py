"""Keeps a fresh token for every IAM user of every database: the loops around `rotator.tokens`, one for each place.

Signing takes no call, so a token is cheap: one is signed anew after a third of its life, as soon as the session's
credentials have changed, and whenever a proxy says that a database refused it.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from discovery.aws import AwsCredentials
from discovery.errors import AwsError
from discovery.model import Authentication, Inventory, Place, User, UserKey
from proxy.directory import Credential
from rotator.standing import TokenStanding
from rotator.tokens import Grant, Token, grant, sign, why_no_token

__all__ = ["TokenIssuer"]

_log = structlog.get_logger(__name__)

_LOOK_EVERY = 30.0  # seconds between looks at what the session signs with
_LEAST_PAUSE = 0.2  # seconds: of a session that ends at once, too
_RETRY_FIRST, _RETRY_MOST = 1.0, 30.0  # seconds, with jitter


@dataclass(slots=True)
class _Entry:
    """One token, and what is known of it."""

    grant: Grant
    username: str
    databases: tuple[str, ...]
    token: Token | None = None
    refused: bool = False
    then: list[Callable[[], None]] = field(
        default_factory=list
    )  # to be called when the refusal has been dealt with


@dataclass(slots=True)
class _Desk:
    """One place: its tokens, and the loop that renews them."""

    entries: dict[str, _Entry] = field(default_factory=dict)  # by credential key
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    error: str | None = None
    failures: int = 0


class TokenIssuer:
    """All IAM users of an inventory, and their tokens.

    Args:
        credentials_of: what the session of a place signs with now; None: no session is open there yet.
        on_credentials: told of fresh tokens.
        on_signed: told how many were signed at a place, or that it failed.
        clock: the time, by the clock that signatures are made with.
        chance: 0 to 1.
    """

    def __init__(
        self,
        credentials_of: Callable[[Place], Awaitable[AwsCredentials | None]],
        *,
        on_credentials: Callable[[Iterable[Credential]], None],
        on_signed: Callable[[Place, int, bool], None] = lambda _place, _number, _well: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._credentials_of = credentials_of
        self._on_credentials = on_credentials
        self._on_signed = on_signed
        self._clock = clock
        self._chance = chance
        self._desks: dict[Place, _Desk] = {}
        self._refusals: dict[UserKey, dict[str, str]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._numbers = itertools.count(1)

    # What is known.

    def standing(self, key: UserKey) -> TokenStanding:
        """How one user's tokens stand."""
        desk = self._desks.get(key.place)
        entries = [one for one in desk.entries.values() if one.grant.user == key] if desk is not None else []
        now = self._clock()
        held = [one for one in entries if one.token is not None and one.token.expires_at > now]
        return TokenStanding(
            databases=tuple(sorted(name for one in held for name in one.databases)),
            refusals=self._refusals.get(key, {}),
            expires_at=min((one.token.expires_at for one in held if one.token is not None), default=None),
            error=desk.error if desk is not None and entries else None,
        )

    # What changes.

    def take_inventory(self, inventory: Inventory) -> None:
        """Look after these users' tokens from now on."""
        wanted: dict[Place, dict[str, _Entry]] = {}
        refusals: dict[UserKey, dict[str, str]] = {}
        for user in inventory.users.values():
            if user.authentication is not Authentication.IAM:
                continue
            for database in inventory.databases_of(user):
                reason, allowed = why_no_token(user, database), grant(user, database)
                if reason is not None:
                    refusals.setdefault(user.key, {})[database.name] = reason
                elif allowed is not None:
                    _add(wanted.setdefault(user.key.place, {}), user, allowed, database.name)
        self._tell_refusals(refusals)
        self._refusals = refusals
        for place in self._desks.keys() | wanted.keys():
            self._take_place(place, wanted.get(place, {}))

    def _take_place(self, place: Place, wanted: Mapping[str, _Entry]) -> None:
        desk = self._desks.setdefault(place, _Desk())
        for key, entry in wanted.items():
            known = desk.entries.get(key)
            if known is not None and known.grant == entry.grant and known.username == entry.username:
                entry.token, entry.refused, entry.then = known.token, known.refused, known.then
        gone = [entry for key, entry in desk.entries.items() if key not in wanted]
        desk.entries = dict(wanted)
        for entry in gone:
            _answer(entry)
        if any(entry.token is None for entry in desk.entries.values()):
            desk.wake.set()
        if desk.task is None and desk.entries and self._group is not None:
            desk.task = self._group.create_task(self._attend(place, desk), name=f"tokens {place}")

    def renew_now(self, key: str, version: str, then: Callable[[], None]) -> bool:
        """Sign a token anew since a database refused it; `then` is called once, when that is done or has failed.

        Returns:
            False: there is no such token, and nothing was done.
        """
        for desk in self._desks.values():
            entry = desk.entries.get(key)
            if entry is not None:
                entry.then.append(then)
                # A refusal of an older one is answered with what there is by now.
                entry.refused = entry.refused or _version(entry.token) == version
                desk.wake.set()
                return True
        return False

    async def run(self) -> None:
        """Sign and renew until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for place, desk in self._desks.items():
                if desk.entries:
                    desk.task = group.create_task(self._attend(place, desk), name=f"tokens {place}")
            await asyncio.Event().wait()

    async def _attend(self, place: Place, desk: _Desk) -> None:
        while True:
            desk.wake.clear()
            pause = await self._look(place, desk)
            try:
                async with asyncio.timeout(pause):
                    await desk.wake.wait()
            except TimeoutError:
                continue

    async def _look(self, place: Place, desk: _Desk) -> float:
        """Renew what is to be renewed at a place; seconds until it is to be looked at again."""
        try:
            credentials = await self._credentials_of(place)
        except AwsError as error:
            self._failed(place, desk, str(error))
            return (
                self._chance() * min(_RETRY_FIRST * 2.0 ** min(desk.failures, 10), _RETRY_MOST) + _LEAST_PAUSE
            )
        now = self._clock()
        if credentials is None:
            return _RETRY_FIRST
        if credentials.expires_at is not None and credentials.expires_at <= now:
            self._failed(
                place, desk, f"the session's own credentials expired at {credentials.expires_at:%H:%M:%S} UTC"
            )
            return _RETRY_FIRST
        if desk.error is not None:
            _log.info("tokens_recovered", place=str(place))
        desk.error, desk.failures = None, 0
        self._renew(place, desk, credentials, now)
        soonest = min((one.token.renew_at for one in desk.entries.values() if one.token), default=None)
        until = (soonest - now).total_seconds() if soonest is not None else _LOOK_EVERY
        return max(_LEAST_PAUSE, min(until, _LOOK_EVERY))

    def _renew(self, place: Place, desk: _Desk, credentials: AwsCredentials, now: datetime) -> None:
        fresh = []
        for entry in desk.entries.values():
            if entry.token is None or entry.refused or entry.token.is_to_be_renewed(credentials, now):
                entry.token = sign(entry.grant, credentials, now, number=next(self._numbers))
                entry.refused = False
                fresh.append(_credential(entry, entry.token))
        if fresh:
            self._on_credentials(fresh)
            self._on_signed(place, len(fresh), True)
            _log.debug("tokens_signed", place=str(place), tokens=len(fresh))
        for entry in desk.entries.values():
            _answer(entry)

    def _failed(self, place: Place, desk: _Desk, error: str) -> None:
        if desk.error != error:
            held = [entry.token.expires_at for entry in desk.entries.values() if entry.token is not None]
            _log.warning(
                "tokens_failed", place=str(place), error=error, last_good_until=min(held, default=None)
            )
        desk.error = error
        desk.failures += 1
        self._on_signed(place, 0, False)
        for entry in desk.entries.values():
            _answer(entry)

    def _tell_refusals(self, refusals: Mapping[UserKey, Mapping[str, str]]) -> None:
        for key, by_database in refusals.items():
            for database, reason in by_database.items():
                if self._refusals.get(key, {}).get(database) != reason:
                    _log.warning("iam_user_not_served", user=str(key), database=database, reason=reason)


def _add(entries: dict[str, _Entry], user: User, allowed: Grant, database: str) -> None:
    known = entries.get(allowed.key)
    databases = (*known.databases, database) if known is not None else (database,)
    entries[allowed.key] = _Entry(allowed, user.name, databases)


def _answer(entry: _Entry) -> None:
    then, entry.then = entry.then, []
    for call in then:
        call()


def _version(token: Token | None) -> str | None:
    return token.version if token is not None else None


def _credential(entry: _Entry, token: Token) -> Credential:
    return Credential(
        key=entry.grant.key,
        kind="iam",
        username=entry.username,
        version=token.version,
        current=token.value,
        expires_at=token.expires_at,
    )
