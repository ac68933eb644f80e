"""Breaks the connections that clients share at any byte, many at a time, on the real proxy and a real Redis."""

import asyncio
import contextlib
import socket
import ssl

from tests.faults.cases import Case
from tests.faults.company import LONGEST, Company, WrongReplyError
from tests.faults.wire import Fault, Wire
from tests.proxy.proxykit import database

__all__ = ["KINDS", "SharedSweep", "faults_of"]

KINDS = {
    "shared": ("stall", "cut", "reset"),  # counted in commands and replies
    "shared-wire": ("stall", "half-close", "cut", "reset"),  # counted in bytes of TLS
}
"""Between Valkeeper and a database whose clients share connections: how the wire breaks. asyncio's TLS knows no half-close."""

_LANES = 16  # companies at a time
_LOGIN = len(b"+OK\r\n")


def faults_of(side, sizes, step=1):
    """Every byte of a whole connection of a company with a fault: of TLS, which has many, with one kind each.

    Args:
        side: which wire.
        sizes: how many bytes pass it, by way.
        step: only every so many bytes.
    """
    kinds = KINDS[side]
    for way in ("there", "back"):
        for number, at in enumerate(range(0, sizes[way], step)):
            for kind in kinds if side == "shared" and step == 1 else [kinds[number % len(kinds)]]:
                yield Case(side, Fault(kind, way, at))


class SharedLane:
    """Databases for one company at a time, each behind a wire."""

    def __init__(self, number, server):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        self.sockets = {side: socket.create_server(("127.0.0.1", 0)) for side in KINDS}
        self.names = {side: f"{side}{number}" for side in KINDS}
        self.databases = [
            database(server, self.names[side], port=sock.getsockname()[1], mode="shared")
            for side, sock in self.sockets.items()
        ]
        self.wires = {
            "shared": Wire(
                lambda: asyncio.open_connection("localhost", server.port, ssl=trust, ssl_shutdown_timeout=1.0)
            ),
            "shared-wire": Wire(lambda: asyncio.open_connection("127.0.0.1", server.port)),
        }

    @contextlib.asynccontextmanager
    async def open(self):
        """Let the wires carry."""
        async with contextlib.AsyncExitStack() as stack:
            for side, wire in self.wires.items():
                options = {"ssl": self.tls} if side == "shared" else {}
                await stack.enter_async_context(wire.listening(self.sockets[side], **options))
            yield
            for wire in self.wires.values():
                if wire.caller is not None:
                    wire.caller.transport.abort()


class SharedSweep:
    """Goes through cases.

    Args:
        server: a Redis.
        lanes: at least one.
        connect: opens a connection to one of the proxy's databases, by its name.

    Attributes:
        tried: how many companies there were.
    """

    def __init__(self, server, lanes, connect):
        self._server = server
        self._lanes = lanes
        self._connect = connect
        self.tried = 0

    @classmethod
    def on(cls, server, proxy):
        """On a proxy, which serves what this needs from now on."""
        lanes = [SharedLane(number, server) for number in range(_LANES)]
        proxy.serve(*(record for lane in lanes for record in lane.databases))
        return cls(server, lanes, lambda name: asyncio.open_unix_connection(str(proxy.path(name))))

    async def run(self, side, *, step=1):
        """What is wrong, by case."""
        with self._server.client() as admin:
            admin.flushall()  # another sweep had companies of the same names
        problems = {}
        async with contextlib.AsyncExitStack() as stack:
            for lane in self._lanes:
                await stack.enter_async_context(lane.open())
            for lane in (*self._lanes, self._lanes[0]):  # the first to come ask what the commands are
                await self._company(lane, side).meet(None)
            waiting = iter(list(faults_of(side, lane.wires[side].carried[0], step)))
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._take_turns(lane, waiting, problems))
        return problems

    def _company(self, lane, side):
        self.tried += 1
        return Company(f"s-{self.tried:06}", lane.wires[side], lambda: self._connect(lane.names[side]))

    async def _take_turns(self, lane, waiting, problems):
        with self._server.client() as admin:
            for case in waiting:
                company = self._company(lane, case.side)
                try:
                    await company.meet(case.fault)
                except (TimeoutError, OSError, WrongReplyError) as error:
                    problems[case] = f"{type(error).__name__}: {error}"
                    continue
                wrong = [member.problem(admin.lrange(member.log, 0, -1)) for member in company.members]
                left = company.undelivered(_LOGIN)
                if case.side == "shared" and case.fault.way == "back" and not 0 <= left < LONGEST:
                    wrong.append(f"{left} bytes of replies were not handed on")
                if any(wrong):
                    problems[case] = "; ".join(filter(None, wrong))
