"""One client's connection, from its first byte to its last."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from typing import Literal, cast

import structlog

from proxy.access import Identity
from proxy.directory import Database
from proxy.errors import ClientError, LostError, error_reply
from proxy.farewell import Farewell
from proxy.floor import Floor
from proxy.guest import Door, Guest
from proxy.handshake import HANDSHAKE_SECONDS, Begin, Close, Handshake
from proxy.keepalive import has_hung_up, keep_alive
from proxy.login import connect, log_in
from proxy.relay import Relay
from proxy.relogin import Relogin
from proxy.retirement import RETIRED
from proxy.upstream import Upstream

__all__ = ["Session"]

log = structlog.get_logger("proxy")

_numbers = itertools.count(1)


class Session(asyncio.Protocol):
    """A client that has just come in; a relay takes over once it is let in.

    Args:
        floor: what the worker's sessions share.
        door: the listener it came in by.
        identify: names the caller of a transport.
        supervise: runs a session to its end, as one of the worker's tasks.

    Attributes:
        id: unique over all proxies and workers of a machine.
        guest: who calls, and as whom it is logged in.
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
        self.guest = Guest(floor, door, database=door.database or "")
        self.since = time.time()
        self._floor = floor
        self._identify = identify
        self._supervise = supervise
        self._handshake = Handshake(door.database, door.db_user)
        self._relay: Relay | None = None
        self._wake = asyncio.Event()
        self._early = b""  # came while the client was being let in
        self._let_in = False
        self._eof = False
        self._gone = False
        self._ending = b""  # the error that ends it from outside
        self._leaving = False  # has been told its last words

    @property
    def facts(self) -> dict[str, str | None]:
        """What a log line says of it."""
        return {"session": self.id, **self.guest.facts}

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
        self.guest.identity = self._identify(transport)
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
            self._floor.tally(self.guest.counted_under).ended(cause)
        self._ending = error
        if self._relay is not None:
            self._relay.end(error)
        self._wake.set()

    def end_if_retired(self) -> None:
        """End it if a password that let it in was retired since."""
        if not self._ending and self.guest.is_retired:
            log.info("session ended", reason="retired", **self.facts)
            self.end(RETIRED, "retired")

    def interlude(self, question: bytes, on_answer: Callable[[bytes], None]) -> str | None:
        """Ask the database something between two of the client's commands; see `Relay.interlude`."""
        if self._relay is None:
            return "it is not open"
        if self._relay.scanner.mode.was_reset:
            return "it has said RESET since, and who it is now is not known"
        return self._relay.interlude(question, on_answer)

    async def run(self) -> None:
        """The session's whole life. Never raises for what the client, the network or the database does."""
        try:
            with self._floor.admission.entered(self.guest.identity):
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
        self.guest.database, self.guest.user = begin.database, begin.user
        database = floor.directory.databases.get(begin.database)
        if database is None:
            raise ClientError(
                f"there is no database '{begin.database}'; list them with: valkeeper databases",
                reason="unknown_database",
            )
        self.guest.authorize(begin.user)
        with floor.admission.opened(database.name):
            await floor.admission.turn(database.name, floor.settings.connect_timeout)
            if has_hung_up(self.transport):  # who gave up meanwhile is no burden to the database
                self.transport.abort()
                return
            await self._connect(begin, database)

    async def _connect(self, begin: Begin, database: Database) -> None:
        floor = self._floor
        credential = floor.directory.credential(begin.database, begin.user)
        deadline = asyncio.get_running_loop().time() + floor.settings.connect_timeout
        upstream = await connect(floor, database, deadline)
        try:
            replies, commands = b"", begin.raw
            stages = dict(upstream.stages)
            if credential is not None:
                started = time.perf_counter()
                accepted = await log_in(
                    floor, database, credential, upstream, login=begin.login, deadline=deadline
                )
                stages["auth"] = time.perf_counter() - started
                self.guest.logged_in(credential, accepted.made)
                self.end_if_retired()
                if begin.login is not None:
                    replies, commands = accepted.reply, begin.rest
            if self._gone or self._ending:
                self._dismiss(self._ending)
                return
            tally = floor.tally(database.name)
            tally.connected(stages)
            tally.open += 1
            try:
                await self._relay_until_closed(database, upstream, replies, commands)
            finally:
                tally.open -= 1
        finally:
            upstream.close()

    async def _relay_until_closed(
        self, database: Database, upstream: Upstream, replies: bytes, commands: bytes
    ) -> None:
        log.debug("session opened", **self.facts)
        lost = LostError(database.name).reply
        relay = self._relay = Relay(
            self.transport,
            upstream.transport,
            lost,
            lambda: relogin.found(),  # noqa: PLW0108 -- it is made below
            self._closed,
        )
        relogin = Relogin(
            self._floor,
            self.guest,
            database,
            relay,
            on_wait=self._wake.set,
            on_passed=self.end_if_retired,
            on_refused=lambda error: self._failed(error.reason, str(error)),
        )
        try:
            relay.start(replies + upstream.early(), commands + self._early, eof=self._eof)
            if upstream.closed:
                relay.database_lost()
            while not self._gone:
                await self._wake.wait()
                self._wake.clear()
                if relogin.waits and not self._gone:
                    await relogin.finish()
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
                **self.facts,
                bytes_from_client=relay.from_client,
                bytes_from_database=relay.from_database,
                seconds=round(time.time() - self.since, 3),
            )

    # Ends.

    def _turn_away(self, reason: str, reply: bytes, message: str = "") -> None:
        self._failed(reason, message)
        self._dismiss(reply)

    def _failed(self, reason: str, message: str) -> None:
        self._floor.tally(self.guest.counted_under).failed(reason)
        log.info("client refused", reason=reason, error=message, **self.facts)

    def _dismiss(self, last_words: bytes) -> None:
        self._leaving = True
        if not self._gone:
            Farewell(self.transport, last_words, self._closed, eof=self._eof)
