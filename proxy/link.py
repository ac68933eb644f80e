"""The socket pair between parent and worker: JSON lines, of which some carry a file descriptor.

The kernel keeps descriptors in their place in the stream, so a line that announces one takes the next that came.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from proxy.errors import ChannelError

__all__ = ["Link"]

_CHUNK = 256 * 1024
_MAX_DESCRIPTORS = 64
MAX_LINE = 64 * 1024 * 1024
"""Longest line, in bytes: a whole directory."""


class Link:
    """One end of the pair.

    Args:
        sock: this end.
        on_line: called for each line; it may call `descriptor`.
        on_end: called once when the other end has gone.
    """

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
            descriptor: a file to hand over with it; must stay open until it is sent, so give a duplicate.
        """
        if self._closed:
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
