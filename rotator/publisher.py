"""Sends the directory to proxies, and hears what they have to say, on the directory socket."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from discovery.model import UserKey
from proxy import control
from proxy.channel import MAX_LINE, Channel
from proxy.counters import Counters
from proxy.directory import Update, to_wire
from proxy.errors import ChannelError
from proxy.messages import (
    Acknowledged,
    AskSessions,
    Changed,
    EndSessions,
    FromProxy,
    Hello,
    Rejected,
    Report,
    SessionRecord,
    SessionsPart,
    Whole,
)
from proxy.rollcall import RollCall
from rotator.catalogue import Catalogue
from rotator.sessions import SessionsHeard

__all__ = ["ConnectedProxy", "Publisher"]

_log = structlog.get_logger(__name__)

_PARTING = 1.0  # seconds
_ANSWER_SECONDS = 3.0  # for a proxy to say which sessions it has: it waits 2 s for its workers itself
_PATIENCE = 30.0  # seconds that a proxy may leave an update unacknowledged before it is hung up on


@dataclass(slots=True)
class ConnectedProxy:
    """One proxy, as long as it is connected."""

    number: int
    peer: control.Peer
    writer: asyncio.StreamWriter
    outbox: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    greeted: bool = False  # has been sent a whole directory
    workers: int = 0
    acknowledged: int = -1  # directory version
    behind_since: float | None = None  # monotonic seconds
    counters: Counters = field(default_factory=Counters)


class Publisher:
    """The rotator's end of the directory socket.

    Args:
        path: where proxies connect.
        catalogue: what is published.
        on_rejected: told of a credential's key and version that a database refused; it answers with `publish`.
    """

    def __init__(self, path: Path, catalogue: Catalogue, on_rejected: Callable[[str, str], None]) -> None:
        self._path = path
        self._catalogue = catalogue
        self._on_rejected = on_rejected
        self._proxies: dict[int, ConnectedProxy] = {}
        self._numbers = itertools.count(1)
        self._progress = asyncio.Condition()
        self._roll: RollCall[int] = RollCall(_ANSWER_SECONDS)

    @property
    def proxies(self) -> tuple[ConnectedProxy, ...]:
        """Those that are connected now."""
        return tuple(self._proxies.values())

    @property
    def counters(self) -> Counters:
        """What all connected proxies counted, together."""
        return sum((proxy.counters for proxy in self._proxies.values()), Counters())

    async def serve(self, ready: asyncio.Event) -> None:
        """Accept proxies until cancelled."""
        listening = control.bind(self._path)
        server = await asyncio.start_unix_server(self._meet, sock=listening, limit=MAX_LINE)
        ready.set()
        try:
            async with server:
                await server.serve_forever()
        finally:
            await self._part()

    async def _part(self) -> None:
        """Hang up on all proxies, and let their conversations end by themselves: they keep what they know."""
        for proxy in self._proxies.values():
            proxy.writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PARTING), self._progress:
                await self._progress.wait_for(lambda: not self._proxies)

    def publish(self, update: Update | None) -> None:
        """Send an update to every proxy; None is nothing to send."""
        if update is None:
            return
        line = to_wire(Changed(update=update))
        for proxy in self._proxies.values():
            if proxy.greeted:
                proxy.outbox.put_nowait(line)
            else:  # it came before there was anything to say
                proxy.outbox.put_nowait(to_wire(Whole(directory=self._catalogue.directory)))
                proxy.greeted = True
            if proxy.behind_since is None:
                proxy.behind_since = time.monotonic()

    async def acknowledged(self, key: UserKey, version: str, timeout: float) -> bool:  # noqa: ASYNC109  part of the answer, not of the waiting
        """Whether every connected proxy logs in with this version of a user's password, within so many seconds."""
        since = self._catalogue.since(str(key), version)
        if since is None:
            return True  # nothing of it was ever offered to clients
        try:
            async with asyncio.timeout(timeout), self._progress:
                await self._progress.wait_for(
                    lambda: all(proxy.acknowledged >= since for proxy in self._proxies.values())
                )
        except TimeoutError:
            self._hang_up_on_the_stuck()
            return False
        return True

    async def sessions(self) -> SessionsHeard:
        """All clients' sessions, as far as the proxies tell of them within three seconds."""
        return await self._ask(AskSessions(number=0))

    async def end_sessions(self, ids: Iterable[str], reason: str) -> SessionsHeard:
        """End sessions, and tell their clients `ERR valkeeper: <reason>`.

        Returns:
            Those that there were. A worker that did not answer in time ends its own when it goes on.
        """
        return await self._ask(EndSessions(number=0, ids=tuple(ids), reason=reason))

    async def _ask(self, question: AskSessions | EndSessions) -> SessionsHeard:
        asked = tuple(self._proxies.values())
        sessions: list[SessionRecord] = []
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answer(part: SessionsPart) -> None:
            sessions.extend(part.sessions)
            if part.last and not done.done():
                done.set_result(part.silent)

        line = to_wire(self._roll.begin(question, [proxy.number for proxy in asked], answer))
        for proxy in asked:
            proxy.outbox.put_nowait(line)
        silent = await done
        return SessionsHeard(tuple(sessions), len(asked), silent)

    def _hang_up_on_the_stuck(self) -> None:
        """A proxy that stopped listening must not stop rotation for ever; it gets everything when it reconnects."""
        for proxy in self._proxies.values():
            if proxy.behind_since is not None and time.monotonic() - proxy.behind_since > _PATIENCE:
                _log.warning("proxy_stuck", pid=proxy.peer.pid, acknowledged=proxy.acknowledged)
                proxy.writer.transport.abort()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = control.peer_of(writer.get_extra_info("socket"))
        if not control.is_allowed(peer):
            _log.warning("proxy_refused", pid=peer.pid, uid=peer.uid, reason="another user's process")
            writer.close()
            return
        proxy = ConnectedProxy(next(self._numbers), peer, writer)
        if self._catalogue.directory.version > 0:
            proxy.outbox.put_nowait(to_wire(Whole(directory=self._catalogue.directory)))
            proxy.greeted, proxy.behind_since = True, time.monotonic()
        self._proxies[proxy.number] = proxy
        channel = Channel(reader, writer)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(_send(proxy, writer))
                while (message := await channel.receive(FromProxy)) is not None:
                    await self._hear(proxy, message)
                sending.cancel()
        except* OSError:
            pass  # hung up in the middle of something
        except* ChannelError as errors:
            _log.warning("proxy_misspoke", pid=peer.pid, error=str(errors.exceptions[0]))
        finally:
            del self._proxies[proxy.number]
            self._roll.gone(proxy.number)
            channel.close()
            async with self._progress:
                self._progress.notify_all()
            _log.info("proxy_disconnected", pid=peer.pid)

    async def _hear(
        self, proxy: ConnectedProxy, message: Hello | Acknowledged | Report | Rejected | SessionsPart
    ) -> None:
        match message:
            case Hello(workers=workers):
                proxy.workers = workers
                _log.info("proxy_connected", pid=proxy.peer.pid, workers=workers)
            case Acknowledged(version=version, workers=workers):
                proxy.acknowledged, proxy.workers = version, workers
                caught_up = version >= self._catalogue.directory.version
                proxy.behind_since = None if caught_up else time.monotonic()
                async with self._progress:
                    self._progress.notify_all()
            case Report(counters=counters):
                proxy.counters = counters
            case SessionsPart():
                self._roll.hear(proxy.number, message)
            case Rejected(credential=credential, version=version, database=database):
                _log.warning("credential_rejected", credential=credential, version=version, database=database)
                self._on_rejected(credential, version)


async def _send(proxy: ConnectedProxy, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(await proxy.outbox.get())
        await writer.drain()
