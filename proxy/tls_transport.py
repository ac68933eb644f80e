"""TLS on a client's connection, with a half-close as over plain TCP.

Not asyncio's own: that ends a connection when the client says close_notify, and so loses the answers which are still to
come (Redis gives them); it has no connection before the handshake is over, so nobody could count, list or end one that
never is; and it does not tell what waits below it to be written.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

from proxy.certificate import NamedConnection
from proxy.errors import CertificateError

__all__ = ["TlsTransport"]

_AT_ONCE = 256 * 1024


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """To the client's socket a protocol, to the session a transport.

    The session is connected at once and hears nothing until the handshake is over. What is written before is dropped: a
    client that is turned away so early is hung up on, as by Redis. Why a handshake failed reaches it in `connection_lost`.
    `get_extra_info("server_name")` is what the client asked for (SNI).

    Args:
        context: gives what a connection is secured with, or raises CertificateError; asked when the client's first bytes
            arrive, since one that never speaks need not cost the memory.
        protocol: the session.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._context = context
        self._protocol = protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: NamedConnection | None = None
        self._open = False  # the handshake is over, and nothing has failed since
        self._paused = False
        self._eof = False  # the client's, told to the protocol
        self._eof_below = False  # the socket's
        self._said_goodbye = False
        self._error: Exception | None = None

    # What the socket calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session."""
        self._below = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Decrypt it, or go on with the handshake."""
        if self._said_goodbye or self._error is not None:
            return  # read and dropped, so that no reset overtakes what was said last
        self._incoming.write(data)
        if not self._open:
            self._shake_hands()
        if self._open:
            self._deliver()

    def eof_received(self) -> bool:
        """Tell the session, behind everything that came before."""
        self._eof_below = True
        if self._open and not self._said_goodbye:
            self._deliver()
        else:
            self._end_of_client()
        return True

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._open = False
        self._protocol.connection_lost(self._error or exc)

    # What the session calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        if name == "server_name":
            return self._tls.server_name if self._tls is not None else default
        return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Call another one from now on."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The one that is called."""
        return self._protocol

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self._paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, but not from inside this call."""
        if self._paused and not self.is_closing():
            self._paused = False
            self._below.resume_reading()
            asyncio.get_running_loop().call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if not self._open or self._said_goodbye or self._tls is None:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]  # a record at a time
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._send()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How much may wait; it is held below, encrypted."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """How much waits."""
        return self._below.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Say close_notify. What the client sends from now on is dropped."""
        self._say_goodbye()
        if not self._open:
            self._below.close()
        elif not self._below.is_closing():
            self._below.write_eof()

    def close(self) -> None:
        """Say close_notify, and hang up when all is written."""
        self._say_goodbye()
        self._below.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._below.is_closing()

    # Inside.

    def _shake_hands(self) -> None:
        try:
            if self._tls is None:
                wrapped = self._context().wrap_bio(self._incoming, self._outgoing, server_side=True)
                self._tls = cast(NamedConnection, wrapped)
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
        except (ssl.SSLError, CertificateError) as error:
            self._fail(error)
        else:
            self._open = True
            self._send()

    def _deliver(self) -> None:
        """Give the session what has arrived whole, and then perhaps the client's end."""
        if self._paused or self._eof or not self._open or self._said_goodbye:
            return
        data = self._decrypted()
        if data:
            self._protocol.data_received(data)
        if self._eof_below and not self._paused:
            self._end_of_client()

    def _decrypted(self) -> bytes:
        tls, parts = self._tls, []
        assert tls is not None  # noqa: S101 -- it is open
        try:
            while self._incoming.pending or tls.pending():
                part = tls.read(_AT_ONCE)
                if not part:
                    self._eof_below = True  # its close_notify
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
        if self._outgoing.pending:
            self._send()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _end_of_client(self) -> None:
        if not self._eof:
            self._eof = True
            if not self._protocol.eof_received():
                self.close()

    def _send(self) -> None:
        if self._outgoing.pending and not self._below.is_closing():
            self._below.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        if self._said_goodbye:
            return
        self._said_goodbye = True
        if self._open and self._tls is not None:
            with contextlib.suppress(
                ssl.SSLError
            ):  # it would read the client's own, too, for which nobody waits
                self._tls.unwrap()
            self._send()

    def _fail(self, error: Exception) -> None:
        """End the connection; what OpenSSL has to say about it goes out first."""
        self._open = False
        self._error = error
        self._send()
        self._below.close()
