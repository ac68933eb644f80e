"""One client's connection, from its first byte to its last."""

import asyncio
import itertools
import os
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import structlog

from proxy.access import Identity
from proxy.directory import Credential, Database
from proxy.errors import CertificateError, ClientError, HungUpError, LostError, error_reply
from proxy.floor import Floor
from proxy.guest import Door, Guest
from proxy.handshake import DEFAULT_USER, HANDSHAKE_SECONDS, Begin, Close, Handshake
from proxy.keepalive import has_hung_up
from proxy.login import ask, connect, log_in
from proxy.relay import Relay
from proxy.relogin import Relogin
from proxy.retirement import RETIRED
from proxy.shared.member import Member
from proxy.shared.pool import Pool, Pools
from proxy.shared.sharing import Sharing
from proxy.tally import Passed, Tally
from proxy.upstream import Upstream
from proxy.visitor import Visitor

__all__ = ["Session"]

log = structlog.get_logger("proxy")

_numbers = itertools.count(1)


class Session(Visitor):
    """A client that has just come in; a relay takes over once it is let in.

    Args:
        floor: what the worker's sessions share.
        door: the listener it came in by.
        identify: names the caller of a transport.
        supervise: runs a session to its end, as one of the worker's tasks.
        pools: the connections that sessions share.

    Attributes:
        id: unique over all proxies and workers of a machine.
        guest: who calls, and as whom it is logged in.
        since: when it came, in seconds since the epoch.
    """

    def __init__(
        self,
        floor: Floor,
        door: Door,
        identify: Callable[[asyncio.BaseTransport], Identity],
        supervise: Callable[["Session"], None],
        pools: Pools,
    ) -> None:
        super().__init__()
        self.id = f"{os.getpid()}-{next(_numbers)}"
        self.guest = Guest(floor, door, database=door.database or "")
        self.since = time.time()
        self._floor = floor
        self._identify = identify
        self._supervise = supervise
        self._handshake: Handshake | None = None  # from the first byte on
        self._pools = pools
        self._pool: Pool | None = None  # where it shares its database's connections
        self._carrier: Relay | Member | None = None  # what passes its bytes on
        self._passed = Passed()  # by earlier carriers
        self._sharing = Sharing()
        self._let_in = False
        self._ending = b""  # the error that ends it from outside

    @property
    def facts(self) -> dict[str, str | None]:
        """What a log line says of it."""
        return {"session": self.id, **self.guest.facts}

    @property
    def carried(self) -> Passed:
        """What is not yet on the database's account."""
        return Passed() if self._carrier is None else Passed().and_by(self._carrier)

    @property
    def passed(self) -> Passed:
        """What the database got of it, and it of the database."""
        return self._passed if self._carrier is None else self._passed.and_by(self._carrier)

    @property
    def state(self) -> Literal["greeting", "connecting", "open", "ending"]:
        """How far it is: it has not said what it wants, is being logged in, is served, or is being ended."""
        if self.leaving or self._ending or (self._carrier is not None and self._carrier.finishing):
            return "ending"
        if self._carrier is not None:
            return "open"
        return "connecting" if self._let_in else "greeting"

    @property
    def traffic(self) -> int:
        """Grows with every byte either way."""
        passed = self.passed
        return passed.from_client + passed.from_database

    @property
    def may_wait(self) -> bool:
        """True where silence is no sign of idleness: it is not served yet, or waits for an element or a message."""
        return self._carrier is None or self._carrier.waits

    # What the transport calls while nobody else has it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who calls, and begin."""
        super().connection_made(transport)
        self.guest.identity = self._identify(transport)
        self._supervise(self)

    def data_received(self, data: bytes) -> None:
        """Hear what it wants."""
        if self._let_in:
            super().data_received(data)
        else:
            if self._handshake is None:
                self._handshake = self._begin_handshake()
            self._handshake.receive(data)
            self.wake()

    def _begin_handshake(self) -> Handshake:
        name = self.transport.get_extra_info("server_name")
        door = self.guest.door.asked_for(name, self._floor.directory.databases)
        self.guest.door, self.guest.database = door, door.database or ""
        return Handshake(door.database, door.db_user, is_for_all=door.is_for_all)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the session end."""
        if isinstance(exc, ssl.SSLError):
            self._failed("tls", f"TLS failed: {exc.reason or exc}")
        elif isinstance(exc, CertificateError):
            self._failed("certificate", str(exc))
        super().connection_lost(exc)

    # What the worker calls.

    def end(self, reason: str, cause: str) -> None:
        """End the session from outside: its outstanding replies, then a Redis error with this reason, then the end.

        It is counted under `cause`, one word.
        """
        error = error_reply("ERR", f"valkeeper: {reason}")
        if not self._ending:
            self._floor.tally(self.guest.counted_under).ended(cause)
        self._ending = error
        if self._carrier is not None:
            self._carrier.end(error)
        self.wake()

    def end_if_retired(self) -> None:
        """End it if a password that let it in was retired since."""
        if not self._ending and self.guest.is_retired:
            log.info("session ended", reason="retired", **self.facts)
            self.end(RETIRED, "retired")

    def interlude(self, question: bytes, on_answer: Callable[[bytes], None]) -> str | None:
        """Ask the database something between two of the client's commands; see `Relay.interlude`."""
        relay = self._carrier
        if not isinstance(relay, Relay):
            return "it is not open"
        if relay.scanner.mode.was_reset:
            return "it has said RESET since, and who it is now is not known"
        return relay.interlude(question, on_answer)

    def share_again(self) -> None:
        """Let it share connections again, if nothing has needed one of its own for some time."""
        relay = self._carrier
        if self._pool is not None and isinstance(relay, Relay) and not self.guest.is_uncertain:
            mode = relay.scanner.mode
            if self._sharing.is_time(mode.own_at, self._floor.now()) and mode.is_plain:
                relay.part(self._parted)

    def _parted(self, commands: bytes) -> None:
        self.given_back(commands)
        self._sharing.parted = True
        self.wake()

    async def run(self) -> None:
        """The session's whole life. Never raises for what the client, the network or the database does."""
        try:
            with self._floor.admission.entered(self.guest.identity):
                begin = await self._greet()
                if begin is not None:
                    await self._serve(begin)
        except ClientError as error:
            self._turn_away(error.reason, error.reply, str(error))
        while not self.gone:
            await self.change()

    async def _greet(self) -> Begin | None:
        """Read what the client wants; None: it has gone, or been sent away."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                while not self.gone:
                    step = self._handshake.next() if self._handshake is not None else None
                    if isinstance(step, Begin):
                        self._let_in = True
                        self.transport.pause_reading()
                        return step
                    if isinstance(step, Close):
                        if step.reason == "quit":
                            self.dismiss(step.data)
                        else:
                            self._turn_away(step.reason, step.data)
                        return None
                    if step is not None:
                        self.transport.write(step.data)
                    elif self._ending or self.eof:
                        self.dismiss(self._ending)
                        return None
                    else:
                        await self.change()
        except TimeoutError as error:
            raise ClientError(
                f"no command within {HANDSHAKE_SECONDS:g} seconds of connecting", reason="handshake_timeout"
            ) from error
        return None

    async def _serve(self, begin: Begin) -> None:
        """Let the client in and stay until it has gone, or raise why not."""
        floor = self._floor
        self.guest.database, self.guest.user = begin.database, begin.user
        # In this order, so that whoever may not use a database does not learn whether there is one.
        self.guest.authorize(begin.user)
        if begin.login is None and self.guest.credential is None:
            self.guest.authorize(DEFAULT_USER)  # which is what it is to the database
        database = floor.directory.databases.get(begin.database)
        if database is None:
            raise ClientError(
                f"there is no database '{begin.database}'; list them with: valkeeper databases",
                reason="unknown_database",
            )
        credential = floor.directory.credential(begin.database, begin.user)
        with floor.admission.opened(database.name):
            protocol = self._shared_protocol(begin, database)
            if credential is None or protocol is None:
                await self._own(begin, database)
            else:
                await self._share(begin, database, self._pools.of(database, credential, protocol), credential)

    def _shared_protocol(self, begin: Begin, database: Database) -> int | None:
        """Which RESP the connections speak that it may share; None: it gets one of its own."""
        mode = self.guest.door.mode or database.mode or self._floor.settings.mode
        if mode != "shared":
            return None
        return begin.login.protocol if begin.login is not None else 2

    async def _share(self, begin: Begin, database: Database, pool: Pool, credential: Credential) -> None:
        """Serve the client over connections that others use as well, except while it needs one of its own."""
        tally = self._floor.tally(database.name)
        self._pool = pool
        pool.members += 1
        try:
            self._joined(credential, await pool.ready(self._deadline()))
            tally.connections += 1
            replies, commands = (pool.greeting, begin.rest) if begin.login is not None else (b"", begin.raw)
            while not self.gone:
                if self._ending:
                    self.dismiss(self._ending)
                    return
                await self._share_until_it_moves(pool, replies, commands, tally)
                replies = commands = b""
                if self.gone:
                    return
                await self._own(Begin(begin.database, begin.user, pool.login, b"", b""), database)
                if not self._sharing.parted:
                    return
                self._sharing.parted = False
                self.guest.token_since = None
                tally.moved("back")
        finally:
            pool.members -= 1

    def _joined(self, credential: Credential, made: datetime | None) -> None:
        self.guest.logged_in(credential, made)
        self.guest.token_since = None  # the pool renews its own connections
        self.end_if_retired()

    async def _share_until_it_moves(self, pool: Pool, replies: bytes, commands: bytes, tally: Tally) -> None:
        """Serve it until it has gone, or needs a connection of its own."""
        member = self._carrier = Member(
            self.transport, pool, HungUpError(pool.database.name).reply, self.wake, self.closed
        )
        tally.open += 1
        try:
            member.start(replies, commands + self.taken(), eof=self.eof)
            while not (self.gone or member.moves):
                await self.change()
                if member.waits_for_trunk and not self.gone:
                    await pool.ready(self._deadline())
                    member.has_trunk()
            if self.gone:
                return
            held, self.eof = member.give_up()
            self.given_back(held)
            tally.moved(member.reason)
            self._sharing.moved(self._floor.now())
        finally:
            tally.open -= 1
            self._let_go(member, tally)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._floor.settings.connect_timeout

    async def _own(self, begin: Begin, database: Database) -> None:
        """Serve the client over a connection of its own."""
        admission = self._floor.admission
        waited = await admission.turn(database.name, self._floor.settings.connect_timeout)
        if waited and has_hung_up(self.transport):  # who gave up meanwhile is no burden to the database
            self.transport.abort()
            return
        await self._connect(begin, database)

    async def _connect(self, begin: Begin, database: Database) -> None:
        floor = self._floor
        credential = floor.directory.credential(begin.database, begin.user)
        deadline = self._deadline()
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
                    # Who has shared connections until now was answered long ago.
                    replies, commands = accepted.reply if self._pool is None else b"", begin.rest
            elif begin.login is not None and not self.guest.may_be_nobody:
                replies = await ask(floor, database, upstream, begin.login.command(begin.user), deadline)
                commands = begin.rest
                if replies.startswith(b"-"):
                    self._turn_away("rejected", replies)
                    return
            if self.gone or self._ending:
                self.dismiss(self._ending)
                return
            tally = floor.tally(database.name)
            tally.connected(stages)
            tally.connections += self._pool is None  # else it was counted when it came
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
        relay = self._carrier = Relay(
            self.transport,
            upstream.transport,
            lost,
            lambda: relogin.found(),  # noqa: PLW0108 -- it is made below
            self.closed,
            strict=self.guest.identity.role is not None,
        )
        relogin = Relogin(
            self._floor,
            self.guest,
            database,
            relay,
            on_wait=self.wake,
            on_passed=self.end_if_retired,
            on_refused=lambda error: self._failed(error.reason, str(error)),
        )
        try:
            relay.start(replies + upstream.early(), commands + self.taken(), eof=self.eof)
            if upstream.closed:
                relay.database_lost()
            while not (self.gone or self._sharing.parted):
                await self.change()
                if relogin.waits and not self.gone:
                    await relogin.finish()
        finally:
            relay.abort()
            tally = self._floor.tally(database.name)
            if relay.cut:
                tally.ended("database_lost")
            self._let_go(relay, tally)
            log.debug(
                "session closed",
                **self.facts,
                bytes_from_client=relay.from_client,
                bytes_from_database=relay.from_database,
                seconds=round(time.time() - self.since, 3),
            )

    def _let_go(self, carrier: Relay | Member, tally: Tally) -> None:
        """Keep the counts of what has passed its bytes on so far."""
        self._passed = self._passed.and_by(carrier)
        self._carrier = None
        tally.bytes_from_clients += carrier.from_client
        tally.bytes_from_database += carrier.from_database

    # Ends.

    def _turn_away(self, reason: str, reply: bytes, message: str = "") -> None:
        self._failed(reason, message)
        self.dismiss(reply)

    def _failed(self, reason: str, message: str) -> None:
        self._floor.tally(self.guest.counted_under).failed(reason)
        log.info("client refused", reason=reason, error=message, **self.facts)
