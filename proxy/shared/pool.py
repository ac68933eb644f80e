"""The shared connections of one worker: a few for each database and user, dialled when they are needed."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import hiredis
import structlog

from proxy.directory import Credential, Database
from proxy.errors import ClientError, HungUpError, RejectedError, UnreachableError
from proxy.floor import Floor
from proxy.handshake import Login
from proxy.login import ask, log_in, unreachable
from proxy.resp import encode
from proxy.retirement import is_retired
from proxy.shared.commands import CommandTable, read_table
from proxy.shared.trunk import Trunk
from proxy.upstream import Upstream

__all__ = ["Pool", "Pools"]

log = structlog.get_logger("proxy")

_MOST = 4  # connections for one database and user
_IDLE_SECONDS = 60.0  # after which one that nobody has used is closed
_TOKEN_SECONDS = 9 * 3600.0  # AWS ends a connection opened with a token after 12 hours
_DOUBTED_SECONDS = 5.0  # after a failure, for which those that there are have to do
_TABLE_BYTES = 4 * 1024 * 1024
_RESP3 = 3
_COMMAND = encode((b"COMMAND",))


class Pool:
    """The connections of one database and user.

    Args:
        floor: what the worker's sessions share.
        database: where they lead.
        credential: whose they are.
        protocol: which RESP they speak.

    Attributes:
        login: what logs in; None: AUTH.
        greeting: what a client is answered who logs in like that.
        table: what the database's commands need.
        lost: the error for a command that a lost one did not answer.
        sharers: sessions that share them.
    """

    def __init__(self, floor: Floor, database: Database, credential: Credential, protocol: int) -> None:
        self._floor = floor
        self.database = database
        self.login = Login.hello(credential.username) if protocol == _RESP3 else None
        self.greeting = b"+OK\r\n"
        self.key = credential.key
        self.table = CommandTable({})
        self.lost = HungUpError(database.name).reply
        self.sharers = 0
        self._connections: list[Trunk] = []
        self._dialling: asyncio.Future[None] | None = None
        self._knows_table = False
        self._enough_until = 0.0

    @property
    def connections(self) -> tuple[Trunk, ...]:
        """All that there are, those that close behind their last reply included."""
        return tuple(self._connections)

    def pick(self) -> Trunk | None:
        """The first one that nothing holds up; the least loaded where all are; None where there is none."""
        fallback: Trunk | None = None
        for one in self._connections:
            if one.outdated:
                continue
            if not one.busy:
                one.used_at = self._floor.now()
                return one
            if fallback is None or one.outstanding < fallback.outstanding:
                fallback = one
        # A further one is worth its handshake, unless the last try at one has failed just now.
        enough = len(self._connections) >= _MOST or self._floor.now() < self._enough_until
        return fallback if enough else None

    async def ready(self, deadline: float) -> datetime | None:
        """Wait until there is one to pick; when the password was made that let it in.

        Raises:
            ClientError: as the client is to read it.
        """
        while (found := self.pick()) is None:
            if self._dialling is None:
                await self._dial(deadline)
            else:
                await asyncio.shield(self._dialling)
        return found.made

    async def _dial(self, deadline: float) -> None:
        """Add one; everybody who waits for it meanwhile shares its fate."""
        done = self._dialling = asyncio.get_running_loop().create_future()
        done.add_done_callback(_retrieved)
        try:
            await self._add(deadline)
        except BaseException as error:
            if isinstance(error, Exception):
                done.set_exception(error)
                self._enough_until = self._floor.now() + _DOUBTED_SECONDS
            else:  # who dialled has gone: the next one does it again
                done.set_result(None)
            raise
        else:
            done.set_result(None)
        finally:
            self._dialling = None

    async def _add(self, deadline: float) -> None:
        floor, database = self._floor, self.database
        credential = floor.directory.credentials.get(self.key)
        if credential is None:
            raise RejectedError(
                f"Valkeeper has no password for this user of database '{database.name}' any more; "
                "look at it with: valkeeper users",
                reason="rejected",
            )
        upstream, accepted = await log_in(floor, database, credential, deadline, login=self.login)
        try:
            floor.tally(database.name).connected(upstream.stages)
            if not self._knows_table:
                self.table = await _table(floor, database, upstream, deadline)
                self._knows_table = True
        except BaseException:
            upstream.close()
            raise
        if accepted.reply.startswith(b"-"):  # it is loading its data, say
            upstream.close()
            reason = accepted.reply[1:].decode("utf-8", "replace").strip()
            raise unreachable(database, UnreachableError(reason, reason="login"))
        if upstream.closed:
            raise unreachable(database, UnreachableError("it hung up", reason="closed"))
        self.greeting = accepted.reply
        self._connections.append(
            Trunk(upstream.transport, made=accepted.made, since=floor.now(), on_lost=self._lost)
        )

    def _lost(self, connection: Trunk, unanswered: int) -> None:
        self._connections.remove(connection)
        if unanswered:
            log.warning("shared connection lost", database=self.database.name, unanswered=unanswered)

    # Now and then.

    def refresh(self) -> None:
        """Use no connection any more that the directory has made out of date."""
        credentials = self._floor.directory.credentials
        database = self._floor.directory.databases.get(self.database.name, self.database)
        moved = (database.host, database.port, database.tls) != (
            self.database.host,
            self.database.port,
            self.database.tls,
        )
        self.database = database
        for one in self.connections:
            if moved or is_retired({self.key: one.made}, credentials):
                one.retire()

    async def look(self) -> None:
        """Replace connections whose token AWS would end them for, and close those that nobody uses.

        Raises:
            ClientError: a connection cannot be replaced now.
        """
        now = self._floor.now()
        credential = self._floor.directory.credentials.get(self.key)
        kept = self.sharers > 0
        for one in self.connections:
            if one.outdated:
                continue
            if not one.outstanding and now - one.used_at > _IDLE_SECONDS and not kept:
                one.retire()
                continue
            kept = False  # one is enough for those who are silent
            if credential is not None and credential.kind == "iam" and now - one.since > _TOKEN_SECONDS:
                await self._add(asyncio.get_running_loop().time() + self._floor.settings.connect_timeout)
                one.retire()


async def _table(floor: Floor, database: Database, upstream: Upstream, deadline: float) -> CommandTable:
    reply = await ask(floor, database, upstream, _COMMAND, deadline, most=_TABLE_BYTES)
    reader = hiredis.Reader()
    reader.feed(reply)
    return read_table(reader.gets())


def _retrieved(future: asyncio.Future[None]) -> None:
    """Nobody need have waited for it."""
    if not future.cancelled():
        future.exception()


class Pools:
    """Those of all databases and users of a worker.

    Args:
        floor: what the worker's sessions share.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._pools: dict[tuple[str, str, int], Pool] = {}

    def of(self, database: Database, credential: Credential, protocol: int) -> Pool:
        """The pool of a database and user, for clients that speak RESP2 or RESP3."""
        key = database.name, credential.key, protocol
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(self._floor, database, credential, protocol)
        return pool

    def __iter__(self) -> Iterator[Pool]:
        """All of them."""
        return iter(tuple(self._pools.values()))

    def connections(self) -> dict[str, int]:
        """How many there are, by database."""
        counts: dict[str, int] = {}
        for (name, *_), pool in self._pools.items():
            counts[name] = counts.get(name, 0) + len(pool.connections)
        return counts

    def refresh(self) -> None:
        """Take note of a new directory."""
        for pool in self._pools.values():
            pool.refresh()

    def close(self) -> None:
        """Hang up everywhere."""
        for pool in self._pools.values():
            for one in pool.connections:
                one.transport.abort()

    async def look(self) -> None:
        """Keep what is needed fresh, and let go of what is not."""
        for key, pool in tuple(self._pools.items()):
            try:
                await pool.look()
            except ClientError as error:
                log.warning("shared connection not renewed", database=key[0], error=str(error))
            if not pool.sharers and not pool.connections:
                del self._pools[key]
