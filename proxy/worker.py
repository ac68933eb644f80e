"""One event loop that carries traffic: `python -m proxy.worker <descriptor> <log level> <log format>`.

The descriptor is its end of the link to the parent, over which settings, directory and listening sockets come.
"""

import proxy.lean  # noqa: F401  before anything else

# isort: split
import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from datetime import UTC, datetime

import structlog
import uvloop

from proxy.access import Policy
from proxy.certificate import Certificate
from proxy.channel import understand
from proxy.counters import Counters
from proxy.directory import Credential, to_wire
from proxy.errors import ChannelError, ProxyError
from proxy.floor import Floor
from proxy.guest import Door
from proxy.idleness import Idleness
from proxy.link import Link
from proxy.listener import accept, who_calls
from proxy.listing import record_of
from proxy.liveness import LOOK_SECONDS as LIVENESS_SECONDS
from proxy.liveness import Liveness
from proxy.logs import configure_logging
from proxy.messages import AskSessions, EndSessions, Rejected, Report, SessionsPart
from proxy.orders import (
    Applied,
    Change,
    Drain,
    FromParent,
    Listen,
    Order,
    Ready,
    Retire,
    SayReady,
    Serve,
    Start,
    Unlisten,
)
from proxy.renewer import LOOK_SECONDS, Renewer
from proxy.session import Session
from proxy.shared.pool import Pools
from proxy.shared.trunk import Trunk
from proxy.tally import Passed

__all__ = ["Worker", "main"]

log = structlog.get_logger("proxy")

_REPORT_SECONDS = 1.0
_SHARE_SECONDS = 1.0  # between looks at sessions that may go back to sharing connections
_FAREWELL_SECONDS = 2.0  # for the sessions that drain has ended to deliver their last replies
_SESSIONS_A_TURN = 250  # of a question's: some 2 ms during which no traffic passes
_GOING_AWAY = "the proxy is shutting down; connect again"


