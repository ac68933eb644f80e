"""One client's connection, from its first byte to its last."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import structlog

from proxy.access import Identity
from proxy.directory import Database
from proxy.errors import ClientError, LostError, RefusedError, error_reply
from proxy.farewell import Farewell
from proxy.floor import Floor
from proxy.handshake import HANDSHAKE_SECONDS, Begin, Close, Handshake, Login, read_login
from proxy.keepalive import keep_alive
from proxy.login import connect, log_in, working_password
from proxy.relay import Relay
from proxy.resp import Command, encode
from proxy.retirement import RETIRED, Used, is_retired
from proxy.upstream import Upstream

__all__ = ["Door", "Session"]

log = structlog.get_logger("proxy")

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Door:
    """What a listener says about those who come in by it."""

    database: str | None  # None: for all of them
    db_user: str | None


class Session(asyncio.Protocol):
    """A client that has just come in; a relay takes over once it is let in.

    Args:
        floor: what the worker's sessions share.
        door: the listener it came in by.
        identify: names the caller of a transport.
        supervise: runs a session to its end, as one of the worker's tasks.

    Attributes:
        id: unique over all proxies and workers of a machine.
        identity: who calls.
        database: which database it asked for, once known.
        user: as which database user, by the latest login that was passed on.
        since: when it came, in seconds since the epoch.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        floor: Floor,
        door: Door,
        identify: Callable[[asyncio.BaseTransport], Identity],
        supervise: Callable[["Session"], None],
    ) -> None:
        self.id = f"{os.getpid()}-{next(_numbers)}"
        self.identity = Identity()
        self.database = door.database or ""
        self.user: str | None = None
        self.since = time.time()
        self._floor = floor
        self._door = door
        self._identify = identify
        self._supervise = supervise
        self._handshake = Handshake(door.database, door.db_user)
        self._relay: Relay | None = None
        self._wake = asyncio.Event()
        self._early = b""  # came while the client was being let in
        self._let_in = False
        self._login_waits = False  # the relay stopped at a login that takes a while to rewrite
        self._eof = False
        self._gone = False
        self._used: Used = {}
        self._ending = b""  # the error that ends it from outside
        self._leaving = False  # has been told its last words

    @property
    def bytes_from_client(self) -> int:
        """Bytes relayed to the database."""
        return self._relay.from_client if self._relay is not None else 0

    @property
    def bytes_from_database(self) -> int:
        """Bytes relayed to the client."""
        return self._relay.from_database if self._relay is not None else 0

    @property
    def state(self) -> Literal["greeting", "connecting", "open", "ending"]:
        """How far it is: it has not said what it wants, is being logged in, is served, or is being ended."""
        if self._leaving or self._ending or (self._relay is not None and self._relay.finishing):
            return "ending"
        if self._relay is not None:
            return "open"
        return "connecting" if self._let_in else "greeting"

    @property
    def commands(self) -> int:
        """Commands of the client that the database got."""
        return self._relay.scanner.commands if self._relay is not None else 0

    @property
    def traffic(self) -> int:
        """Grows with every byte either way."""
        return self.bytes_from_client + self.bytes_from_database

    @property
    def may_wait(self) -> bool:
        """True where silence is no sign of idleness: it is not served yet, or waits for an element or a message."""
        return self._relay is None or self._relay.waits

    # What the transport calls until the relay has taken over.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who calls, and begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        keep_alive(transport)
        self.identity = self._identify(transport)
        self._supervise(self)

    def data_received(self, data: bytes) -> None:
        """Keep it for the handshake. uvloop may call this once more after reading was paused."""
        if self._let_in:
            self._early += data
        else:
            self._handshake.receive(data)
            self._wake.set()

    def eof_received(self) -> bool:
        """Remember it; the client may still want its answers."""
        self._eof = True
        self._wake.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Let the session end."""
        self._closed()

    def _closed(self) -> None:
        self._gone = True
        self._wake.set()

    # What the worker calls.

    def end(self, reason: str, cause: str) -> None:
        """End the session from outside: its outstanding replies, then a Redis error with this reason, then the end.

        It is counted under `cause`, one word.
        """
        error = error_reply("ERR", f"valkeeper: {reason}")
        if not self._ending:
            self._floor.tally(self._known_database()).ended(cause)
        self._ending = error
        if self._relay is not None:
            self._relay.end(error)
        self._wake.set()

    def end_if_retired(self) -> None:
        """End it if a password that let it in was retired since."""
        if not self._ending and is_retired(self._used, self._floor.directory.credentials):
            log.info("session ended", reason="retired", **self._facts())
            self.end(RETIRED, "retired")

    async def run(self) -> None:
        """The session's whole life. Never raises for what the client, the network or the database does."""
        try:
            with self._floor.admission.entered(self.identity):
                begin = await self._greet()
                if begin is not None:
                    await self._serve(begin)
        except ClientError as error:
            self._turn_away(error.reason, error.reply, str(error))
        while not self._gone:
            await self._wake.wait()
            self._wake.clear()

    async def _greet(self) -> Begin | None:
        """Read what the client wants; None: it has gone, or been sent away."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                while not self._gone:
                    step = self._handshake.next()
                    if isinstance(step, Begin):
                        self._let_in = True
                        self.transport.pause_reading()
                        return step
                    if isinstance(step, Close):
                        if step.reason == "quit":
                            self._dismiss(step.data)
                        else:
                            self._turn_away(step.reason, step.data)
                        return None
                    if step is not None:
                        self.transport.write(step.data)
                    elif self._ending or self._eof:
                        self._dismiss(self._ending)
                        return None
                    else:
                        self._wake.clear()
                        await self._wake.wait()
        except TimeoutError as error:
            raise ClientError(
                f"no command within {HANDSHAKE_SECONDS:g} seconds of connecting", reason="handshake_timeout"
            ) from error
        return None

    async def _serve(self, begin: Begin) -> None:
        """Let the client in and stay until it has gone, or raise why not."""
        floor = self._floor
        self.database, self.user = begin.database, begin.user
        database = floor.directory.databases.get(begin.database)
        if database is None:
            raise ClientError(
                f"there is no database '{begin.database}'; list them with: valkeeper databases",
                reason="unknown_database",
            )
        self._authorize(begin.user)
        with floor.admission.opened(database.name):
            await floor.admission.turn(database.name, floor.settings.connect_timeout)
            await self._connect(begin, database)

    async def _connect(self, begin: Begin, database: Database) -> None:
        floor = self._floor
        credential = floor.directory.credential(begin.database, begin.user)
        started = time.perf_counter()
        deadline = asyncio.get_running_loop().time() + floor.settings.connect_timeout
        upstream = await connect(floor, database, deadline)
        try:
            replies, commands = b"", begin.raw
            if credential is not None:
                accepted = await log_in(
                    floor, database, credential, upstream, login=begin.login, deadline=deadline
                )
                self._used[credential.key] = accepted.made
                self.end_if_retired()
                if begin.login is not None:
                    replies, commands = accepted.reply, begin.rest
            if self._gone or self._ending:
                self._dismiss(self._ending)
                return
            tally = floor.tally(database.name)
            tally.connected(time.perf_counter() - started)
            tally.open += 1
            try:
                await self._relay_until_closed(database, upstream, replies, commands)
            finally:
                tally.open -= 1
        finally:
            upstream.close()

    def _authorize(self, user: str) -> None:
        refusal = self._floor.policy.refusal(self.identity, self.database, user)
        if refusal is not None:
            raise RefusedError(refusal, reason="not_allowed")

    async def _relay_until_closed(
        self, database: Database, upstream: Upstream, replies: bytes, commands: bytes
    ) -> None:
        log.debug("session opened", **self._facts())
        lost = LostError(database.name).reply
        relay = self._relay = Relay(self.transport, upstream.transport, lost, self._login_found, self._closed)
        try:
            relay.start(replies + upstream.early(), commands + self._early, eof=self._eof)
            if upstream.closed:
                relay.database_lost()
            while not self._gone:
                await self._wake.wait()
                self._wake.clear()
                if self._login_waits and not self._gone:
                    self._login_waits = False
                    await self._log_in_again(relay, database)
        finally:
            relay.abort()
            tally = self._floor.tally(database.name)
            tally.bytes_from_clients += relay.from_client
            tally.bytes_from_database += relay.from_database
            if relay.cut:
                tally.ended("database_lost")
            self._relay = None
            log.debug(
                "session closed",
                **self._facts(),
                bytes_from_client=relay.from_client,
                bytes_from_database=relay.from_database,
                seconds=round(time.time() - self.since, 3),
            )

    # AUTH and HELLO inside an open session.

    def _login_found(self) -> None:
        """Deal with the logins in what the client has just sent, as far as that needs no waiting."""
        relay = self._relay
        assert relay is not None  # noqa: S101 -- only a relay calls this
        while relay.scanner.found is not None and not relay.finishing:
            try:
                command = self._rewritten(relay.scanner.found)
            except ClientError as error:
                self._failed(error.reason, str(error))
                relay.end(error.reply)
                return
            if command is None:
                relay.pause()
                self._login_waits = True
                self._wake.set()
                return
            relay.pass_login(command)

    def _rewritten(self, command: Command) -> bytes | None:
        """What the database is to be sent in this login's place; None: a password has to be tried first.

        Raises:
            ClientError: the client may not become that user.
        """
        login = read_login(command.args)
        if login is None:
            return encode(command.args)
        user = self._user_of(login)
        self._authorize(user)
        self.user = user
        credential = self._floor.directory.credential(self.database, user)
        if credential is None:
            return login.command(user)
        if self._floor.is_vouched(self.database, credential):
            self._used[credential.key] = credential.made
            return login.command(credential.username, credential.current.get_secret_value())
        return None

    async def _log_in_again(self, relay: Relay, database: Database) -> None:
        """Rewrite the login that the scanner stopped at, once it is known which password works."""
        command = relay.scanner.found
        login = read_login(command.args) if command is not None else None
        if command is None or login is None:
            return
        user = self._user_of(login)
        credential = self._floor.directory.credential(self.database, user)
        if credential is None:
            rewritten = login.command(user)
        else:
            # None leaves the client its own: the database says no to it, and the session goes on as who it was.
            working = await working_password(self._floor, database, credential)
            if working is not None:
                self._used[credential.key] = working[1]
                self.end_if_retired()
            rewritten = login.command(credential.username, working[0] if working is not None else None)
        relay.pass_login(rewritten)
        relay.resume()
        self._login_found()

    def _user_of(self, login: Login) -> str:
        """The user that a login inside a session names, without the database it may name as well.

        Raises:
            ClientError: it names another database.
        """
        user, at, database = login.user.rpartition("@")
        if self._door.database is not None or not at:
            return login.user
        if database != self.database:
            raise ClientError(
                f"this connection is to database '{self.database}'; connect again for '{database}'",
                reason="other_database",
            )
        return user or self._door.db_user or "default"

    # Ends.

    def _turn_away(self, reason: str, reply: bytes, message: str = "") -> None:
        self._failed(reason, message)
        self._dismiss(reply)

    def _failed(self, reason: str, message: str) -> None:
        self._floor.tally(self._known_database()).failed(reason)
        log.info("client refused", reason=reason, error=message, **self._facts())

    def _known_database(self) -> str:
        """What to count it under: a name that a client made up gets no counter of its own."""
        return self.database if self.database in self._floor.directory.databases else ""

    def _dismiss(self, last_words: bytes) -> None:
        self._leaving = True
        if not self._gone:
            Farewell(self.transport, last_words, self._closed, eof=self._eof)

    def _facts(self) -> dict[str, str | None]:
        return {
            "session": self.id,
            "database": self.database,
            "user": self.user,
            "identity": str(self.identity),
        }
