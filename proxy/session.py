"""One client's connection, from its first byte to its last."""

import asyncio
import itertools
import os
import ssl
import time
from collections.abc import Callable
from typing import Literal

import structlog

from proxy.access import Identity
from proxy.errors import CertificateError, ClientError, error_reply
from proxy.floor import Floor
from proxy.guest import Door, Guest
from proxy.handshake import DEFAULT_USER, HANDSHAKE_SECONDS, Begin, Close, Handshake
from proxy.retirement import RETIRED
from proxy.shared.pool import Pools
from proxy.stay import Stay
from proxy.tally import Passed
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
        ending: the error that ends it from outside; empty: nothing does.
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
        self._stay: Stay | None = None  # once it is let in
        self._let_in = False
        self._late = False  # it has not said what it wants in time
        self.ending = b""  # the error that ends it from outside

    @property
    def facts(self) -> dict[str, str | None]:
        """What a log line says of it."""
        return {"session": self.id, **self.guest.facts}

    @property
    def carried(self) -> Passed:
        """What is not yet on the database's account."""
        return self._stay.carried if self._stay is not None else Passed()

    @property
    def passed(self) -> Passed:
        """What the database got of it, and it of the database."""
        return self._stay.passed if self._stay is not None else Passed()

    @property
    def state(self) -> Literal["greeting", "connecting", "open", "ending"]:
        """How far it is: it has not said what it wants, is being logged in, is served, or is being ended."""
        carrier = self._stay.carrier if self._stay is not None else None
        if self.leaving or self.ending or (carrier is not None and carrier.finishing):
            return "ending"
        if carrier is not None:
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
        return self._stay is None or self._stay.carrier is None or self._stay.carrier.waits

    @property
    def stuck_at(self) -> int | None:
        """See `liveness`: of its own connection to its database; None also while it has none."""
        return self._stay.stuck_at if self._stay is not None else None

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
            self.failed("tls", f"TLS failed: {exc.reason or exc}")
        elif isinstance(exc, CertificateError):
            self.failed("certificate", str(exc))
        super().connection_lost(exc)

    # What the worker calls.

    def end(self, reason: str, cause: str) -> None:
        """End the session from outside: its outstanding replies, then a Redis error with this reason, then the end.

        It is counted under `cause`, one word.
        """
        error = error_reply("ERR", f"valkeeper: {reason}")
        if not self.ending:
            self._floor.tally(self.guest.counted_under).ended(cause)
        self.ending = error
        if self._stay is not None and self._stay.carrier is not None:
            self._stay.carrier.end(error)
        self.wake()

    def lose_database(self) -> None:
        """Take its own connection to its database for lost."""
        log.warning("database is silent", **self.facts)
        if self._stay is not None:
            self._stay.lose_database()

    def end_if_retired(self) -> None:
        """End it if a password that let it in was retired since."""
        if not self.ending and self.guest.is_retired:
            log.info("session ended", reason="retired", **self.facts)
            self.end(RETIRED, "retired")

    def interlude(self, question: bytes, on_answer: Callable[[bytes], None]) -> str | None:
        """Ask the database something between two of the client's commands; see `Relay.interlude`."""
        return self._stay.interlude(question, on_answer) if self._stay is not None else "it is not open"

    def share_again(self) -> None:
        """Let it share connections again, if nothing has needed one of its own for some time."""
        if self._stay is not None:
            self._stay.share_again()

    async def run(self) -> None:
        """The session's whole life. Never raises for what the client, the network or the database does."""
        try:
            with self._floor.admission.entered(self.guest.identity):
                begin = await self._greet()
                if begin is not None:
                    await self._serve(begin)
        except ClientError as error:
            self.turn_away(error.reason, error.reply, str(error))
        while not self.gone:
            await self.change()
        self._stay = None  # else both would wait for the garbage collector

    async def _greet(self) -> Begin | None:
        """Read what the client wants; None: it has gone, or been sent away."""
        timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._is_late)
        try:
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
                        self.turn_away(step.reason, step.data)
                    return None
                if step is not None:
                    self.transport.write(step.data)
                elif self.ending or self.eof:
                    self.dismiss(self.ending)
                    return None
                elif self._late:
                    raise ClientError(
                        f"no command within {HANDSHAKE_SECONDS:g} seconds of connecting",
                        reason="handshake_timeout",
                    )
                else:
                    await self.change()
        finally:
            timer.cancel()
        return None

    def _is_late(self) -> None:
        self._late = True
        self.wake()

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
        with floor.admission.opened(database.name):
            self._stay = Stay(self, floor, database, begin)
            await self._stay.serve(self._pools)

    # Ends.

    def turn_away(self, reason: str, reply: bytes, message: str = "") -> None:
        """Tell the client this, count and log why, and end the connection."""
        self.failed(reason, message)
        self.dismiss(reply)

    def failed(self, reason: str, message: str) -> None:
        """Count and log why the client does not get what it wants."""
        self._floor.tally(self.guest.counted_under).failed(reason)
        log.info("client refused", reason=reason, error=message, **self.facts)