class Worker:
    """A worker's life, from the parent's first line to the end of the last session."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._link: Link | None = None
        self._floor: Floor | None = None
        self._pools: Pools | None = None
        self._servers: dict[str, asyncio.AbstractServer] = {}
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._group: asyncio.TaskGroup | None = None
        self._empty = asyncio.Event()
        self._retiring = False
        self._reported = Counters()
        self._looking: list[asyncio.Task[None]] = []  # after sessions, now and then

    async def run(self) -> None:
        """Serve until the parent says drain, or has gone."""
        loop = asyncio.get_running_loop()
        # A Ctrl-C goes to every process of the terminal; the parent decides what it means.
        for number in (signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, self._lines.put_nowait, None)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._link = Link(self._sock, self._take, lambda: self._lines.put_nowait(None))
                reporting = group.create_task(self._report_regularly())
                await self._obey()
                asked = group.create_task(self._obey())  # about sessions, while they are drained
                await self._drain()
                asked.cancel()
                reporting.cancel()
                for task in self._looking:
                    task.cancel()
                self._report()
        finally:
            if self._pools is not None:
                self._pools.close()
            if self._link is not None:
                self._link.close()

    def _take(self, line: bytes) -> None:
        self._lines.put_nowait(line)

    async def _obey(self) -> None:
        """Do what the parent says, line by line and in order, until there is nothing left but to drain."""
        while (line := await self._lines.get()) is not None:
            try:
                order = understand(FromParent, line)
            except ChannelError as error:  # the parent was upgraded to what this version does not know
                log.error("parent not understood", error=str(error))  # noqa: TRY400
                return
            if isinstance(order, Drain):
                return
            await self._do(order)

    async def _do(self, order: Order) -> None:
        if isinstance(order, Start):
            self._start(order)
        elif isinstance(order, Serve | Change):
            self._apply(order)
        elif isinstance(order, Listen):
            await self._listen(order)
        elif isinstance(order, AskSessions | EndSessions):
            await self._answer(order)
        elif isinstance(order, Unlisten):
            server = self._servers.pop(order.name, None)
            if server is not None:
                server.close()
        elif isinstance(order, SayReady):
            self._say(to_wire(Ready()))
        elif isinstance(order, Retire):
            await self._retire()

    def _start(self, order: Start) -> None:
        assert self._group is not None  # noqa: S101 -- orders come after `run` has begun
        self._floor = Floor(
            order.settings,
            Policy(order.uid, order.gid, order.roles),
            self._report_rejected,
            time.monotonic,
            lambda: datetime.now(UTC),
        )
        self._pools = Pools(self._floor)
        self._looking.append(self._group.create_task(self._renew(Renewer(self._floor), self._pools)))
        self._looking.append(self._group.create_task(self._share_again()))
        self._looking.append(self._group.create_task(self._lose_dead(self._pools)))
        if order.settings.idle_timeout is not None:
            self._looking.append(self._group.create_task(self._end_idle(order.settings.idle_timeout)))

    def _apply(self, order: Serve | Change) -> None:
        if isinstance(order, Serve):
            self._started().replace(order.directory)
        else:
            self._started().update(order.update)
        if self._pools is not None:
            self._pools.refresh()
        for session in tuple(self._sessions):
            session.end_if_retired()
        self._say(to_wire(Applied(serial=order.serial)))

    async def _listen(self, order: Listen) -> None:
        floor, pools = self._started(), self._pools
        assert self._link is not None  # noqa: S101 -- a line came over it
        assert pools is not None  # noqa: S101 -- made together with the floor
        sock = socket.socket(fileno=self._link.descriptor())
        sock.setblocking(False)
        door = Door(order.database, order.db_user, order.mode, is_for_all=order.database is None)
        who = who_calls(sock, order.role)
        certificate = None if order.certificate is None else Certificate(order.certificate)
        self._servers[order.name] = await accept(
            sock, lambda: Session(floor, door, who, self._supervise, pools), certificate
        )

    async def _answer(self, question: AskSessions | EndSessions) -> None:
        """Say which sessions there are, or end some and say which; a few at a time, and traffic passes in between."""
        found = list(self._sessions)
        if isinstance(question, EndSessions):
            ids = frozenset(question.ids)
            found = [session for session in found if session.id in ids]
        for at in range(0, len(found), _SESSIONS_A_TURN):
            records = []
            for session in found[at : at + _SESSIONS_A_TURN]:
                if session not in self._sessions:
                    continue  # it went while others had their turn
                records.append(record_of(session))
                if isinstance(question, EndSessions):
                    session.end(question.reason, "killed")
            self._say(to_wire(SessionsPart(number=question.number, sessions=tuple(records))))
            await asyncio.sleep(0)
        self._say(to_wire(SessionsPart(number=question.number, last=True)))

    def _started(self) -> Floor:
        if self._floor is None:
            raise ChannelError("the parent gives orders before it has said how to start")
        return self._floor

    def _supervise(self, session: Session) -> None:
        assert self._group is not None  # noqa: S101 -- sessions come after `run` has begun
        self._empty.clear()
        self._sessions[session] = self._group.create_task(self._attend(session))

    async def _attend(self, session: Session) -> None:
        """Run a session; what goes wrong in one never reaches another."""
        try:
            await session.run()
        except Exception:  # the others must go on
            log.exception("session failed", session=session.id, database=session.guest.database)
            session.transport.abort()
        finally:
            self._sessions.pop(session, None)
            if not self._sessions:
                self._empty.set()
                if self._retiring:
                    self._lines.put_nowait(None)

    async def _retire(self) -> None:
        """No new sessions; those that are open stay for as long as they like, and the last one ends this worker."""
        self._close_servers()
        await asyncio.sleep(0)  # whoever was accepted before has its session begun by then
        self._retiring = True
        if not self._sessions:
            self._lines.put_nowait(None)

    def _close_servers(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _drain(self) -> None:
        """No new sessions; those that are open get their time, and then an error between two commands."""
        self._close_servers()
        if not self._sessions or self._floor is None:
            return
        log.info("worker draining", sessions=len(self._sessions))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._floor.settings.drain_timeout):
                await self._empty.wait()
        for session in tuple(self._sessions):
            session.end(_GOING_AWAY, "drained")
        if self._sessions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._empty.wait()
        for session, task in tuple(self._sessions.items()):
            session.transport.abort()
            task.cancel()

    async def _end_idle(self, longest: float) -> None:
        idleness: Idleness[Session] = Idleness(longest)
        while True:
            await asyncio.sleep(idleness.pause)
            for session in idleness.look(tuple(self._sessions), time.monotonic()):
                session.end(
                    f"idle for more than {longest:g} s (proxy.limits.idle_timeout); connect again", "idle"
                )

    async def _lose_dead(self, pools: Pools) -> None:
        liveness: Liveness[Session | Trunk] = Liveness()
        while True:
            await asyncio.sleep(LIVENESS_SECONDS)
            trunks = [trunk for pool in pools for trunk in pool.connections]
            for dead in liveness.look((*self._sessions, *trunks), time.monotonic()):
                dead.lose_database()

    async def _renew(self, renewer: Renewer, pools: Pools) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await pools.look()
            await renewer.look(tuple(self._sessions))

    async def _share_again(self) -> None:
        while True:
            await asyncio.sleep(_SHARE_SECONDS)
            for session in tuple(self._sessions):
                session.share_again()

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._report()

    def _report(self) -> None:
        """Tell the parent the counts, if they have changed."""
        if self._floor is None:
            return
        carried: dict[str, Passed] = {}
        for session in self._sessions:
            name = session.guest.database
            carried[name] = carried.get(name, Passed()).and_by(session.carried)
        connections = self._pools.connections() if self._pools is not None else {}
        counters = Counters(
            databases={
                name: tally.record(carried.get(name, Passed()), connections.get(name, 0))
                for name, tally in self._floor.tallies.items()
            }
        )
        if counters != self._reported:
            self._reported = counters
            self._say(to_wire(Report(counters=counters)))

    def _report_rejected(self, credential: Credential, database: str) -> None:
        expired = self._started().has_expired(credential)
        log.warning(
            "credential expired" if expired else "credential rejected",
            credential=credential.key,
            version=credential.version,
            database=database,
        )
        self._say(to_wire(Rejected(credential=credential.key, version=credential.version, database=database)))

    def _say(self, line: bytes) -> None:
        if self._link is not None:
            self._link.send(line)


def main() -> int:
    """What `python -m proxy.worker` does."""
    descriptor, level, log_format = sys.argv[1:]
    configure_logging(level, log_format, process="worker", pid=os.getpid())
    # A session takes two descriptors, and services usually begin with room for 1024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        uvloop.run(Worker(socket.socket(fileno=int(descriptor))).run())
    except* ProxyError as group:
        log.error("worker gives up", errors=[str(error) for error in group.exceptions])  # noqa: TRY400
        return_code = 1
    else:
        return_code = 0
    return return_code


if __name__ == "__main__":
    sys.exit(main())
