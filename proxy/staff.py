"""The workers: started, told, counted, and replaced when they die."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

import structlog

from proxy.counters import Counters
from proxy.directory import Directory, Record, Update, to_wire
from proxy.member import HeldMember, Member
from proxy.messages import AskSessions, EndSessions, Rejected, Report, SessionsPart
from proxy.orders import Answer, Applied, Change, Drain, Retire, SayReady, Serve, Start, Unlisten
from proxy.roles import Role
from proxy.rollcall import RollCall
from proxy.settings import ProxySettings, WorkerSettings
from proxy.sockets import OpenSocket, Sockets

__all__ = ["HeldStaff", "Staff"]

log = structlog.get_logger("proxy")

_MIN_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_HEALTHY_SECONDS = 10.0  # a worker that lived longer is replaced without delay
_ANSWER_SECONDS = 2.0  # for a worker to say which sessions it has
_KILL_SECONDS = 10.0  # beyond the drain timeout: a login under way, the last replies, the exit itself


class HeldStaff(Record):
    """What the next program has to know of all workers."""

    serial: int
    dead: Counters
    members: tuple[HeldMember, ...]


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
        on_ready: called whenever a worker has begun to accept.
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
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._arguments = (log_level, log_format)
        self._on_applied = on_applied
        self._on_rejected = on_rejected
        self._on_counted = on_counted
        self._on_ready = on_ready
        self._members: set[Member] = set()
        self._dead = Counters()
        self._serial = 0
        self._directory: Directory | None = None
        self._roll: RollCall[Member] = RollCall(_ANSWER_SECONDS)
        self._draining = False
        self._gone = asyncio.Event()

    @property
    def serving(self) -> int:
        """Workers that serve from some directory."""
        return sum(member.applied > 0 for member in self._members)

    @property
    def applied(self) -> int:
        """The newest serial that every serving worker has reached; one that is starting cannot hold an older one."""
        return min((member.applied for member in self._members if member.applied), default=0)

    def counters(self) -> Counters:
        """The counts of all workers, dead ones included."""
        return sum((member.counters for member in self._members), self._dead)

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
        """Have all workers accept on a socket, but for those that are to accept no more."""
        for member in self._members:
            if not member.is_old:
                member.hand_over(opened)

    def unlisten(self, name: str) -> None:
        """Have no worker accept there any more."""
        self._tell_all(Unlisten(name=name))

    def ask(self, question: AskSessions | EndSessions, answer: Callable[[SessionsPart], None]) -> None:
        """Put a question about sessions to all workers; `answer` gets what they say, and in time a last part."""
        self._tell_all(self._roll.begin(question, self._members, answer))

    def _tell_all(self, order: Record) -> None:
        line = to_wire(order)
        for member in self._members:
            member.tell(line)

    # Their lives.

    async def keep(self, sockets: Sockets) -> None:
        """Keep as many workers as configured alive, until `drain`."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._see_off(member))
            for _ in range(self._settings.workers):
                group.create_task(self._keep_one(sockets))

    async def drain(self) -> None:
        """Have all workers end their sessions and exit; kill those that take too long."""
        self._draining = True
        self._tell_all(Drain())
        patience = self._settings.drain_timeout.total_seconds() + _KILL_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._members:
                    self._gone.clear()
                    await self._gone.wait()
        self.kill()

    def kill(self) -> None:
        """End at once whatever is left."""
        for member in self._members:
            member.kill()

    async def _keep_one(self, sockets: Sockets) -> None:
        backoff = _MIN_BACKOFF
        while not self._draining:
            try:
                member = self._start(sockets)
            except OSError as error:
                log.error("worker cannot start", error=error.strerror or str(error))  # noqa: TRY400
            else:
                status = await member.ended()
                self._bury(member)
                if self._draining:
                    return
                if time.monotonic() - member.started > _HEALTHY_SECONDS:
                    backoff = _MIN_BACKOFF
                log.error("worker died", worker=member.pid, status=status, replaced_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF)

    def _start(self, sockets: Sockets) -> Member:
        member = Member.start(self._arguments, self._hear)
        member.tell(
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
            member.tell(to_wire(Serve(serial=self._serial, directory=self._directory)))
        for opened in sockets:
            member.hand_over(opened)
        member.tell(to_wire(SayReady()))
        self._members.add(member)
        log.info("worker started", worker=member.pid)
        return member

    async def _see_off(self, member: Member) -> None:
        """Wait for the end of a worker that is replaced already."""
        status = await member.ended()
        self._bury(member)
        log.log(
            logging.ERROR if status else logging.INFO, "old worker ended", worker=member.pid, status=status
        )

    def _bury(self, member: Member) -> None:
        """Keep a dead worker's counts, but for its open sessions, which died with it."""
        self._members.discard(member)
        self._roll.gone(member)
        self._dead += Counters(
            databases={
                name: counts.model_copy(update={"open": 0})
                for name, counts in member.counters.databases.items()
            }
        )
        self._gone.set()
        self._on_counted()
        self._on_applied(self.applied, self.serving)

    def _hear(self, member: Member, answer: Answer) -> None:
        if isinstance(answer, Applied):
            self._on_applied(self.applied, self.serving)
        elif isinstance(answer, Report):
            self._on_counted()
        elif isinstance(answer, SessionsPart):
            self._roll.hear(member, answer)
        elif isinstance(answer, Rejected):
            self._on_rejected(answer)
        elif not member.is_old:  # it may have got ready while the program was replaced
            self._relieve()
            self._on_ready()

    # Their succession.

    def held(self) -> HeldStaff:
        """What the next program has to know."""
        members = tuple(member.held() for member in self._members)
        return HeldStaff(serial=self._serial, dead=self._dead, members=members)

    def resume(self, held: HeldStaff, directory: Directory) -> None:
        """Go on with the workers of the program before this one, which served from this directory."""
        self._serial, self._dead = held.serial, held.dead
        if held.serial:
            self._directory = directory
        for one in held.members:
            try:
                self._members.add(Member.resume(one, self._hear))
            except OSError as error:
                log.error("old worker lost", worker=one.pid, error=error.strerror)  # noqa: TRY400

    def _relieve(self) -> None:
        """Have the old workers accept no more, once there are as many new ones as there are to be."""
        old = [member for member in self._members if member.is_old]
        ready = sum(member.ready for member in self._members if not member.is_old)
        if not old or ready < self._settings.workers:
            return
        log.info("old workers relieved", workers=sorted(member.pid for member in old))
        line = to_wire(Retire())
        for member in old:
            member.tell(line)
