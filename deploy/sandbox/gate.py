"""The gate before a server whose database has IAM users: takes its clients, and their logins, in its place."""

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from deploy.sandbox.auth_stream import AuthStream, Judge
from deploy.sandbox.certificates import Certificates

__all__ = ["Gate", "Gates"]

_HOST = "127.0.0.1"
_BACKLOG = 128
_CHUNK = 64 * 1024
_TENURE_SECONDS = 12 * 3600.0
_OUT_OF_DESCRIPTORS_SECONDS = 0.05


class Gates:
    """What all gates share: an event loop in a thread of its own, which starts with the first gate, and TLS."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._limits: set[asyncio.Timeout] = set()
        self.facing_clients: ssl.SSLContext
        self.facing_servers: ssl.SSLContext

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[asyncio.Timeout]:
        """A connection's life, without an end until one is set."""
        async with asyncio.timeout(None) as limit:
            self._limits.add(limit)
            try:
                yield limit
            finally:
                self._limits.discard(limit)

    def age(self, seconds: float) -> None:
        """Let so much time pass for all connections that were opened with a token, and for nothing else."""

        async def pass_time() -> None:
            for limit in tuple(self._limits):
                end = limit.when()
                if end is not None:
                    limit.reschedule(end - seconds)

        self.perform(pass_time())

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let a coroutine run."""
        asyncio.run_coroutine_threadsafe(coroutine, self._running())

    def perform(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        asyncio.run_coroutine_threadsafe(coroutine, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                files = self._certificates
                self.facing_clients = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                self.facing_clients.load_cert_chain(files.certificate_file, files.key_file)
                self.facing_servers = ssl.create_default_context(cafile=files.ca_file)
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="gates", daemon=True).start()
            return self._loop


class Gate:
    """One server's: on the port that its clients know, while the server listens on another.

    Args:
        gates: Where it runs.
        port: The clients'.
        server_port: The server's.
        judge: Decides on the password of each login.
    """

    def __init__(self, gates: Gates, *, port: int, server_port: int, judge: Judge) -> None:
        self._gates = gates
        self._port = port
        self._server_port = server_port
        self._judge = judge
        self._is_open = False
        self._serving: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Listen; does nothing if it does already. Raises OSError if the port is taken."""
        if not self._is_open:
            listener = socket.create_server((_HOST, self._port), backlog=_BACKLOG)
            listener.setblocking(False)
            self._is_open = True
            self._gates.start(self._serve(listener))

    def close(self) -> None:
        """Refuse connections from now on, and drop those that there are."""
        if self._is_open:
            self._is_open = False
            self._gates.perform(self._end())

    async def _serve(self, listener: socket.socket) -> None:
        self._serving = asyncio.current_task()
        with listener:
            async with asyncio.TaskGroup() as clients:
                while True:
                    try:
                        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                    except OSError:
                        await asyncio.sleep(_OUT_OF_DESCRIPTORS_SECONDS)
                    else:
                        clients.create_task(self._admit(connection))

    async def _end(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
            self._serving = None

    async def _admit(self, connection: socket.socket) -> None:
        try:
            async with contextlib.AsyncExitStack() as ending:
                await self._carry(connection, ending)
        except* OSError:
            pass  # One of the two has gone, and so has the other now; or the 12 hours are over.
        except* Exception as group:  # noqa: BLE001 - one client's trouble must not end the gate for all
            print(f"sandbox: the gate on port {self._port} lost a client: {group!r}", file=sys.stderr)

    async def _carry(self, connection: socket.socket, ending: contextlib.AsyncExitStack) -> None:
        # First the server: one that is frozen must leave its clients without an answer, as if there were no gate.
        try:
            from_server, to_server = await asyncio.open_connection(
                _HOST, self._server_port, ssl=self._gates.facing_servers
            )
        except BaseException:
            connection.close()
            raise
        ending.callback(to_server.transport.abort)
        from_client, to_client = await _greet(connection, self._gates.facing_clients)
        ending.callback(to_client.transport.abort)
        limit = await ending.enter_async_context(self._gates.limit())

        def judge(user: bytes, password: bytes) -> bytes:
            judged = self._judge(user, password)
            if judged != password:  # a token that was accepted
                limit.reschedule(asyncio.get_running_loop().time() + _TENURE_SECONDS)
            return judged

        async with asyncio.TaskGroup() as ways:
            ways.create_task(_pump(from_client, to_server, AuthStream(judge).feed))
            ways.create_task(_pump(from_server, to_client, lambda data: data))


async def _greet(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
) -> None:
    """Hand on what comes until it ends, and then the end. TLS has no half-close that Redis would know."""
    while data := await reader.read(_CHUNK):
        writer.write(change(data))
        await writer.drain()
    writer.close()
    await writer.wait_closed()
