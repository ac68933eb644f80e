"""Bytes both ways between a client and its database, and how that ends.

At most `HIGH_WATER` and what the loop reads at once (256 KiB) wait in each direction: a side that cannot be written to
stops the other from being read.

Endings. A database whose client has gone must not be cut off at once, or replies under way would be lost; and asyncio
cannot half-close TLS. So the relay says QUIT behind the client's last whole command: the database delivers everything
before it, says +OK, and hangs up. That +OK is kept from the client, and an error that ends a session from outside takes
its place, which is by construction between two replies. Where no QUIT fits (the client stopped inside a command) or it
goes unanswered (a blocked client), silence ends the wait.

Where the database hangs up unasked, a client that waits for an answer reads an error, unless that might end up inside a
reply. One that waits for none is hung up on as by Redis: an error that nobody asked for confuses clients.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from proxy.errors import ProtocolError
from proxy.farewell import Farewell
from proxy.resp import reply_end
from proxy.scanner import CommandScanner

__all__ = ["HIGH_WATER", "Relay"]

HIGH_WATER = 256 * 1024
"""Bytes that may wait to be written before the other side is no longer read."""

_QUIT = b"*1\r\n$4\r\nQUIT\r\n"
_OK = b"+OK\r\n"
_PATIENCE = 10.0  # seconds without a byte that a database may take to finish what the client asked for
_BLOCKED_PATIENCE = (
    0.25  # the same for a command that may wait for ever; Redis itself would free the client at once
)
_CLOSE_SECONDS = 10.0  # how long a database may take to read the last of it
_BLOCKING = frozenset(
    b"BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP XREAD XREADGROUP WAIT WAITAOF MONITOR".split()
)

_HANGS_UP = b"-ERR Protocol error"
_SHORT = 512  # bytes of replies that may be looked at again when the database has gone


class Relay:
    """One client's connection joined to one database's.

    Args:
        client: the client's transport, reading paused.
        database: the logged-in transport to the database.
        lost: the error for a client whose database hung up before it answered.
        on_login: called when the scanner has stopped at an AUTH or HELLO; nothing behind it passes until `pass_login`.
        on_closed: called when both connections are gone.

    Attributes:
        scanner: follows what the client sends.
        from_client: bytes that came from the client.
        from_database: bytes that came from the database.
        finishing: True once no more commands are taken.
        cut: True once the database has hung up unasked.
    """

    __slots__ = (
        "_activity",
        "_client_gone",
        "_database_gone",
        "_database_side",
        "_eof",
        "_error",
        "_lost",
        "_on_closed",
        "_patience",
        "_pauses",
        "_ssl",
        "_timer",
        "client",
        "cut",
        "database",
        "finishing",
        "from_client",
        "from_database",
        "on_login",
        "scanner",
    )

    def __init__(
        self,
        client: asyncio.Transport,
        database: asyncio.Transport,
        lost: bytes,
        on_login: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self.client = client
        self.database = database
        self.scanner = CommandScanner()
        self.from_client = 0
        self.from_database = 0
        self.on_login = on_login
        self._on_closed = on_closed
        self._ssl: ssl.SSLObject | None = database.get_extra_info("ssl_object")
        self._eof = False
        self.finishing = False
        self.cut = False
        self._lost = lost
        self._error = b""
        self._patience = _PATIENCE
        self._pauses = 1  # reasons for not reading the client; the handshake left it paused
        self._activity = (0, 0)  # `_progress` when the timer last looked
        self._timer: asyncio.TimerHandle | None = None
        self._client_gone = False
        self._database_gone = False
        self._database_side: _DatabaseSide = _DatabaseSide(self)

    @property
    def waits(self) -> bool:
        """True where the client listens for messages, or for the answer to whole commands: it may wait for ever."""
        return self.scanner.listens or (self.scanner.at_boundary and self._database_side.unanswered)

    def start(self, replies: bytes, commands: bytes, *, eof: bool) -> None:
        """Take both connections over.

        Args:
            replies: what the client is to be told first.
            commands: what the client has already sent and nobody has answered.
            eof: True: the client will send nothing more.
        """
        # uvloop caches a protocol's methods: only set_protocol makes it look again.
        client_side = _ClientSide(self)
        self.client.set_protocol(client_side)
        self.database.set_protocol(self._database_side)
        self.client.set_write_buffer_limits(high=HIGH_WATER)
        self.database.set_write_buffer_limits(high=HIGH_WATER)
        if replies:
            self.client.write(replies)
        if commands:
            client_side.data_received(commands)
        if eof:
            self.client_eof()
        self.resume()

    def pause(self) -> None:
        """One more reason not to read the client."""
        self._pauses += 1
        if self._pauses == 1 and not self.client.is_closing():
            self.client.pause_reading()

    def resume(self) -> None:
        """One reason less."""
        self._pauses -= 1
        if self._pauses == 0 and not self.client.is_closing():
            self.client.resume_reading()

    def pass_login(self, command: bytes) -> None:
        """Send this in place of the login that the scanner stopped at, and what came behind it."""
        self.scanner.take()
        if self.finishing:
            return
        self.database.write(command)
        passed = self.scanner.feed(b"")
        if passed:
            self.database.write(passed)
        if self._eof and self.scanner.found is None:
            self._finish_after_client()

    def abort(self) -> None:
        """Cut both connections, where they are still there."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._client_gone:
            self.client.abort()
        if not self._database_gone:
            self.database.abort()

    def end(self, error: bytes) -> None:
        """End the session from outside: outstanding replies, then this error, then the end."""
        self._finish(error, 1.0)

    def client_eof(self) -> None:
        """The client sends nothing more; it may still read."""
        self._eof = True
        if self.scanner.found is None:
            self._finish_after_client()

    def _finish_after_client(self) -> None:
        blocked = not self.scanner.at_boundary or self.scanner.last_name.upper() in _BLOCKING
        self._finish(b"", _BLOCKED_PATIENCE if blocked else _PATIENCE)

    def _finish(self, error: bytes, patience: float) -> None:
        if self.finishing:
            return
        self.finishing = True
        self._error = error
        self._patience = patience
        if not self._eof:
            self.pause()
        # A client that has said QUIT itself gets the +OK and nothing after it.
        can_quit = self.scanner.at_boundary and not self.scanner.has_quit
        last = _LastReplies(self, strip=can_quit)
        self._database_side = last
        self.database.set_protocol(last)
        if can_quit:
            self.database.write(_QUIT)
        self._activity = self._progress()
        self._watch()

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._look)

    def _look(self) -> None:
        """Give up on a database that has said nothing for `patience`, or go on waiting."""
        activity = self._progress()
        if activity != self._activity:
            self._activity = activity
            self._watch()
        elif self.client.get_write_buffer_size() == 0:
            self.database.abort()
        elif self._error:
            self.abort()  # the client reads nothing, so it could not read the error either
        else:
            self._watch()

    def _progress(self) -> tuple[int, int]:
        """Differs as long as the database answers, or takes what it was sent."""
        return self.from_database, self.database.get_write_buffer_size()

    def unread(self) -> bytes:
        """What the lost database had said while it was not read.

        uvloop drops what it has received and not yet decrypted when the connection ends during a pause (its
        `SSLProtocol.eof_received`); at most its buffer of 256 KiB. The SSL object still has it.
        """
        parts = []
        with contextlib.suppress(ssl.SSLError):  # it wants more, or the rest was cut
            while self._ssl is not None and (data := self._ssl.read(HIGH_WATER)):
                parts.append(data)
        return b"".join(parts)

    def database_lost(self) -> None:
        """The database's connection is gone: deliver what is left, and go."""
        self._database_gone = True
        if not self.finishing:
            self.cut = not (self.scanner.may_end or self._database_side.told_why)
            if self.cut and self._database_side.owes_reply:
                self._error = self._lost
        self.finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._client_gone:
            self._on_closed()
        else:
            error = self._error if self._database_side.ends_reply and not self.scanner.has_quit else b""
            Farewell(self.client, error, self.client_lost, eof=self._eof)

    def client_lost(self) -> None:
        """The client's connection is gone: what it had sent still reaches the database."""
        self._client_gone = True
        self.finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._database_gone:
            self._on_closed()
            return
        self.database.set_protocol(_Unheard(self))
        self.database.close()
        self._timer = asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.database.abort)


