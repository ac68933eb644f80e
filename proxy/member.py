"""One worker process, as the parent sees it: its life, and what the two say to each other.

It is a child of the parent's process id and not of its program, so the program that replaces this one goes on with it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Self

import structlog

from proxy.channel import understand
from proxy.counters import Counters
from proxy.directory import Record, to_wire
from proxy.errors import ChannelError
from proxy.link import HeldLink, Link
from proxy.messages import Report
from proxy.orders import Answer, Applied, FromWorker, Listen, Ready
from proxy.sockets import OpenSocket

__all__ = ["HeldMember", "Member"]

log = structlog.get_logger("proxy")

# uvloop takes 256 KiB for each connection to a database, and uses the first few. As a mapping of their own the others cost
# nothing; as glibc would have it they come to lie where others have already left traces.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(256 * 1024), "MALLOC_TRIM_THRESHOLD_": str(32 * 1024 * 1024)}


class HeldMember(Record):
    """What the next program has to know of a worker."""

    pid: int
    applied: int
    counters: Counters
    link: HeldLink | None


class Member:
    """A worker.

    Args:
        pid: of a child of this process.
        hear: called with each thing that it says, once the attributes know of it.

    Attributes:
        started: by the monotonic clock.
        is_old: an earlier program started it; it is to accept no more once others do.
        ready: it accepts on all sockets that it was handed at its start.
        applied: serial of the newest directory it serves from; 0: none, or none that is known of.
        counters: its latest.

    Raises:
        OSError: there is no such child, or too much is open.
    """

    def __init__(self, pid: int, hear: Callable[["Member", Answer], None]) -> None:
        self.pid = pid
        self.started = time.monotonic()
        self.is_old = False
        self.ready = False
        self.applied = 0
        self.counters = Counters()
        self._hear = hear
        self._ended = os.pidfd_open(pid)
        self._link: Link | None = None

    @classmethod
    def start(cls, arguments: tuple[str, ...], hear: Callable[["Member", Answer], None]) -> Self:
        """Start a worker process.

        Raises:
            OSError: that is not possible.
        """
        ours, theirs = socket.socketpair()
        try:
            theirs.set_inheritable(True)
            # -P: nothing is imported from wherever the service was started
            command = [sys.executable, "-P", "-m", "proxy.worker", str(theirs.fileno()), *arguments]
            nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            pid = os.posix_spawn(
                command[0], command, _MEMORY | os.environ, file_actions=[nothing], setsigmask=()
            )
            member = cls(pid, hear)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        member._link = Link(ours, member._take, lambda: None)
        return member

    @classmethod
    def resume(cls, held: HeldMember, hear: Callable[["Member", Answer], None]) -> Self:
        """Go on with a worker of the program before this one. Raises OSError as the constructor does."""
        member = cls(held.pid, hear)
        member.is_old = True
        member.applied = held.applied
        member.counters = held.counters
        if held.link is not None:
            member._link = Link.resume(held.link, member._take, lambda: None)
        return member

    def held(self) -> HeldMember:
        """What the next program has to know."""
        link = self._link.held() if self._link is not None else None
        return HeldMember(pid=self.pid, applied=self.applied, counters=self.counters, link=link)

    def tell(self, line: bytes, descriptor: int | None = None) -> None:
        """Send it an order, and the file that belongs to it, which is closed once it is sent."""
        if self._link is not None:
            self._link.send(line, descriptor)

    def hand_over(self, opened: OpenSocket) -> None:
        """Have it accept on a socket."""
        address = opened.address
        order = Listen(
            name=address.name,
            database=address.database,
            db_user=address.db_user,
            mode=address.mode,
            certificate=address.certificate,
            role=address.role,
        )
        self.tell(to_wire(order), os.dup(opened.socket.fileno()))

    async def ended(self) -> int:
        """Wait for its end; its exit status, negative for a signal. To be asked once."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(self._ended, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self._ended)
        _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 -- it has ended
        os.close(self._ended)
        if self._link is not None:
            self._link.close()
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _take(self, line: bytes) -> None:
        try:
            answer = understand(FromWorker, line)
        except ChannelError as error:
            # Of another version. It drains when its parent hangs up; who may not be told of a retired password has to.
            log.error("worker not understood", worker=self.pid, error=str(error))  # noqa: TRY400
            self.applied = 0
            if self._link is not None:
                self._link.close()
            return
        if isinstance(answer, Ready):
            self.ready = True
        elif isinstance(answer, Applied):
            self.applied = answer.serial
        elif isinstance(answer, Report):
            self.counters = answer.counters
        self._hear(self, answer)
