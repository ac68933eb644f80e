"""Puts conversations through faults, many at a time, on the real proxy and a real Redis."""

import asyncio
import contextlib
import functools
import socket
import ssl
from pathlib import Path

from tests.faults.cases import problem
from tests.faults.conversation import Conversation
from tests.faults.wire import Wire
from tests.proxy.proxykit import database, eventually, free_port

__all__ = ["Lane", "Sweep", "converse", "descriptors", "listeners"]

_LANES = 16  # conversations at a time

_PATIENCE = 30.0


def listeners():
    """The proxy's for all lanes, and the TCP port of each lane."""
    ports = [free_port() for _ in range(_LANES)]
    tcp = [{"tcp": f"127.0.0.1:{port}", "database": f"raw{lane}"} for lane, port in enumerate(ports)]
    return [{"unix": "{runtime_dir}/{database}.sock"}, *tcp], ports


def descriptors(pid):
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _listening():
    return socket.create_server(("127.0.0.1", 0))


class Lane:
    """Databases of its own for one conversation at a time, with wires before them and before the client's sockets."""

    def __init__(self, number, server, proxy, port):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        self._server_tls = tls
        self.names = {"plain": f"plain{number}", "raw": f"raw{number}"}
        sockets = {side: _listening() for side in ("client", "local", "database", "wire")}
        ports = {side: sock.getsockname()[1] for side, sock in sockets.items()}
        self._sockets = sockets
        self._ports = ports
        self.databases = [
            database(server, self.names["plain"], port=ports["database"]),
            database(server, self.names["raw"], port=ports["wire"]),
        ]
        self.wires = {
            "client": Wire(lambda: asyncio.open_unix_connection(str(proxy.path(self.names["raw"])))),
            "local": Wire(lambda: asyncio.open_connection("127.0.0.1", port)),
            "database": Wire(
                lambda: asyncio.open_connection("localhost", server.port, ssl=trust, ssl_shutdown_timeout=1.0)
            ),
            "wire": Wire(lambda: asyncio.open_connection("127.0.0.1", server.port)),
        }
        self._path = str(proxy.path(self.names["plain"]))

    @contextlib.asynccontextmanager
    async def open(self):
        """Let the wires carry."""
        async with contextlib.AsyncExitStack() as stack:
            for side, wire in self.wires.items():
                options = {"ssl": self._server_tls} if side == "database" else {}
                await stack.enter_async_context(wire.listening(self._sockets[side], **options))
            yield

    async def connect(self, side):
        """A client whose conversation passes this wire."""
        if side == "database":
            return await asyncio.open_unix_connection(self._path)
        return await asyncio.open_connection("127.0.0.1", self._ports["client" if side == "wire" else side])


async def converse(wire, connect, case, conversation):
    """Have a conversation over a wire that breaks.

    Args:
        wire: breaks as the case says.
        connect: opens the client's connection.
        case: what happens.
        conversation: what is said.

    Returns:
        Everything that the client read, and what was wrong with what it read while the wire was stalled, if anything.
    """
    wire.arm(case.fault)
    reader, writer = await connect()
    answer, wrong = b"", None
    meanwhile = case.meanwhile(conversation)
    mender = asyncio.create_task(wire.mend_once_broken()) if meanwhile is None else None
    try:
        writer.write(conversation.said)
        if case.fault.kind == "stall" and meanwhile is not None:
            await wire.broken.wait()
            answer = await reader.readexactly(len(meanwhile))
            if answer != meanwhile:
                wrong = f"read {answer!r} while it stalled, not {meanwhile!r}"
            wire.mended.set()
        while len(answer) < len(conversation.replies) and (data := await reader.read(65536)):
            answer += data
    except ConnectionError:
        pass  # that is what a reset is
    finally:
        if mender is not None:  # what is counted in TLS may never come, or only as the connection ends
            mender.cancel()
        wire.mended.set()
        wire.arm(None)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer, wrong


class Sweep:
    """Goes through cases.

    Args:
        server: a Redis.
        proxy: with `listeners`.
        ports: of its lanes.

    Attributes:
        tried: how many conversations there were.
    """

    def __init__(self, server, proxy, ports):
        self._server = server
        self._proxy = proxy
        self._ports = ports
        self._lanes = []
        self.tried = 0

    async def run(self, cases):
        """What is wrong, by case; `cases` is asked for them once, with how many bytes of TLS a conversation has."""
        self._lanes = [
            Lane(number, self._server, self._proxy, port) for number, port in enumerate(self._ports)
        ]
        self._proxy.serve(*(record for lane in self._lanes for record in lane.databases))
        found, problems = [], {}
        async with contextlib.AsyncExitStack() as stack:
            for lane in self._lanes:
                await stack.enter_async_context(lane.open())
            waiting = iter(cases(await self._sizes()))
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._take_turns(lane, waiting, found, problems))
            await asyncio.to_thread(self._judge, found, problems)
        return problems

    def _name(self):
        self.tried += 1
        return f"f-{self.tried:06}"

    async def _sizes(self):
        with self._server.client() as admin:
            admin.flushall()  # another sweep had conversations of the same names
        lane = self._lanes[0]
        for _ in range(
            2
        ):  # the first one's TLS has no session to resume, and so twice as many bytes as the others'
            conversation = Conversation(self._name())
            reader, writer = await lane.connect("wire")
            writer.write(conversation.said)
            answer = await reader.readexactly(len(conversation.replies))
            assert answer == conversation.replies, answer
            sizes = dict(lane.wires["wire"].passed)
            writer.close()
        return sizes

    async def _take_turns(self, lane, waiting, found, problems):
        for case in waiting:
            conversation = Conversation(self._name())
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer, wrong = await converse(
                        lane.wires[case.side], functools.partial(lane.connect, case.side), case, conversation
                    )
            except (TimeoutError, asyncio.IncompleteReadError) as error:
                problems[case] = f"{type(error).__name__}: {error}"
                continue
            if wrong is not None:
                problems[case] = wrong
            else:
                found.append((case, conversation, answer))

    def _judge(self, found, problems):
        """Wait until nobody is there any more, so that all that is to be done was done."""
        eventually(
            lambda: not self._proxy.publisher.sessions()[0], patience=_PATIENCE, what="the last session's end"
        )
        with self._server.client() as admin:
            pipe = admin.pipeline(transaction=False)
            for _, conversation, _ in found:
                pipe.lrange(conversation.log, 0, -1)
            logs = pipe.execute()
            # Those that are kept for clients to share would hold up the wires' end.
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for (case, conversation, answer), log in zip(found, logs, strict=True):
            if log != [b"%d" % number for number in range(len(log))]:
                problems[case] = f"done out of order: {log}"
            elif (wrong := problem(case, conversation, answer, len(log))) is not None:
                problems[case] = wrong
