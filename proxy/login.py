"""Logs a client's connection in upstream: the current password, else the previous one, else what the rotator says.

A token that has expired counts as one that was refused, and is never sent.
"""

import asyncio
from dataclasses import dataclass
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
        return await dial(database.host, database.port, database.tls, ca_file=floor.settings.ca_file)


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
    floor: Floor,
    database: Database,
    credential: Credential,
    upstream: Upstream,
    *,
    login: Login | None,
    deadline: float,
) -> Accepted:
    """Log in on an open connection.

    Args:
        floor: what the worker's sessions share.
        database: where the connection leads.
        credential: whose passwords are tried.
        upstream: the connection.
        login: what the client sent, if it did; a HELLO is repeated with the password in it.
        deadline: when to give up, by the loop's clock.

    Returns:
        What the client is answered, and the password that did it.

    Raises:
        RejectedError: the database refused every password, or the token has expired, and the rotator knew no better
            in time.
        UnreachableError: it did not answer.
    """
    confirmed: Credential | None = None  # what the rotator has sent although it knew of the refusal
    while True:
        async with _InTime(floor, database, deadline):
            accepted = await _try(floor, database, credential, upstream, login)
        if accepted is not None:
            return accepted
        latest = floor.directory.credentials.get(credential.key)
        if latest == credential == confirmed:
            raise _rejected(floor, database, credential)
        if latest == credential:
            try:
                async with asyncio.timeout_at(deadline):
                    with floor.news(credential, database.name) as answer:
                        await answer
            except TimeoutError as error:
                raise _rejected(floor, database, credential) from error
            latest = confirmed = floor.directory.credentials.get(credential.key)
        if latest is None:
            raise _rejected(floor, database, credential)
        credential = latest


async def _try(
    floor: Floor, database: Database, credential: Credential, upstream: Upstream, login: Login | None
) -> Accepted | None:
    """Try the passwords of one record; None: all were refused, or not worth sending."""
    tries = ((credential.current, credential.made), (credential.previous, credential.previous_made))
    for secret, made in tries:
        if secret is None or (secret is credential.current and floor.has_expired(credential)):
            continue
        password = secret.get_secret_value()
        if login is not None and login.is_hello:
            command = login.command(credential.username, password)
        else:
            command = encode((b"AUTH", credential.username.encode(), password.encode()))
        reply = await upstream.ask(command)
        if not is_rejection(reply):
            if secret is credential.current:
                floor.vouch(database.name, credential)
            # Another error is not about the password (loading data, say), and is the client's to see.
            return Accepted(reply, secret, made)
        floor.doubt(database.name, credential)
    return None


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
    upstream = None
    try:
        upstream = await connect(floor, database, deadline)
        accepted = await log_in(floor, database, credential, upstream, login=None, deadline=deadline)
    except (UnreachableError, RejectedError):
        latest = floor.directory.credentials.get(credential.key, credential)
        return None if floor.has_expired(latest) else (latest.current.get_secret_value(), latest.made)
    else:
        return accepted.password.get_secret_value(), accepted.made
    finally:
        if upstream is not None:
            upstream.close()
