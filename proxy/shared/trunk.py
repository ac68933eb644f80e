"""One logged-in connection to a database over which many clients' commands go.

Commands are merged into one write for each turn of the loop, and the replies dealt out in the order of the commands.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import repeat
from typing import Protocol

from proxy import short_frames
from proxy.errors import ProtocolError
from proxy.last_bytes import Hearer
from proxy.liveness import stuck_at
from proxy.resp import FrameSkipper, reply_end
from proxy.shared.reading import LARGE

__all__ = ["Rider", "Trunk"]

_HIGH_WATER = 256 * 1024
_STALL_SECONDS = 1.0  # how long a client may hold up others without reading anything of what is kept for it
_STALLS = 10  # and how often it may be looked at meanwhile

_BULK, _PUSH = b"$>"
_LINES = frozenset(b"+-:")
_SHORT = short_frames.run(b"(?:" + short_frames.bulk() + rb"|[-+:][^\r]*\r\n|\$-1\r\n)")


class Rider(Protocol):
    """Who has commands on a trunk."""

    def deliver(self, replies: bytes, count: int) -> None:
        """Take so many whole replies."""

    def deliver_part(self, data: bytes, *, last: bool) -> None:
        """Take a piece of a reply that is too large to wait for its end."""

    def lost(self, count: int, *, inside: bool) -> None:
        """So many commands will not be answered; `inside`: the first one's reply has begun."""

    def unread(self) -> int:
        """How many bytes are kept for a client that does not read them."""

    def abort(self) -> None:
        """End it: it does not read, and others wait."""

    def go_on(self) -> None:
        """There is room for commands again."""


