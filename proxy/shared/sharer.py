"""A client whose commands go over a shared connection, until one of them needs a connection of its own.

It gives up sharing only between two commands, with nothing outstanding, so whoever goes on with the client on another
connection finds everything before it answered.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.farewell import Farewell
from proxy.shared.commands import QUIT, CommandTable
from proxy.shared.reading import LARGE, read
from proxy.shared.trunk import Trunk

__all__ = ["Sharer"]

_FEWEST, _MOST = 16, 1024  # commands of one client on their way
_WINDOW = 512 * 1024  # bytes of replies that these may come to, by the size of the replies so far
_SMALL = 512  # bytes of a reply
_HIGH_WATER = 256 * 1024  # bytes for the client to read before nothing more is asked for it
_KEPT = 768 * 1024  # bytes for it that are kept before others on its connection wait as well
_PATIENCE = 10.0  # seconds of silence that a database may take over what is left to do for a client
_LAST_PATIENCE = 1.0  # the same for a client that is ended from outside


class Trunks(Protocol):
    """Where trunks come from."""

    @property
    def table(self) -> CommandTable:
        """What the database's commands need."""

    @property
    def lost(self) -> bytes:
        """The error for a command that a lost one did not answer."""

    def pick(self) -> Trunk | None:
        """One that takes commands; None: there is none for now."""


