"""The proxy's parent process: owns the listening sockets, supervises workers, and talks to the rotator.

It carries no traffic and knows no AWS. As long as it lives, a worker that dies costs its own sessions and nothing else:
connections wait in the listening sockets for the next one. On SIGHUP it takes up the program and the configuration that
are there then: it replaces its own program, the new one starts workers of its own, and once they accept, those that
were there accept no more and go on with the sessions that they have.
"""

import asyncio
import os
import signal
import time

import structlog
import uvloop

from proxy.channel import Channel, follow
from proxy.control import make_folders, only_one
from proxy.counters import Counters
from proxy.directory import Directory
from proxy.errors import ListenError, ProxyError
from proxy.handover import Handover, receive
from proxy.logs import configure_logging
from proxy.messages import (
    Acknowledged,
    AskSessions,
    Changed,
    EndSessions,
    FromRotator,
    Hello,
    Rejected,
    Report,
    Whole,
)
from proxy.reload import fault, let_signals_in, replace, signals_kept_out
from proxy.roles import Role
from proxy.settings import ProxySettings
from proxy.sockets import Address, OpenSocket, Sockets, remove_stale, wanted
from proxy.staff import Staff
from proxy.systemd import notify, take_sockets

__all__ = ["Parent", "run"]

log = structlog.get_logger("proxy")

_SIGNAL_SECONDS = 0.01  # for the loop to handle the signals that it has caught


def run(
    settings: ProxySettings, log_level: str = "info", log_format: str = "json", roles: tuple[Role, ...] = ()
) -> int:
    """Be the proxy until SIGTERM or SIGINT.

    Args:
        settings: the `proxy:` section.
        log_level: the least important level written to stderr.
        log_format: `json` or `console`.
        roles: those that listeners may name, from the `access:` section.

    Returns:
        The process's exit status: 0 after a drain, 1 where it could not start, with the reason in the log.
    """
    configure_logging(log_level, log_format, process="proxy", pid=os.getpid())
    try:
        handover = receive(settings)
        if handover is not None:
            handover.set_inheritable(False)
        control = make_folders(settings.runtime_dir)
        with only_one(control / "proxy.lock", "proxy", handover.lock if handover else None) as lock:
            _tell_of_unused(roles, settings)
            uvloop.run(Parent(settings, log_level, log_format, roles, lock, handover).run())
    except ProxyError as error:
        log.error("proxy cannot start", error=str(error))  # noqa: TRY400 -- the message says it all
        return 1
    return 0


def _tell_of_unused(roles: tuple[Role, ...], settings: ProxySettings) -> None:
    named = {listener.role for listener in settings.listeners}
    for role in roles:
        if role.name not in named:
            log.warning("role is not used: no listener names it", role=role.name)