class Trunk(Hearer):
    """The connection, once it is logged in.

    Args:
        transport: to the database.
        made: when the password was that let it in.
        since: when that was, by the clock of whoever keeps it.
        on_lost: called once it is gone, with the number of commands that will not be answered.

    Attributes:
        used_at: when it was last chosen, by the same clock.
        outdated: True: no new commands are to be put on it; it closes after its last reply.
        full: True: the database does not read at the moment.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        made: datetime | None,
        since: float,
        on_lost: Callable[["Trunk", int], None],
    ) -> None:
        self.transport = transport
        self.made = made
        self.since = self.used_at = since
        self.outdated = False
        self.full = False
        self._lost = False
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Rider] = deque()  # for each command without a reply: whose it is
        self._outgoing: list[bytes] = []
        self._incoming = b""  # the beginning of a reply
        self._large: FrameSkipper | None = None  # inside the first waiting one's reply
        self._blocked: list[Rider] = []  # who wait until the database reads
        self._holding: Rider | None = None  # whose client has to read before anything more is read
        self._unread = 0  # by it, when the timer last looked
        self._looks = 0  # of the timer at it
        self._timer: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        transport.set_protocol(self)

    @property
    def outstanding(self) -> int:
        """Commands without a reply."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """True where somebody's large reply is under way, or somebody does not read, or the database."""
        return self._large is not None or self._holding is not None or self.full

    @property
    def stuck_at(self) -> int | None:
        """See `liveness`."""
        return None if self.transport.is_closing() else stuck_at(self.transport)

    def lose_database(self) -> None:
        """Take it for lost."""
        self.transport.abort()

    def send(self, rider: Rider, commands: bytes, count: int) -> None:
        """Put so many whole commands of somebody's on it."""
        if count == 1:
            self._waiting.append(rider)
        else:
            self._waiting.extend(repeat(rider, count))
        self._outgoing.append(commands)
        if len(self._outgoing) == 1:
            self._loop.call_soon(self._flush)

    def block(self, rider: Rider) -> None:
        """Let somebody know once the database reads again."""
        self._blocked.append(rider)

    def retire(self) -> None:
        """Take no more commands, and close behind the last reply."""
        self.outdated = True
        if not self._waiting:
            self.transport.close()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if not self.transport.is_closing():
            self.transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Deal the replies out."""
        if self._incoming:
            data, self._incoming = self._incoming + data, b""
        try:
            at = self._go_on_with_large(data) if self._large is not None else 0
            if at < len(data):
                self._deal(data, at)
        except (ProtocolError, ValueError, IndexError):
            # No reply, or one that nobody asked for: whose the next one would be is not known any more.
            self.transport.abort()
            self._lose()
            return
        if self.outdated and not self._waiting:
            self.transport.close()

    def _deal(self, data: bytes, at: int) -> None:
        waiting, end = self._waiting, len(data)
        owner, start, count = None, at, 0
        while at < end and (sizes := _sizes(data, at)):
            for size in sizes:
                whose = waiting.popleft()
                if whose is not owner:
                    if owner is not None:
                        owner.deliver(data[start:at], count)
                    owner, start, count = whose, at, 0
                count += 1
                at += size
        if owner is not None:
            owner.deliver(data[start:at] if at < end or start else data, count)
        if at < end:
            self._keep(data[at:])

    def _keep(self, beginning: bytes) -> None:
        """The beginning of a reply: it waits for its end, unless that could take long."""
        if len(beginning) <= LARGE:
            self._incoming = beginning
            return
        self._large = FrameSkipper()
        at = self._go_on_with_large(beginning)
        if at < len(beginning):
            self._deal(beginning, at)

    def _go_on_with_large(self, data: bytes) -> int:
        """Hand on what has come of a large reply; where the next one begins."""
        large, whose = self._large, self._waiting[0]
        assert large is not None  # noqa: S101 -- for the type checker
        at = large.skip(data, 0)
        done = not large.inside
        if done:
            self._large = None
            self._waiting.popleft()
        whose.deliver_part(data[:at], last=done)
        return at

    def hold(self, rider: Rider) -> None:
        """Read no more until this one's client has read, but not for ever."""
        if self._holding is not None or self._lost:
            return
        self._holding = rider
        self._looks = 0
        self.transport.pause_reading()
        self._unread = rider.unread()
        self._timer = self._loop.call_later(_STALL_SECONDS, self._look)

    def release(self, rider: Rider) -> None:
        """The client has read, or has gone."""
        if self._holding is not rider:
            return
        self._holding = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _look(self) -> None:
        rider = self._holding
        if rider is None:
            return
        unread = rider.unread()
        self._looks += 1
        if unread < self._unread and self._looks < _STALLS:
            self._unread = unread
            self._timer = self._loop.call_later(_STALL_SECONDS, self._look)
        else:
            rider.abort()
            self.release(rider)

    def pause_writing(self) -> None:
        """Take no more commands for now."""
        self.full = True

    def resume_writing(self) -> None:
        """Take commands again."""
        self.full = False
        blocked, self._blocked = self._blocked, []
        for rider in blocked:
            rider.go_on()

    def ended(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Deal out what is left, and tell everybody who still waits for a reply."""
        if not self._lost and (data := self.rest()):
            self.data_received(data)
        self._lose()

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = self.outdated = True
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, deque()
        self._on_lost(self, len(waiting))
        counts: dict[Rider, int] = {}
        for rider in waiting:
            counts[rider] = counts.get(rider, 0) + 1
        first = waiting[0] if waiting and self._large is not None else None
        self._large = None
        for rider, count in counts.items():
            rider.lost(count, inside=rider is first)
        blocked, self._blocked = self._blocked, []
        for rider in blocked:
            rider.go_on()


def _sizes(data: bytes, at: int) -> list[int]:
    """How many bytes the next replies have; none: what begins at `at` is not all there.

    Raises:
        ProtocolError: it is no reply, or a push, which no command on a shared connection asks for.
    """
    kind, line = data[at], data.find(b"\r\n", at)
    if line < 0:
        return []
    if kind == _BULK:
        length = int(data[at + 1 : line])
        stop = line + 2 if length < 0 else line + length + 4
    elif kind in _LINES:
        stop = line + 2
    elif kind == _PUSH:
        raise ProtocolError("a push")
    else:
        stop = reply_end(data, at) or len(data) + 1
    if stop > len(data):
        return []
    sizes = [stop - at]
    if stop < len(data):
        sizes += map(len, _SHORT.findall(data, stop))
        if not sizes[-1]:
            sizes.pop()
    return sizes
