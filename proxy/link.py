"""The socket pair between parent and worker: JSON lines, of which some carry a file descriptor.

The kernel keeps descriptors in their place in the stream, so a line that announces one takes the next that came.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Self

from pydantic import ConfigDict

from proxy.directory import Record
from proxy.errors import ChannelError

__all__ = ["HeldLink", "Link"]

_CHUNK = 256 * 1024
_MAX_DESCRIPTORS = 64
MAX_LINE = 64 * 1024 * 1024
"""Longest line, in bytes: a whole directory."""


class HeldLink(Record):
    """An end of the pair that the next program goes on with, in the middle of a line as well."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    descriptor: int
    received: bytes  # begins a line
    outgoing: tuple[tuple[bytes, int | None], ...]  # not sent yet, with the file that goes along


class Link:
    """One end of the pair.

    Args:
        sock: this end.
        on_line: called for each line; it may call `descriptor`.
        on_end: called once when the other end has gone.
    """

    @classmethod
    def resume(cls, held: HeldLink, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> Self:
        """Go on where the program before this one stopped."""
        link = cls(socket.socket(fileno=held.descriptor), on_line, on_end)
        link._received += held.received
        for line, descriptor in held.outgoing:
            link.send(line, descriptor)
        return link

    def __init__(
        self, sock: socket.socket, on_line: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_line = on_line
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._scanned = 0  # bytes of `_received` known to hold no line end
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, int | None]] = deque()
        self._closed = False
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, line: bytes, descriptor: int | None = None) -> None:
        """Send a line, newline included, as soon as the other end takes it.

        Args:
            line: what to say.
            descriptor: a file to hand over with it. It is closed once it is sent, so give a duplicate.
        """
        if self._closed:
            if descriptor is not None:
                socket.close(descriptor)
            return
        self._outgoing.append((memoryview(line), descriptor))
        if len(self._outgoing) == 1:
            self._writable()

    def descriptor(self) -> int:
        """The next file that was handed over, which is now the caller's to close.

        Raises:
            ChannelError: none was.
        """
        if not self._descriptors:
            raise ChannelError("a socket was announced and did not come")
        return self._descriptors.popleft()

    def held(self) -> HeldLink | None:
        """What has to outlive this program; None: the other end has gone. Takes nothing away."""
        if self._closed:
            return None
        outgoing = tuple((bytes(data), descriptor) for data, descriptor in self._outgoing)
        return HeldLink(descriptor=self._sock.fileno(), received=bytes(self._received), outgoing=outgoing)

    def close(self) -> None:
        """Hang up."""
        self._end()
        while self._descriptors:
            socket.close(self._descriptors.popleft())

    def _end(self) -> None:
        """Stop. What was handed over before can still be asked for."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        for _, descriptor in self._outgoing:
            if descriptor is not None:
                socket.close(descriptor)
        self._outgoing.clear()
        self._sock.close()
        self._on_end()

    def _writable(self) -> None:
        while self._outgoing:
            data, descriptor = self._outgoing[0]
            try:
                if descriptor is None:
                    sent = self._sock.send(data)
                else:
                    sent = socket.send_fds(self._sock, [data], [descriptor])
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._writable)
                return
            except OSError:
                self._end()
                return
            if descriptor is not None:
                socket.close(descriptor)
            if sent < len(data):
                self._outgoing[0] = (data[sent:], None)
            else:
                self._outgoing.popleft()
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _CHUNK, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self._end()
            return
        self._received += data
        while (end := self._received.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._scanned = 0
            self._on_line(line)
            if self._closed:
                return
        self._scanned = len(self._received)
        if self._scanned > MAX_LINE:
            self._end()
