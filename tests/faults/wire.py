"""A wire between two ends that hands everything on, until it breaks at a chosen byte."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from dataclasses import dataclass

__all__ = ["Fault", "Wire"]

_AT_ONCE = 65536
_HANG_UP_SECONDS = 1.0  # that TLS may take to say goodbye
_CLOSED = -1
_NOW = struct.pack("ii", 1, 0)  # SO_LINGER: a reset in place of an end of file


@dataclass(frozen=True)
class Fault:
    """How a wire breaks.

    Attributes:
        kind: `stall`: nothing more passes until it is mended; `half-close`: an end of file behind the last byte, while the
            other way goes on; `cut`: both ends are hung up on; `reset`: the same, as by a machine that has crashed.
        way: `there`: counted in what the caller says; `back`: in what it is answered.
        at: how many bytes pass before.
    """

    kind: str
    way: str
    at: int


class _BrokenError(Exception):
    """Nothing more passes."""


class Wire:
    """Every connection made to it leads on to somewhere else; the next one breaks as it was told.

    Args:
        dial: opens a connection onward, and gives its reader and writer.

    Attributes:
        broken: set once the latest fault has happened.
        mended: set by whoever wants a stalled connection to go on.
        passed: how many bytes of the latest connection passed, by way.
        carried: the same of every connection since it was armed.
        caller: its writer to whoever made the latest connection; None: nobody did.
    """

    def __init__(self, dial):
        self._dial = dial
        self._carrying = set()  # asyncio itself forgets those whose callers have gone
        self.caller = None
        self.arm(None)

    def arm(self, fault):
        """Break the next connection so."""
        self._fault = fault
        self.carried = []
        self.broken, self.mended = asyncio.Event(), asyncio.Event()

    async def mend_once_broken(self):
        """Let a stall be a short one."""
        await self.broken.wait()
        self.mended.set()

    @property
    def is_idle(self):
        """True where it carries nothing."""
        return not self._carrying

    @contextlib.asynccontextmanager
    async def listening(self, where, **options):
        """Serve a TCP socket."""
        if "ssl" in options:
            options["ssl_shutdown_timeout"] = _HANG_UP_SECONDS
        async with await asyncio.start_server(self._serve, sock=where, **options):
            yield
        await asyncio.gather(*self._carrying)

    async def _serve(self, reader, writer):
        self._carrying.add(asyncio.current_task())
        fault, self._fault = self._fault, None
        self.passed = {"there": 0, "back": 0}
        self.carried.append(self.passed)
        self.caller = writer
        connection = _Connection(fault, self.broken, self.mended, self.passed, [writer])
        try:
            onward_reader, onward_writer = await self._dial()
            connection.writers.append(onward_writer)
            for one in connection.writers:
                one.transport.set_write_buffer_limits(high=1, low=0)  # so that drain means: the kernel has it
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.pump("there", reader, onward_writer))
                group.create_task(connection.pump("back", onward_reader, writer))
        except* (OSError, _BrokenError):
            pass
        finally:
            for one in connection.writers:
                one.close()
            self._carrying.discard(asyncio.current_task())


@dataclass
class _Connection:
    fault: Fault | None
    broken: asyncio.Event
    mended: asyncio.Event
    passed: dict[str, int]
    writers: list[asyncio.StreamWriter]

    async def pump(self, way, reader, writer):
        fault = self.fault if self.fault is not None and self.fault.way == way else None
        while True:
            if fault is not None and self.passed[way] == fault.at:
                await self._strike(fault.kind, reader, writer)
                fault = None
            data = await reader.read(
                _AT_ONCE if fault is None else min(_AT_ONCE, fault.at - self.passed[way])
            )
            if not data or writer.is_closing():
                break
            writer.write(data)
            await writer.drain()
            self.passed[way] += len(data)
        if writer.is_closing() or not writer.can_write_eof():  # TLS knows no half-close
            raise _BrokenError
        writer.write_eof()

    async def _strike(self, kind, reader, writer):
        self.broken.set()
        if kind == "stall":
            await self.mended.wait()
            return
        if kind == "half-close":
            writer.write_eof()
            while await reader.read(_AT_ONCE):
                pass
            return
        for one in self.writers:
            sock = one.get_extra_info("socket")
            await _sent(sock)
            if kind == "reset" and sock.fileno() != _CLOSED:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
                one.transport.abort()
        raise _BrokenError


async def _sent(sock):
    """Wait until a TCP socket's peer has acknowledged everything, or it is closed.

    A reset drops what is still on its way, and where a socket is closed that is written to, there will be one.
    """
    while (  # noqa: ASYNC110 -- the kernel tells nobody
        sock.family != socket.AF_UNIX
        and sock.fileno() != _CLOSED
        and any(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    ):
        await asyncio.sleep(0)
