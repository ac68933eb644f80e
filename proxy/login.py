"""Logs a client's connection in upstream: the current password, else the previous one, else what the rotator says.

A token that has expired counts as one that was refused, and is never sent.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

from pydantic import SecretStr

from proxy.directory import Credential, Database
from proxy.errors import RejectedError, UnreachableError
from proxy.floor import Floor
from proxy.handshake import Login
from proxy.resp import encode
from proxy.upstream import MAX_LOGIN_REPLY, Upstream, dial, is_rejection

__all__ = ["Accepted", "ask", "connect", "log_in", "unreachable", "working_password"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A login that the database answered, and not with a refusal."""

    reply: bytes
    password: SecretStr
    made: datetime | None  # when the password was; None where that does not matter


async def connect(floor: Floor, database: Database, deadline: float) -> Upstream:
    """Dial a database, until the loop's clock says `deadline`.

    Raises:
        UnreachableError: as the client is to read it.
    """
    async with _InTime(floor, database, deadline):
        return await _dial(floor, database)


async def ask(
    floor: Floor,
    database: Database,
    upstream: Upstream,
    command: bytes,
    deadline: float,
    *,
    most: int = MAX_LOGIN_REPLY,
) -> bytes:
    """Send one command, and give its whole reply, which may have `most` bytes.

    Raises:
        UnreachableError: as the client is to read it.
    """
    async with _InTime(floor, database, deadline):
        return await upstream.ask(command, most=most)


async def _dial(floor: Floor, database: Database, first: Callable[[], bytes] = bytes) -> Upstream:
    return await dial(database.host, database.port, database.tls, ca_file=floor.settings.ca_file, first=first)


class _InTime:
    """Gives a database until the deadline, and its failures the words that the client reads."""

    def __init__(self, floor: Floor, database: Database, deadline: float) -> None:
        self._floor = floor
        self._database = database
        self._timeout = asyncio.timeout_at(deadline)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            seconds = self._floor.settings.connect_timeout
            cause = UnreachableError(f"no answer within {seconds:g} s", reason="timeout")
            raise unreachable(self._database, cause) from late
        if isinstance(error, UnreachableError):
            raise unreachable(self._database, error) from error


def unreachable(database: Database, cause: UnreachableError) -> UnreachableError:
    """A cause, together with what it befell and what to do."""
    advice = {
        "dns": "check its host name and this machine's DNS",
        "certificate": "check tls and ca_file of the database",
        "ca_file": "check tls and ca_file of the database",
        "tls": "check that it speaks TLS on this port",
    }.get(cause.reason, "check its security group, and that it is running")
    return UnreachableError(
        f"database '{database.name}' at {database.host}:{database.port} is unreachable ({cause}); {advice}",
        reason=cause.reason,
    )


async def log_in(
    floor: Floor, database: Database, credential: Credential, deadline: float, *, login: Login | None = None
) -> tuple[Upstream, Accepted]:
    """Dial a database, and log in.

    Args:
        floor: what the worker's sessions share.
        database: where to.
        credential: whose passwords are tried.
        deadline: when to give up, by the loop's clock.
        login: what the client sent, if it did; a HELLO is repeated with the password in it.

    Returns:
        The connection, and what the database accepted.

    Raises:
        RejectedError: the database refused every password, or the token has expired, and the rotator knew no better
            in time.
        UnreachableError: it did not answer.
    """
    upstream, is_confirmed = None, False
    try:
        while True:
            attempts = _Attempts(floor, database, credential, login)
            async with _InTime(floor, database, deadline):
                if upstream is None:
                    upstream = await _dial(floor, database, attempts.begin)
                    started = time.perf_counter()
                accepted = await attempts.made_on(upstream)
            if accepted is not None:
                upstream.stages["auth"] = time.perf_counter() - started
                return upstream, accepted
            credential, is_confirmed = await _better(
                floor, database, credential, deadline, is_confirmed=is_confirmed
            )
    except BaseException:
        if upstream is not None:
            upstream.close()
        raise