class Parent:
    """The parent's state and tasks.

    Args:
        settings: the `proxy:` section.
        log_level: of its workers.
        log_format: of its workers.
        roles: that listeners may name.
        lock: the descriptor by which it holds the runtime folder.
        handover: what the program before this one left; None: it is the first.
    """

    def __init__(
        self,
        settings: ProxySettings,
        log_level: str,
        log_format: str,
        roles: tuple[Role, ...],
        lock: int,
        handover: Handover | None,
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._handover = handover
        self._started_at = handover.started_at if handover else time.time()
        self._directory = handover.directory if handover else Directory()
        self._sockets = Sockets(handover.sockets if handover else take_sockets())
        self._unused: set[str] = set()  # systemd's sockets that the log has told of
        self._channel: Channel | None = None
        self._versions: dict[int, int] = {}  # serial → this rotator's version, until it is acknowledged
        self._acknowledged = 0
        self._reported = Counters()
        self._refused_addresses: set[str] = set()
        self._announced = False
        self._staff = Staff(
            settings,
            roles,
            log_level,
            log_format,
            self._applied,
            self._rejected,
            self._report,
            self._announce,
        )

    async def run(self) -> None:
        """Serve until told to stop, then drain.

        Raises:
            ListenError: an address that the configuration names itself cannot be listened on.
        """
        stop, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        let_signals_in()
        self._begin()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._staff.keep(self._sockets)),
                    group.create_task(follow(self._settings.directory_socket, self._talk)),
                    group.create_task(self._reload(reload)),
                ]
                await stop.wait()
                tasks.pop().cancel()
                log.info("proxy draining")
                notify("STOPPING=1", "STATUS=draining")
                self._close_sockets()
                await self._staff.drain()
                self._report()
                for task in tasks:
                    task.cancel()
        finally:
            self._close_sockets()
            self._staff.kill()
        log.info("proxy stopped")

    def _begin(self) -> None:
        """Listen, and go on with what the program before this one left."""
        handover, self._handover = self._handover, None  # it holds passwords that will not stay fresh
        if handover is None:
            remove_stale(self._settings, self._sockets.held())
            for address in wanted(self._settings, self._directory):
                self._sockets.open(address)
        else:
            self._staff.resume(handover.staff, self._directory)
            for address in wanted(self._settings, self._directory):
                self._open(address)
        self._close_unasked()
        log.info(
            "proxy started" if handover is None else "proxy reloaded",
            runtime_dir=str(self._settings.runtime_dir),
            workers=self._settings.workers,
        )

    def _announce(self) -> None:
        """Tell the service manager that clients are served, once that is so."""
        if not self._announced:
            self._announced = True
            notify("READY=1", "STATUS=serving")

    def _close_sockets(self) -> None:
        for opened in self._sockets:
            self._sockets.close(opened.address.name)

    # Reloading.

    async def _reload(self, asked: asyncio.Event) -> None:
        """Take up the program and the configuration that are there, each time that is asked for."""
        while True:
            await asked.wait()
            asked.clear()
            log.info("proxy reloading")
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            reason = await fault(self._state())
            if reason is None:
                with signals_kept_out():
                    await asyncio.sleep(_SIGNAL_SECONDS)
                    reason = replace(self._state())
            log.error("reload failed, the proxy goes on as before", error=reason)
            notify("READY=1", "STATUS=serving as before a reload that failed; see the log")

    def _state(self) -> Handover:
        return Handover(
            runtime_dir=self._settings.runtime_dir,
            started_at=self._started_at,
            lock=self._lock,
            directory=self._directory,
            sockets=self._sockets.held(),
            staff=self._staff.held(),
        )

    # The rotator.

    async def _talk(self, channel: Channel) -> None:
        """One conversation with a rotator, until it hangs up."""
        self._versions.clear()
        self._acknowledged = 0
        self._channel = channel
        try:
            await channel.send(
                Hello(pid=os.getpid(), workers=self._settings.workers, started_at=self._started_at)
            )
            self._reported = Counters()
            self._report()
            while (message := await channel.receive(FromRotator)) is not None:
                if isinstance(message, AskSessions | EndSessions):
                    self._staff.ask(message, channel.post)
                else:
                    self._publish(message)
                await channel.flush()
        finally:
            self._channel = None

    def _publish(self, message: Whole | Changed) -> None:
        """Serve from what the rotator says."""
        if isinstance(message, Whole):
            if message.directory.version == 0:
                return  # nothing published yet: what is known goes on being served
            self._directory = message.directory.heir_of(self._directory)
            serial = self._staff.serve(self._directory)
        else:
            self._directory = self._directory.updated(message.update)
            serial = self._staff.change(message.update, self._directory)
        self._versions[serial] = self._directory.version
        self._open_and_close()
        self._applied(self._staff.applied, self._staff.serving)

    def _open_and_close(self) -> None:
        """Make the sockets those that the directory asks for. Workers hear of a database before of its socket."""
        addresses = {address.name: address for address in wanted(self._settings, self._directory)}
        for opened in self._sockets:
            name = opened.address.name
            if addresses.get(name) != opened.address:
                self._sockets.close(name)
                self._staff.unlisten(name)
                log.info("listener closed", address=name)
        for address in addresses.values():
            if address in self._sockets:
                continue
            if (fresh := self._open(address)) is not None:
                self._staff.listen(fresh)
                log.info("listener opened", address=address.name, database=address.database)
        self._close_unasked()

    def _open(self, address: Address) -> OpenSocket | None:
        """Listen on an address, or say in the log why not, once for as long as it goes on."""
        try:
            opened = self._sockets.open(address)
        except ListenError as error:
            if address.name not in self._refused_addresses:
                log.error("listener failed", error=str(error))  # noqa: TRY400
            self._refused_addresses.add(address.name)
            return None
        self._refused_addresses.discard(address.name)
        return opened

    def _close_unasked(self) -> None:
        """Close what only an earlier configuration asked for, and name what systemd made for nobody."""
        for place in self._sockets.close_unasked(wanted(self._settings, self._directory)):
            log.info("listener closed", address=place)
        # As long as no database is known, a socket may still turn out to be one's.
        if self._directory.version or not any(one.is_per_database for one in self._settings.listeners):
            unused = self._sockets.unasked()
            for place in unused - self._unused:
                log.warning(
                    "socket from systemd not used: no listener of the configuration has its address",
                    address=place,
                )
            self._unused = unused

    def _applied(self, serial: int, workers: int) -> None:
        """Tell the rotator the newest version that every worker now serves from."""
        done = [known for known in self._versions if known <= serial]
        if not done or self._channel is None or workers == 0:
            return
        version = self._versions[max(done)]
        for known in done:
            del self._versions[known]
        self._channel.post(Acknowledged(version=version, workers=workers))

    def _rejected(self, message: Rejected) -> None:
        if self._channel is not None:
            self._channel.post(message)

    def _report(self) -> None:
        """Tell the rotator the counts, if they have changed. Each worker asks for it at most once a second."""
        counters = self._staff.counters()
        if self._channel is not None and counters != self._reported:
            self._reported = counters
            self._channel.post(Report(counters=counters))