class _ClientSide(asyncio.Protocol):
    """What the client's transport calls."""

    __slots__ = ("_database", "_relay", "_scanner")

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._scanner = relay.scanner
        self._database = relay.database

    def data_received(self, data: bytes) -> None:
        relay = self._relay
        relay.from_client += len(data)
        if relay.finishing:
            return
        passed = self._scanner.feed(data)
        if passed:
            self._database.write(passed)
        if self._scanner.found is not None:
            relay.on_login()

    def eof_received(self) -> bool:
        self._relay.client_eof()
        return True

    def pause_writing(self) -> None:
        if not self._relay.database.is_closing():
            self._relay.database.pause_reading()

    def resume_writing(self) -> None:
        if not self._relay.database.is_closing():
            self._relay.database.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        self._relay.client_lost()


class _DatabaseSide(asyncio.Protocol):
    """What the database's transport calls."""

    ends_reply = True

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client = relay.client
        self._latest: bytes | None = b""  # what came last; None: too much to be kept
        self._heard_at = 0  # of `from_client`, when that came

    @property
    def told_why(self) -> bool:
        """True where the last reply is the one behind which Redis hangs up. It is stricter than the scanner."""
        return _HANGS_UP in (self._latest or b"")

    @property
    def unanswered(self) -> bool:
        """True where the client has sent something since the database last spoke."""
        return self._relay.from_client > self._heard_at

    @property
    def owes_reply(self) -> bool:
        """True where an answer is surely missing, and an error fits in its place."""
        return self.unanswered and _is_whole(self._latest)

    def data_received(self, data: bytes) -> None:
        relay = self._relay
        relay.from_database += len(data)
        self._latest = data if len(data) <= _SHORT else None
        self._heard_at = relay.from_client
        self._client.write(data)

    def pause_writing(self) -> None:
        self._relay.pause()

    def resume_writing(self) -> None:
        self._relay.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        if not self._client.is_closing():
            self._deliver_rest()
        self._relay.database_lost()

    def _deliver_rest(self) -> None:
        if data := self._relay.unread():
            self.data_received(data)


def _is_whole(replies: bytes | None) -> bool:
    """Whether these are whole replies, by all appearance."""
    if replies is None:
        return False
    at: int | None = 0
    with contextlib.suppress(ProtocolError):
        while at is not None and at < len(replies):
            at = reply_end(replies, at)
        return at == len(replies)
    return False


class _Unheard(asyncio.Protocol):
    """The database's side once nobody is there to hear it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        self._relay.database_lost()


class _LastReplies(_DatabaseSide):
    """The database's side once QUIT is under way: its +OK is not the client's."""

    def __init__(self, relay: Relay, *, strip: bool) -> None:
        super().__init__(relay)
        self._strip = strip
        self._tail = b""
        self.ends_reply = True

    def data_received(self, data: bytes) -> None:
        self._relay.from_database += len(data)
        data = self._tail + data
        self._tail = data[-len(_OK) :]
        data = data[: -len(_OK)]
        if data:
            self._client.write(data)

    def _deliver_rest(self) -> None:
        super()._deliver_rest()
        if self._tail and not (self._strip and self._tail == _OK):
            self._client.write(self._tail)
            # No QUIT was answered, so this is a reply's end only if it looks like one.
            self.ends_reply = self._tail.endswith(b"\r\n")