async def _better(
    floor: Floor, database: Database, refused: Credential, deadline: float, *, is_confirmed: bool
) -> tuple[Credential, bool]:
    """What to try where a record was refused, and whether the rotator has sent that although it knew of the refusal.

    Raises RejectedError where that was true of the record already, or the rotator does not answer.
    """
    latest = floor.directory.credentials.get(refused.key)
    if latest != refused:
        is_confirmed = False
    elif is_confirmed:
        raise _rejected(floor, database, refused)
    else:
        try:
            async with asyncio.timeout_at(deadline):
                with floor.news(refused, database.name) as answer:
                    await answer
        except TimeoutError as error:
            raise _rejected(floor, database, refused) from error
        latest, is_confirmed = floor.directory.credentials.get(refused.key), True
    if latest is None:
        raise _rejected(floor, database, refused)
    return latest, is_confirmed


@dataclass(frozen=True, slots=True)
class _Attempt:
    password: SecretStr
    made: datetime | None
    command: bytes = field(repr=False)


class _Attempts:
    """The passwords of one record, each tried if it is worth that when its turn comes."""

    def __init__(self, floor: Floor, database: Database, credential: Credential, login: Login | None) -> None:
        self._floor = floor
        self._database = database
        self._credential = credential
        self._login = login
        self._left = self._all()
        self._under_way: _Attempt | None = None

    def begin(self) -> bytes:
        """The first one's command, which is sent without `made_on`; empty: none is worth that."""
        self._under_way = next(self._left, None)
        return self._under_way.command if self._under_way is not None else b""

    async def made_on(self, upstream: Upstream) -> Accepted | None:
        """Make those that are left; None: all were refused, or not worth making. Raises as `Upstream.ask`."""
        if self._under_way is not None:
            accepted = self._outcome(self._under_way, await upstream.answer())
            if accepted is not None:
                return accepted
        for attempt in self._left:
            accepted = self._outcome(attempt, await upstream.ask(attempt.command))
            if accepted is not None:
                return accepted
        return None

    def _all(self) -> Iterator[_Attempt]:
        credential = self._credential
        if not self._floor.has_expired(credential):
            yield self._attempt(credential.current, credential.made)
        if credential.previous is not None:
            yield self._attempt(credential.previous, credential.previous_made)

    def _attempt(self, secret: SecretStr, made: datetime | None) -> _Attempt:
        username, password = self._credential.username, secret.get_secret_value()
        if self._login is not None and self._login.is_hello:
            return _Attempt(secret, made, self._login.command(username, password))
        return _Attempt(secret, made, encode((b"AUTH", username.encode(), password.encode())))

    def _outcome(self, attempt: _Attempt, reply: bytes) -> Accepted | None:
        """What the reply to an attempt proves; None: a refusal."""
        if is_rejection(reply):
            self._floor.doubt(self._database.name, self._credential)
            return None
        if attempt.password is self._credential.current:
            self._floor.vouch(self._database.name, self._credential)
        # Another error is not about the password (loading data, say), and is the client's to see.
        return Accepted(reply, attempt.password, attempt.made)


def _rejected(floor: Floor, database: Database, credential: Credential) -> RejectedError:
    user, name = credential.username, database.name
    if credential.expires_at is not None and floor.has_expired(credential):
        return RejectedError(
            f"the token of user '{user}' for database '{name}' expired at "
            f"{credential.expires_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, and the rotator gives no fresh one; "
            "look at it with: valkeeper users; and see that valkeeper serve is running",
            reason="expired",
        )
    what = "the token of" if credential.kind == "iam" else "every password known for"
    return RejectedError(
        f"database '{name}' refused {what} user '{user}'; look at it with: valkeeper users", reason="rejected"
    )


async def working_password(
    floor: Floor, database: Database, credential: Credential
) -> tuple[str, datetime | None] | None:
    """The password that an AUTH inside an open session should carry, and when it was made.

    It cannot be tried there, since its answer goes to the client in order. So unless `current` logged in a moment ago,
    a connection on the side tries it. Where nothing works, `current`: its refusal is the true answer. None: `current`
    has expired, and the rotator knew no better in time.
    """
    if floor.is_vouched(database.name, credential):
        return credential.current.get_secret_value(), credential.made
    deadline = asyncio.get_running_loop().time() + floor.settings.connect_timeout
    try:
        upstream, accepted = await log_in(floor, database, credential, deadline)
    except (UnreachableError, RejectedError):
        latest = floor.directory.credentials.get(credential.key, credential)
        return None if floor.has_expired(latest) else (latest.current.get_secret_value(), latest.made)
    upstream.close()
    return accepted.password.get_secret_value(), accepted.made
