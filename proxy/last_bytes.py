"""What a database had said by the time that its connection ended, read or not."""

import asyncio
import contextlib
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable

from proxy.keepalive import has_hung_up
from proxy.room import Receiver

__all__ = ["Hearer"]

_AT_ONCE = 256 * 1024  # bytes read from a lost connection at a time
_RECORD = 16 * 1024  # the most that TLS gives at a time, however much is asked for


class Hearer(Receiver, ABC):
    """A protocol that can hear a database to its last byte; `ended` takes the place of `connection_lost`.

    Attributes:
        transport: to the database.
    """

    transport: asyncio.Transport

    def eof_received(self) -> None:
        """Hang up at once: who says that nothing more will come has closed, and reads no farewell of TLS."""
        self.transport.abort()

    @property
    def connection_lost(self) -> Callable[[Exception | None], None]:
        """What to call once the connection is gone; whoever asks for it is told what the socket still has.

        Where a write fails, uvloop closes the socket with all that nobody has read from it yet, which may be the replies to
        what was written before. It asks for this method while the socket is open, and calls it when that is closed.
        """
        _read_out(self.transport)
        return self.ended

    @abstractmethod
    def ended(self, exc: Exception | None) -> None:
        """Take it that the connection is gone."""

    def rest(self) -> bytes:
        """What the lost database had said while it was not read.

        uvloop drops what it has received and not yet decrypted when the connection ends during a pause (its
        `SSLProtocol.eof_received`); at most its buffer of 256 KiB. The SSL object still has it.
        """
        tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        parts = []
        with contextlib.suppress(ssl.SSLError):  # it wants more, or the rest was cut
            while tls is not None and (data := tls.read(_RECORD)):
                parts.append(data)
        return b"".join(parts)


def _read_out(transport: asyncio.Transport) -> None:
    """Have TLS take what the kernel has received from a peer that says nothing more."""
    tls = transport.get_extra_info("uvloop.sslproto")
    if tls is None or not has_hung_up(transport):
        return
    socket = transport.get_extra_info("socket").fileno()
    with contextlib.suppress(OSError):  # that is how it ended
        while count := os.readv(socket, [tls.get_buffer(_AT_ONCE)]):
            tls.buffer_updated(count)