class Sharer(asyncio.Protocol):
    """What the client's transport calls, and a trunk's `Rider`.

    Args:
        client: the client's transport, reading paused.
        trunks: those of its database and user.
        wake: called when `moves`, or `waits_for_trunk`, may have become true.
        on_closed: called when the client has gone.

    Attributes:
        from_client: bytes that came from the client and went on.
        from_database: bytes for the client.
        commands: that went on.
        reason: why it needs a connection of its own, in a word; empty: it does not.
        finishing: True once no more commands are taken.
        gone: True once the client has hung up. What it has asked for is still done, as by Redis.
        waits_for_trunk: True where there has to be a new trunk before it can go on.
    """

    __slots__ = (
        "_client",
        "_eof",
        "_error",
        "_full",
        "_held",
        "_inside",
        "_largest",
        "_on_closed",
        "_outstanding",
        "_over",
        "_paused",
        "_timer",
        "_trunk",
        "_trunks",
        "_wake",
        "_window",
        "commands",
        "finishing",
        "from_client",
        "from_database",
        "gone",
        "reason",
        "waits_for_trunk",
    )

    def __init__(
        self,
        client: asyncio.Transport,
        trunks: Trunks,
        wake: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self.from_client = 0
        self.from_database = 0
        self.commands = 0
        self.reason = ""
        self.finishing = False
        self.gone = False
        self.waits_for_trunk = False
        self._client = client
        self._trunks = trunks
        self._wake = wake
        self._on_closed = on_closed
        self._trunk: Trunk | None = None
        self._held = b""  # of the client's, not sent on
        self._outstanding = 0  # commands without a reply
        self._window = _FEWEST
        self._largest = 0  # bytes of a reply, lately
        self._paused = True  # the client is not read
        self._full = False  # the client does not read
        self._inside = False  # a reply to it has begun and not ended
        self._eof = False
        self._over = False  # the client is somebody else's now, or nobody's
        self._error = b""  # its last words, where it is ended from outside
        self._timer: asyncio.TimerHandle | None = None

    def start(self, replies: bytes, commands: bytes, *, eof: bool) -> None:
        """Take the client over.

        Args:
            replies: what it is to be told first.
            commands: what it has already sent and nobody has answered.
            eof: True: it will send nothing more.
        """
        self._client.set_protocol(self)
        self._client.set_write_buffer_limits(high=_HIGH_WATER)
        if replies:
            self._client.write(replies)
        self._held = commands
        self._eof = eof
        self.go_on()

    @property
    def waits(self) -> bool:
        """True where silence is no sign of idleness: it waits for a reply."""
        return self._outstanding > 0

    @property
    def moves(self) -> bool:
        """True once it needs a connection of its own, and everything before is answered."""
        return bool(self.reason) and not self._outstanding and not self.finishing

    def has_trunk(self) -> None:
        """There is a trunk to pick."""
        self.waits_for_trunk = False
        self.go_on()

    def give_up(self) -> tuple[bytes, bool]:
        """Let go of the client, whose reading is paused; what it has sent and nobody has answered, and whether it ended."""
        self._pause()
        self._forget()
        held, self._held = self._held, b""
        return held, self._eof

    def end(self, error: bytes) -> None:
        """End the session from outside: outstanding replies, then this error, then the end."""
        if not self.finishing:
            self.finishing = True
            self._error = error
            self._held = b""
            self._pause()
            self._watch(_LAST_PATIENCE)
            self._look_at_end()

    def abort(self) -> None:
        """Cut the connection, if it is still there, and do nothing more for the client."""
        self._held = b""
        if not (self.gone or self._over):
            self._client.abort()

    # What the client's transport calls.

    def data_received(self, data: bytes) -> None:
        """Send on what may be shared."""
        if self.finishing:
            return
        if self._held or self.reason or self._paused:
            self._held += data
            if len(self._held) > LARGE or self.reason:
                self._pause()
            if not self.reason:
                self.go_on()
            return
        self._take(data)

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read."""
        self._eof = True
        if not self.reason and not self.finishing:
            self._look_at_end()
        return True

    def pause_writing(self) -> None:
        """The client does not read: ask nothing more for it."""
        self._full = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        if self._trunk is not None:
            self._trunk.release(self)
        self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """The client has gone: what it has asked for is done, and nobody hears of it."""
        self.gone = self._eof = True
        self._full = False
        self._forget()
        if self._held and not self.finishing:
            self.go_on()
        else:
            self._part(b"")

    # Commands.

    def go_on(self) -> None:
        """Send on what is held, as far as there is room, and read on."""
        if self._held and not self.reason:
            held, self._held = self._held, b""
            self._take(held)
        if self.reason or self.finishing:
            return
        if self._paused and len(self._held) <= LARGE and not self._full and not self.waits_for_trunk:
            self._paused = False
            if not self._client.is_closing():
                self._client.resume_reading()
        if self._eof:
            self._look_at_end()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            if not self._client.is_closing():
                self._client.pause_reading()

    def _take(self, data: bytes) -> None:
        """Send on the commands that these bytes begin with; the rest is held."""
        trunk = self._room()
        if trunk is None:
            self._held = data
            return
        at, count, self.reason = read(data, self._trunks.table, self._window - self._outstanding)
        if at < len(data):
            self._held = data[at:]
            if not self.reason and len(self._held) > LARGE and not self._outstanding + count >= self._window:
                self.reason = "large_request"
            data = data[:at]
        if count:
            self.from_client += at
            self.commands += count
            self._outstanding += count
            trunk.send(self, data, count)
        if self.reason or len(self._held) > LARGE:
            self._pause()
        if self.reason and not self._outstanding:
            self._settle()

    def _room(self) -> Trunk | None:
        """The trunk for the next commands; None where they have to wait."""
        if self._full or self._outstanding >= self._window:
            self._pause()
            return None
        trunk = self._trunk
        if not self._outstanding and (trunk is None or trunk.outdated or trunk.busy):
            trunk = self._trunk = self._trunks.pick()
            if trunk is None:
                self.waits_for_trunk = True
                self._pause()
                self._wake()
                return None
        if trunk is None or trunk.full or trunk.outdated:
            self._pause()
            if trunk is not None and trunk.full:
                trunk.block(self)
            return None
        return trunk

    # A trunk's rider.

    def deliver(self, replies: bytes, count: int) -> None:
        """Hand whole replies to the client."""
        self.from_database += len(replies)
        self._outstanding -= count
        if self._over:
            return
        if not self.gone:
            self._client.write(replies)
        if self._full:
            self._let_others_wait()
        size = len(replies) // count
        self._largest = max(self._largest, size)
        told = self._held or self.reason or self.finishing or self._eof
        if told or self._largest > _SMALL or self._window < _MOST:
            self._settle()

    def deliver_part(self, data: bytes, *, last: bool) -> None:
        """Hand a piece of a large reply to the client, which is better off with a connection of its own from now on."""
        self.from_database += len(data)
        self._inside = not last
        self._outstanding -= last
        if not self.reason:
            self.reason = "large_reply"
            self._pause()
        if self._over:
            return
        if not self.gone:
            self._client.write(data)
        if self._full:
            self._let_others_wait()
        if last:
            self._settle()

    def lost(self, count: int, *, inside: bool) -> None:
        """The connection has gone: every command outstanding is answered with an error, and none is sent again."""
        self._outstanding -= count
        self._trunk = None
        if self._over:
            return
        if inside:
            self._inside = False
            self.abort()  # nothing can follow half a reply
            return
        if not self.gone:
            self._client.write(self._trunks.lost * count)
        self._settle()

    def _let_others_wait(self) -> None:
        if self._trunk is not None and self.unread() > _KEPT:
            self._trunk.hold(self)

    def unread(self) -> int:
        """Bytes that the client has yet to read."""
        return 0 if self.gone else self._client.get_write_buffer_size()

    def _settle(self) -> None:
        """What follows from replies that have come."""
        self._widen()
        if self.reason and not self._outstanding and not self.finishing:
            if self.reason == QUIT:
                self._part(b"+OK\r\n")
            else:
                self._wake()
        elif self._held:
            self.go_on()
        elif self.finishing or self._eof:
            self._look_at_end()

    def _widen(self) -> None:
        """Let as many commands be on their way as their replies can be kept for a client that does not read."""
        most = _MOST if self._largest <= _SMALL else _WINDOW // self._largest
        self._window = min(max(self._window * 2, _FEWEST), max(most, _FEWEST))
        self._largest -= self._largest >> 4

    # Ends.

    def _look_at_end(self) -> None:
        """End where nothing is left to do: the client has hung up, or is to."""
        if self._over or (self.reason and not self.finishing):
            return
        if self._outstanding or self._full or self.waits_for_trunk:
            if self._timer is None:
                self._watch(_PATIENCE)
            return
        self._part(self._error)  # what is still held is no whole command

    def _part(self, last_words: bytes) -> None:
        """Tell the client this, and hear no more of it."""
        if self._over:
            return
        self.finishing = self._over = True
        self._held = b""
        self._forget()
        if self.gone:
            self._on_closed()
        else:
            Farewell(self._client, last_words, self._on_closed, eof=self._eof)

    def _forget(self) -> None:
        """Leave nothing behind that is about the client."""
        if self._timer is not None:
            self._timer.cancel()
        if self._trunk is not None:
            self._trunk.release(self)

    def _watch(self, patience: float) -> None:
        """Give up on a database that says nothing for so long."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(
            patience, self._give_up_waiting, patience, self.from_database
        )

    def _give_up_waiting(self, patience: float, heard: int) -> None:
        if self.from_database != heard:
            self._watch(patience)
        elif self._inside:
            self.abort()
        else:
            self._part(self._error)
