"""The service: makes all parts, hands them to each other, runs them, and lets them go in order."""

import asyncio
import signal
import socket
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import structlog

from discovery.aws import AwsCredentials, Sessions
from discovery.model import Inventory, Place, User, UserState
from discovery.scanner import Scanner
from discovery.sources.configured import asks_aws, configured_sources
from proxy import control
from rotator.accounts import Accounts
from rotator.admin import control_app, public_app
from rotator.answers import Answers
from rotator.catalogue import Catalogue
from rotator.census import Census
from rotator.companion import Companion
from rotator.config import Settings
from rotator.engine import Engine
from rotator.handed_on import HandedOnPasswords
from rotator.http import bind_tcp, serve_control, serve_tcp
from rotator.issuer import TokenIssuer
from rotator.log import EventStream
from rotator.metrics import Metrics, State
from rotator.observation import Observation, Secret
from rotator.publisher import Publisher
from rotator.rotations import Rotations
from rotator.schedule import Schedule
from rotator.standing import Standing, credential_of
from rotator.telling import late_by, stages_over_orphan, tell_of_step
from rotator.verify import RealLogins

__all__ = ["Service", "serve"]

_log = structlog.get_logger(__name__)

_FAREWELL = 10.0  # seconds that a proxy may take beyond its drain to say goodbye to slow clients


def serve(settings: Settings, events: EventStream, *, proxy_arguments: Sequence[str] | None) -> None:
    """Run the service until SIGTERM or SIGINT.

    Args:
        settings: everything.
        events: what the log's events go through.
        proxy_arguments: how to call the proxy beside it, so that it reads the same settings; None: start none.

    Raises:
        RotatorError, ProxyError: it can't start; the message says what to do.
        ConfigurationError: likewise.
    """
    folder = control.make_folders(settings.proxy.runtime_dir)
    with control.only_one(folder / "rotator.lock", "rotator"):
        listening = bind_tcp(*settings.admin.address)
        companion = (
            Companion(settings.proxy.runtime_dir, proxy_arguments) if proxy_arguments is not None else None
        )
        try:
            asyncio.run(_run(settings, events, folder, listening, companion))
        finally:
            for name in ("admin.sock", "directory.sock"):
                (folder / name).unlink(missing_ok=True)


async def _run(
    settings: Settings,
    events: EventStream,
    folder: Path,
    listening: socket.socket,
    companion: Companion | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings, events)
    loop.add_signal_handler(signal.SIGHUP, service.reload_proxy, companion)
    await service.run(folder, listening, companion, stop)


