"""A client's stay, from when it is let in: over a connection of its own, or over connections that others use as well."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from proxy.directory import Credential, Database
from proxy.errors import LostError
from proxy.floor import Floor
from proxy.handshake import Begin
from proxy.keepalive import has_hung_up
from proxy.liveness import stuck_at
from proxy.login import Accepted, ask, connect, log_in
from proxy.relay import Relay
from proxy.relogin import Relogin
from proxy.shared.pool import Pool, Pools
from proxy.shared.sharer import Sharer
from proxy.shared.sharing import Sharing
from proxy.tally import Passed
from proxy.upstream import Upstream

if TYPE_CHECKING:
    from proxy.session import Session

__all__ = ["Stay"]

log = structlog.get_logger("proxy")


class Stay:
    """Connects a session to its database, and takes it from one kind of connection to the other.

    Args:
        session: who stays.
        floor: what the worker's sessions share.
        database: where it wants to go.
        begin: what else it wants.

    Attributes:
        carrier: what passes its bytes on right now; None: nothing does.
    """

    def __init__(self, session: "Session", floor: Floor, database: Database, begin: Begin) -> None:
        self._session = session
        self._guest = session.guest
        self._floor = floor
        self._database = database
        self._begin = begin
        self._tally = floor.tally(database.name)
        self.carrier: Relay | Sharer | None = None
        self._passed = Passed()  # by earlier carriers
        self._shares = False
        self._sharing = Sharing()

    @property
    def carried(self) -> Passed:
        """What is not yet on the database's account."""
        return Passed() if self.carrier is None else Passed().and_by(self.carrier)

    @property
    def passed(self) -> Passed:
        """What the database got of the client, and the client of the database."""
        return self._passed if self.carrier is None else self._passed.and_by(self.carrier)

    async def serve(self, pools: Pools) -> None:
        """Serve the client until it has gone.

        Raises:
            ClientError: why it cannot be served, or not any more.
        """
        credential = self._floor.directory.credential(self._begin.database, self._begin.user)
        protocol = self._shared_protocol()
        if credential is None or protocol is None:
            await self._own(self._begin)
        else:
            await self._share(pools.of(self._database, credential, protocol), credential)

    def interlude(self, question: bytes, on_answer: Callable[[bytes], None]) -> str | None:
        """Ask the database something between two of the client's commands; see `Relay.interlude`."""
        relay = self.carrier
        if not isinstance(relay, Relay):
            return "it is not open"
        if relay.scanner.mode.was_reset:
            return "it has said RESET since, and who it is now is not known"
        return relay.interlude(question, on_answer)

    @property
    def stuck_at(self) -> int | None:
        """See `liveness`; None also where it has no connection of its own."""
        relay = self.carrier
        if not isinstance(relay, Relay) or relay.database.is_closing():
            return None
        return stuck_at(relay.database)

    def lose_database(self) -> None:
        """Take its own connection for lost."""
        if isinstance(self.carrier, Relay):
            self.carrier.database.abort()

    # Over connections that others use as well.

    def _shared_protocol(self) -> int | None:
        """Which RESP the connections speak that it may share; None: it gets one of its own."""
        mode = self._guest.door.mode or self._database.mode or self._floor.settings.mode
        if mode != "shared":
            return None
        return self._begin.login.protocol if self._begin.login is not None else 2

    def share_again(self) -> None:
        """Let it share connections again, if nothing has needed one of its own for some time."""
        relay = self.carrier
        if self._shares and isinstance(relay, Relay) and not self._guest.is_uncertain:
            mode = relay.scanner.mode
            if self._sharing.is_time(mode.own_at, self._floor.now()) and mode.is_plain:
                relay.part(self._parted)

    def _parted(self, commands: bytes) -> None:
        self._session.given_back(commands)
        self._sharing.parted = True
        self._session.wake()

    async def _share(self, pool: Pool, credential: Credential) -> None:
        """Serve the client by a pool's connections, except while it needs one of its own."""
        session, begin = self._session, self._begin
        self._shares = True
        pool.sharers += 1
        try:
            self._joined(credential, await pool.ready(self._deadline()))
            self._tally.connections += 1
            replies, commands = (pool.greeting, begin.rest) if begin.login is not None else (b"", begin.raw)
            while not session.has_left:
                if session.ending:
                    session.dismiss(session.ending)
                    return
                await self._share_until_it_moves(pool, replies, commands)
                replies = commands = b""
                if session.has_left:
                    return
                await self._own(Begin(begin.database, begin.user, pool.login, b"", b""))
                if not self._sharing.parted:
                    return
                self._sharing.parted = False
                self._guest.token_since = None
                self._tally.moved("back")
        finally:
            pool.sharers -= 1

    def _joined(self, credential: Credential, made: datetime | None) -> None:
        self._guest.logged_in(credential, made)
        self._guest.token_since = None  # the pool renews its own connections
        self._session.end_if_retired()

    async def _share_until_it_moves(self, pool: Pool, replies: bytes, commands: bytes) -> None:
        """Serve it until it has gone, or needs a connection of its own."""
        session = self._session
        sharer = self.carrier = Sharer(session.transport, pool, session.wake, session.closed)
        self._tally.open += 1
        try:
            sharer.start(replies, commands + session.taken(), eof=session.eof)
            while not (session.gone or sharer.moves):
                await session.change()
                if sharer.waits_for_trunk and not session.gone:
                    await pool.ready(self._deadline())
                    sharer.has_trunk()
            if session.gone:
                return
            held, session.eof = sharer.give_up()
            session.given_back(held)
            self._tally.moved(sharer.reason)
            self._sharing.moved(self._floor.now())
        finally:
            # What a client has left to be done goes on after it has gone.
            session.gone = session.gone or sharer.gone
            self._tally.open -= 1
            self._let_go(sharer)

    # Over one of its own.

    async def _own(self, begin: Begin) -> None:
        """Serve the client over a connection of its own."""
        session, floor = self._session, self._floor
        waited = await floor.admission.turn(self._database.name, floor.settings.connect_timeout)
        if waited and has_hung_up(session.transport):  # who gave up meanwhile is no burden to the database
            session.transport.abort()
            return
        deadline = self._deadline()
        credential = floor.directory.credential(begin.database, begin.user)
        accepted = None
        if credential is None:
            upstream = await connect(floor, self._database, deadline)
        else:
            upstream, accepted = await log_in(floor, self._database, credential, deadline, login=begin.login)
        try:
            if credential is not None and accepted is not None:
                self._guest.logged_in(credential, accepted.made)
                session.end_if_retired()
            replies, commands = await self._opening(begin, upstream, accepted, deadline)
            self._tally.connected(upstream.stages)
            if session.ending or (session.has_left and not commands):
                session.dismiss(session.ending)
            elif not session.leaving:
                self._tally.connections += not self._shares  # else it was counted when it came
                self._tally.open += 1
                try:
                    await self._relay_until_closed(upstream, replies, commands)
                finally:
                    self._tally.open -= 1
        finally:
            upstream.close()

    async def _opening(
        self, begin: Begin, upstream: Upstream, accepted: Accepted | None, deadline: float
    ) -> tuple[bytes, bytes]:
        """What the client is to be told first, and the database to be sent; `accepted`: the login, if it was Valkeeper's."""
        login = begin.login
        if login is None or (accepted is None and self._guest.may_be_nobody):
            return b"", begin.raw
        if accepted is not None:
            # Who has shared connections until now was answered long ago.
            return b"" if self._shares else accepted.reply, begin.rest
        reply = await ask(self._floor, self._database, upstream, login.command(begin.user), deadline)
        if reply.startswith(b"-"):
            self._session.turn_away("rejected", reply)
        return reply, begin.rest

    async def _relay_until_closed(self, upstream: Upstream, replies: bytes, commands: bytes) -> None:
        session = self._session
        log.debug("session opened", **session.facts)
        relogin = Relogin(
            self._floor,
            self._guest,
            self._database,
            on_wait=session.wake,
            on_passed=session.end_if_retired,
            on_refused=lambda error: session.failed(error.reason, str(error)),
        )
        relay = self.carrier = Relay(
            session.transport,
            upstream.transport,
            LostError(self._database.name),
            relogin.found,
            session.closed,
            strict=self._guest.identity.role is not None,
        )
        try:
            if session.gone:
                relay.carry_out(commands + session.taken())
            else:
                relay.start(replies + upstream.early(), commands + session.taken(), eof=session.eof)
            if upstream.closed:
                relay.database_lost()
            while not (relay.closed or self._sharing.parted):
                await session.change()
                if relogin.waits and not relay.closed:
                    await relogin.finish(relay)
        finally:
            relay.abort()
            if relay.cut:
                self._tally.ended("database_lost")
            self._let_go(relay)
            log.debug(
                "session closed",
                **session.facts,
                bytes_from_client=relay.from_client,
                bytes_from_database=relay.from_database,
                seconds=round(time.time() - session.since, 3),
            )

    # Both.

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._floor.settings.connect_timeout

    def _let_go(self, carrier: Relay | Sharer) -> None:
        """Keep the counts of what has passed its bytes on so far."""
        self._passed = self._passed.and_by(carrier)
        self.carrier = None
        self._tally.bytes_from_clients += carrier.from_client
        self._tally.bytes_from_database += carrier.from_database
