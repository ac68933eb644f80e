"""Sessions in the test's own process, whose clock the test sets: what a worker does, without a worker."""

import asyncio
import contextlib
import os
import socket
from datetime import UTC, datetime

from proxy.access import Policy
from proxy.floor import Floor
from proxy.guest import Door
from proxy.listener import identify
from proxy.renewer import Renewer
from proxy.session import Session
from proxy.settings import ProxySettings, WorkerSettings
from proxy.shared.pool import Pools
from proxy.tls_transport import TlsTransport

HOUR = 3600.0


class Hall:
    """A database's socket, and everybody who came in by it; with a certificate they have to speak TLS.

    Attributes:
        seconds: what the sessions' clock says.
    """

    def __init__(self, path, directory, certificate=None, **settings):
        self.path = path
        self._certificate = certificate
        self.seconds = 0.0
        self.sessions = []
        self.rejected = []
        self.floor = Floor(
            WorkerSettings.of(ProxySettings.model_validate({"runtime_dir": path.parent} | settings)),
            Policy(os.geteuid(), os.getegid()),
            lambda credential, _: self.rejected.append(credential),
            lambda: self.seconds,
            lambda: datetime.now(UTC),
        )
        self.floor.replace(directory)
        self.renewer = Renewer(self.floor)
        self.pools = Pools(self.floor)

    async def __aenter__(self):
        self._group = await asyncio.TaskGroup().__aenter__()
        self._server = await asyncio.get_running_loop().create_unix_server(self._arrive, self.path)
        return self

    def _arrive(self):
        session = Session(self.floor, Door("orders", None), identify, self._supervise, self.pools)
        return session if self._certificate is None else TlsTransport(self._certificate.context, session)

    def _supervise(self, session):
        async def attend():
            try:
                await session.run()
            finally:
                self.sessions.remove(session)

        self.sessions.append(session)
        self._group.create_task(attend())

    async def __aexit__(self, *error):
        self._server.close()
        for session in self.sessions:
            session.transport.abort()
        async with asyncio.timeout(
            20
        ):  # a session that never ends is a failure, and no reason to wait for ever
            await self._group.__aexit__(*error)
        self.pools.close()
        await self.until(lambda: not any(pool.connections for pool in self.pools))

    def tally(self):
        return self.floor.tally("orders")

    async def look(self, hours):
        """Let it be so many hours since the sessions began, and look after them."""
        self.seconds = hours * HOUR
        await self.renewer.look(tuple(self.sessions))

    async def until(self, question):
        async with asyncio.timeout(10):
            while not question():  # noqa: ASYNC110 -- the product tells nobody
                await asyncio.sleep(0.001)

    def socket(self):
        """A connection, for a thread that talks over it."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(self.path))
        return sock

    @contextlib.asynccontextmanager
    async def client(self, user="app"):
        """A client that has logged in."""
        reader, writer = await asyncio.open_unix_connection(self.path, limit=1 << 24)
        try:
            writer.write(f"AUTH {user} x\r\n".encode())
            assert await reader.readline() == b"+OK\r\n"
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
