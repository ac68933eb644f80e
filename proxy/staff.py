"""The workers: started, told, counted, and replaced when they die."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from proxy.counters import Counters
from proxy.directory import Directory, Record, Update, to_wire
from proxy.errors import ChannelError
from proxy.link import Link
from proxy.messages import AskSessions, EndSessions, Rejected, Report, SessionsPart
from proxy.orders import Applied, Change, Drain, FromWorker, Listen, Serve, Start, Unlisten
from proxy.roles import Role
from proxy.rollcall import RollCall
from proxy.settings import ProxySettings, WorkerSettings
from proxy.sockets import OpenSocket, Sockets

__all__ = ["Staff"]

log = structlog.get_logger("proxy")

_MIN_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_HEALTHY_SECONDS = 10.0  # a worker that lived longer is replaced without delay
_ANSWER_SECONDS = 2.0  # for a worker to say which sessions it has
_KILL_SECONDS = 10.0  # beyond the drain timeout: a login under way, the last replies, the exit itself


class _Worker:
    """One worker process, as the parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process, started: float) -> None:
        self.process = process
        self.started = started
        self.link: Link | None = None
        self.applied = 0  # serial of the newest directory it serves from; 0: none yet
        self.counters = Counters()

    def tell(self, line: bytes, descriptor: int | None = None) -> None:
        if self.link is not None:
            self.link.send(line, descriptor)


class Staff:
    """All workers.

    Args:
        settings: how many, and what they are told.
        roles: which they know.
        log_level: of their logs.
        log_format: of their logs.
        on_applied: called with `applied` and `serving` when either may have changed.
        on_rejected: called with what a worker reports.
        on_counted: called when `counters` may have changed.
    """

    def __init__(
        self,
        settings: ProxySettings,
        roles: tuple[Role, ...],
        log_level: str,
        log_format: str,
        on_applied: Callable[[int, int], None],
        on_rejected: Callable[[Rejected], None],
        on_counted: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._arguments = (log_level, log_format)
        self._on_applied = on_applied
        self._on_rejected = on_rejected
        self._on_counted = on_counted
        self._workers: set[_Worker] = set()
        self._dead = Counters()
        self._serial = 0
        self._directory: Directory | None = None
        self._roll: RollCall[_Worker] = RollCall(_ANSWER_SECONDS)
        self._draining = False
        self._gone = asyncio.Event()

    @property
    def serving(self) -> int:
        """Workers that serve from some directory."""
        return sum(worker.applied > 0 for worker in self._workers)

    @property
    def applied(self) -> int:
        """The newest serial that every serving worker has reached; one that is starting cannot hold an older one."""
        return min((worker.applied for worker in self._workers if worker.applied), default=0)

    def counters(self) -> Counters:
        """The counts of all workers, dead ones included."""
        return sum((worker.counters for worker in self._workers), self._dead)

    # What they are told.

    def serve(self, directory: Directory) -> int:
        """Tell all workers of a whole directory; its serial number."""
        self._serial += 1
        self._directory = directory
        self._tell_all(Serve(serial=self._serial, directory=directory))
        return self._serial

    def change(self, update: Update, directory: Directory) -> int:
        """Tell all workers of changes, which make this directory; their serial number."""
        self._serial += 1
        self._directory = directory
        self._tell_all(Change(serial=self._serial, update=update))
        return self._serial

    def listen(self, opened: OpenSocket) -> None:
        """Have all workers accept on a socket."""
        for worker in self._workers:
            _hand_over(worker, opened)

    def unlisten(self, name: str) -> None:
        """Have no worker accept there any more."""
        self._tell_all(Unlisten(name=name))

    def ask(self, question: AskSessions | EndSessions, answer: Callable[[SessionsPart], None]) -> None:
        """Put a question about sessions to all workers; `answer` gets what they say, and in time a last part."""
        self._tell_all(self._roll.begin(question, self._workers, answer))

    def _tell_all(self, order: Record) -> None:
        line = to_wire(order)
        for worker in self._workers:
            worker.tell(line)

    # Their lives.

    async def keep(self, sockets: Sockets) -> None:
        """Keep as many workers as configured alive, until `drain`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._keep_one(sockets))

    async def drain(self) -> None:
        """Have all workers end their sessions and exit; kill those that take too long."""
        self._draining = True
        self._tell_all(Drain())
        patience = self._settings.drain_timeout.total_seconds() + _KILL_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._workers:
                    self._gone.clear()
                    await self._gone.wait()
        self.kill()

    def kill(self) -> None:
        """End at once whatever is left."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()

    async def _keep_one(self, sockets: Sockets) -> None:
        backoff = _MIN_BACKOFF
        while not self._draining:
            try:
                worker = await self._start(sockets)
            except OSError as error:
                log.error("worker cannot start", error=error.strerror or str(error))  # noqa: TRY400
            else:
                status = await worker.process.wait()
                self._bury(worker)
                if self._draining:
                    return
                if time.monotonic() - worker.started > _HEALTHY_SECONDS:
                    backoff = _MIN_BACKOFF
                log.error("worker died", worker=worker.process.pid, status=status, replaced_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF)

    async def _start(self, sockets: Sockets) -> _Worker:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing is imported from wherever the service was started
                "-m",
                "proxy.worker",
                str(theirs.fileno()),
                *self._arguments,
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = _Worker(process, time.monotonic())
        worker.link = Link(ours, lambda line: self._hear(worker, line), lambda: None)
        worker.tell(
            to_wire(
                Start(
                    settings=WorkerSettings.of(self._settings),
                    uid=os.geteuid(),
                    gid=os.getegid(),
                    roles=self._roles,
                )
            )
        )
        if self._directory is not None:
            worker.tell(to_wire(Serve(serial=self._serial, directory=self._directory)))
        for opened in sockets:
            _hand_over(worker, opened)
        if self._draining:
            worker.tell(to_wire(Drain()))
        self._workers.add(worker)
        log.info("worker started", worker=process.pid)
        return worker

    def _bury(self, worker: _Worker) -> None:
        """Keep a dead worker's counts, but for its open sessions, which died with it."""
        if worker.link is not None:
            worker.link.close()
        self._workers.discard(worker)
        self._roll.gone(worker)
        self._dead += Counters(
            databases={
                name: counts.model_copy(update={"open": 0})
                for name, counts in worker.counters.databases.items()
            }
        )
        self._gone.set()
        self._on_counted()
        self._on_applied(self.applied, self.serving)

    def _hear(self, worker: _Worker, line: bytes) -> None:
        try:
            message = FromWorker.validate_json(line)
        except ValidationError:
            raise ChannelError("a worker says what its parent does not know") from None
        if isinstance(message, Applied):
            worker.applied = message.serial
            self._on_applied(self.applied, self.serving)
        elif isinstance(message, Report):
            worker.counters = message.counters
            self._on_counted()
        elif isinstance(message, SessionsPart):
            self._roll.hear(worker, message)
        else:
            self._on_rejected(message)


def _hand_over(worker: _Worker, opened: OpenSocket) -> None:
    address = opened.address
    order = Listen(
        name=address.name,
        database=address.database,
        db_user=address.db_user,
        mode=address.mode,
        certificate=address.certificate,
        role=address.role,
    )
    worker.tell(to_wire(order), os.dup(opened.socket.fileno()))