class Service:
    """All parts together."""

    def __init__(self, settings: Settings, events: EventStream) -> None:
        self._settings = settings
        self._events = events
        self._metrics = Metrics(self._state)
        self._sessions = Sessions(self._metrics.count_aws)
        self._accounts = Accounts(
            self._sessions,
            secret_prefix=settings.rotation.secret_prefix,
            kms_key_id=settings.rotation.kms_key_id,
        )
        self._scanner = Scanner(
            configured_sources(
                settings.discovery,
                settings.databases,
                self._sessions,
                default_region=Sessions.default_region()
                if asks_aws(settings.discovery, settings.databases)
                else None,
                managed_tag=settings.rotation.managed_tag,
            ),
            on_inventory=lambda _: self._found.set(),
        )
        self._found = asyncio.Event()
        self._taking_over = asyncio.Lock()
        self._catalogue = Catalogue()
        self._publisher = Publisher(settings.proxy.directory_socket, self._catalogue, self._refused)
        self._handed_on = HandedOnPasswords(
            self._sessions.open,
            on_credentials=lambda read: self._publisher.publish(self._catalogue.take_credentials(read)),
        )
        self._issuer = TokenIssuer(
            self._credentials_of,
            on_credentials=lambda fresh: self._publisher.publish(self._catalogue.take_credentials(fresh)),
            on_signed=self._metrics.count_tokens,
        )
        self._engine = Engine(
            interval=settings.rotation.interval,
            verifier=RealLogins(
                timeout=settings.proxy.upstream.connect_timeout.total_seconds(),
                ca_file=str(settings.proxy.upstream.ca_file) if settings.proxy.upstream.ca_file else None,
            ),
            listener=self,
            acknowledged=self._publisher.acknowledged,
        )
        self._schedule: Schedule | None = None
        self._rotations = Rotations(
            self._engine,
            self._accounts.of,
            interval=settings.rotation.interval,
            spread=settings.rotation.spread,
            on_standing=self._take_standing,
            on_rotation=self._metrics.count_rotation,
            on_schedule=self._reschedule,
        )
        self._answers = Answers(
            settings,
            scanner=self._scanner,
            rotations=self._rotations,
            issuer=self._issuer,
            handed_on=self._handed_on,
            publisher=self._publisher,
            accounts=self._accounts,
            sessions=self._sessions,
            metrics=self._metrics,
            events=events,
            discover=self.discover,
        )
        self._census = Census(self._accounts.vault)

    # Running.

    async def run(
        self, folder: Path, listening: socket.socket, companion: Companion | None, stop: asyncio.Event
    ) -> None:
        """Run until told to stop: first no new rotations, then those under way are left at their next wait."""
        published = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._publisher.serve(published)),
                    group.create_task(self._follow_discovery()),
                    group.create_task(self._issuer.run()),
                    group.create_task(self._handed_on.run()),
                    group.create_task(serve_control(control_app(self._answers), folder / "admin.sock")),
                    group.create_task(serve_tcp(public_app(self._answers), listening)),
                ]
                await published.wait()
                if companion is not None:
                    tasks.append(group.create_task(companion.keep()))
                async with asyncio.TaskGroup() as rotating:
                    self._schedule = Schedule(self.discover, self._settings.discovery.interval, rotating)
                    self._schedule.start(self._rotations)
                    host, port = listening.getsockname()[:2]
                    _log.info(
                        "service_started",
                        admin=f"http://{host}:{port}",
                        runtime_dir=str(self._settings.proxy.runtime_dir),
                        interval_seconds=self._settings.rotation.interval.total_seconds(),
                        version=version("valkeeper"),
                    )
                    await stop.wait()
                    _log.info("service_stopping")
                    self._schedule.stop()
                    self._rotations.stop()
                if companion is not None:
                    companion.stop({proxy.peer.pid for proxy in self._publisher.proxies})
                    await companion.stopped(self._settings.proxy.drain_timeout.total_seconds() + _FAREWELL)
                self._events.end()
                for task in tasks:
                    task.cancel()
        finally:
            self._sessions.close()
        _log.info("service_stopped")

    def reload_proxy(self, companion: Companion | None) -> None:
        """Pass SIGHUP on to the proxy beside this service, which reloads; the service itself can be restarted."""
        _log.info(
            "reload_asked", proxy=companion is not None, service="restart it for new settings of its own"
        )
        if companion is not None:
            companion.reload({proxy.peer.pid for proxy in self._publisher.proxies})

    async def discover(self) -> Inventory:
        """Look at everything once, and serve what was found."""
        self._handed_on.read_secrets()
        await self._scanner.scan()
        await self._take_over()
        return self._scanner.inventory

    async def _follow_discovery(self) -> None:
        """Serve what one source found while others are still being read: none waits for another."""
        while True:
            await self._found.wait()
            await self._take_over()

    async def _take_over(self) -> None:
        async with self._taking_over:
            self._found.clear()
            await self._serve(self._scanner.inventory)

    async def _serve(self, inventory: Inventory) -> None:
        count = await self._census.take(inventory)
        self._publisher.publish(self._catalogue.take_inventory(inventory, count.released | count.unknown))
        self._handed_on.take_inventory(inventory)
        if self._schedule is not None:
            self._schedule.watch(self._handed_on.check_files if self._handed_on.has_files else None)
        self._rotations.take_inventory(inventory, count.released)
        self._issuer.take_inventory(inventory)
        if not self._answers.ready:
            self._answers.ready = True
            _log.info("ready", databases=len(inventory.databases), users=len(inventory.users))

    # What the parts tell each other.

    def observed(self, user: User, state: UserState, secret: Secret | None) -> None:
        """The engine read a user (`rotator.engine.Listener`)."""
        self._rotations.saw(user, state, secret)

    def stepped(self, user: User, row: str, seen: Observation) -> None:
        """The engine changed something (`rotator.engine.Listener`)."""
        tell_of_step(user, row, seen)
        self._metrics.count_step(row, late=late_by(row, seen), orphan=stages_over_orphan(row, seen))

    def _take_standing(self, standing: Standing) -> None:
        credential = credential_of(standing)
        if credential is not None:
            self._publisher.publish(self._catalogue.take_credentials([credential]))
        elif not standing.care.has_secret:
            self._publisher.publish(self._catalogue.drop_credentials([str(standing.key)]))

    def _state(self) -> State:
        return self._answers.state()

    async def _credentials_of(self, place: Place) -> AwsCredentials | None:
        session = self._sessions.at(place)
        return await session.credentials() if session is not None else None

    def _refused(self, key: str, version_id: str) -> None:
        """A proxy found all that it knows of a credential refused or expired: look again, and answer in any case."""
        _log.debug("looking_again", credential=key, version=version_id)

        def answer() -> None:
            self._publisher.publish(self._catalogue.again(key))

        if self._issuer.renew_now(key, version_id, answer) or self._handed_on.look_now(key, answer):
            return
        user = next((s.key for s in self._rotations.standings if str(s.key) == key), None)
        if user is not None:
            self._rotations.look_now(user, answer)
            return
        answer()

    def _reschedule(self) -> None:
        if self._schedule is not None:
            self._schedule.rotations_changed()
