"""Ends a client's connection so that the last words arrive.

Closing a socket with unread input makes the kernel send a reset, which may overtake an error still on its way. So: the
last bytes, then end of file, then whatever the client still sends is read and dropped until it hangs up too.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Farewell"]

_READ_SECONDS = 10.0  # how long a client may go without reading any of what is left for it
_HANG_UP_SECONDS = 2.0  # and then to close its own end


class Farewell(asyncio.Protocol):
    """Takes a client's transport over for its last moments.

    Args:
        transport: the client's, open for writing.
        last_words: what it is told.
        on_closed: called when the connection is gone.
        eof: True: the client has already closed its own end.
    """

    def __init__(
        self, transport: asyncio.Transport, last_words: bytes, on_closed: Callable[[], None], *, eof: bool
    ) -> None:
        self._transport = transport
        self._on_closed = on_closed
        transport.set_protocol(self)
        if last_words:
            transport.write(last_words)
        if eof or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
            transport.resume_reading()
        self._unread = transport.get_write_buffer_size()
        self._timer: asyncio.TimerHandle | None = None
        if self._unread or not eof:
            patience = _READ_SECONDS if self._unread else _HANG_UP_SECONDS
            self._timer = asyncio.get_running_loop().call_later(patience, self._look)

    def _look(self) -> None:
        """Cut off a client that neither reads on nor hangs up."""
        unread = self._transport.get_write_buffer_size()
        if unread < self._unread:
            self._unread = unread
            self._timer = asyncio.get_running_loop().call_later(_READ_SECONDS, self._look)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Drop it."""

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Report the end."""
        if self._timer is not None:
            self._timer.cancel()
        self._on_closed()
