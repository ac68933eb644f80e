"""Many clients at once that say nothing, do not read, or are not read from."""

import asyncio
import contextlib
import socket

from tests.faults.wire import Fault, Wire
from tests.proxy.dialogues import c
from tests.proxy.proxykit import database

__all__ = ["LOGIN", "crowd", "log_in", "slow_database", "slow_readers", "slow_writers"]

LOGIN = c("AUTH", "app", "x")
_BUFFERED = 200 * 1024  # bytes that pass one way before anything is held back
_AT_ONCE = 1 << 20


@contextlib.asynccontextmanager
async def crowd(path, count, says=b""):
    """So many connections that say this, as (reader, writer)."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=4096)
            stack.callback(writer.transport.abort)
            writer.write(says)
            found.append((reader, writer))
        yield found


async def log_in(clients):
    """Have them all let in."""
    for _, writer in clients:
        writer.write(LOGIN)
    for reader, _ in clients:
        assert await reader.readexactly(5) == b"+OK\r\n"


async def slow_readers(proxy, clients, key, size, times, measure):
    """Have each ask for a value so many times and read nothing, measure, and have them read everything."""
    for _, writer in clients:
        writer.write(c("GET", key) * times)
    await _settled(proxy, "bytes_from_database")
    measured = measure()
    expected = times * (len(b"$%d\r\n\r\n" % size) + size)

    async def read(reader):
        left = expected
        while left:
            left -= len(await reader.read(min(left, _AT_ONCE)))

    await asyncio.gather(*(read(reader) for reader, _ in clients))
    return measured


async def slow_writers(proxy, clients, size, go_on, measure):
    """Have each send a value of so many bytes to a slow database, measure once it is stuck, and have it sent."""
    for _, writer in clients:
        writer.write(b"*3\r\n$3\r\nSET\r\n$8\r\nunwanted\r\n$%d\r\n" % size)
        writer.write(bytes(size) + b"\r\n")
    passed = await _settled(proxy, "bytes_from_client")
    assert max(passed) < size, "the database has read it all"
    measured = measure()
    go_on.set()
    for reader, _ in clients:
        assert await reader.readexactly(5) == b"+OK\r\n"
    return measured


async def _settled(proxy, what):
    """How many bytes passed for each, once everything is held up."""
    passed, before = [], None
    while passed != before or min(passed) < _BUFFERED:
        await asyncio.sleep(0.1)
        before, sessions = passed, (await asyncio.to_thread(proxy.publisher.sessions))[0]
        passed = sorted(getattr(session, what) for session in sessions.values())
    return passed


@contextlib.asynccontextmanager
async def slow_database(server, proxy, name):
    """A database that lets clients in and then reads nothing more, until the event is set that this gives."""
    go_on = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        wire = _Reluctant(lambda: asyncio.open_connection("127.0.0.1", server.port), go_on)
        sock = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        proxy.serve(database(server, name, port=sock.getsockname()[1]))
        await stack.enter_async_context(wire.listening(sock))
        yield go_on


class _Reluctant(Wire):
    """Every connection stalls behind its login."""

    def __init__(self, dial, go_on):
        super().__init__(dial)
        self._go_on = go_on

    async def _serve(self, reader, writer):
        self.arm(Fault("stall", "there", 4096))
        self.mended = self._go_on
        await super()._serve(reader, writer)
