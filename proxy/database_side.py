"""What a database's transport calls, from the moment a session is open to its last byte."""

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from proxy.errors import ProtocolError
from proxy.last_bytes import Hearer
from proxy.resp import reply_end
from proxy.room import Receiver

if TYPE_CHECKING:
    from proxy.relay import Relay

__all__ = ["DatabaseSide", "LastReplies", "Unheard", "read_no_further", "say_no_more"]

_OK = b"+OK\r\n"
_HANGS_UP = b"-ERR Protocol error"
_SHORT = 512  # bytes of replies that may be looked at again


class DatabaseSide(Hearer):
    """Hands the database's replies to the client.

    Attributes:
        ends_reply: True where what the client got last ended a reply, by all that is known.
    """

    ends_reply = True

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self.transport = relay.database
        self._client = relay.client
        self._latest: bytes | None = b""  # what came last; None: too much to be kept
        self._heard_at = 0  # of `from_client`, when that came
        self._all = b""  # as long as it is short

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
        return self.unanswered and self._latest is not None and _kinds(self._latest) is not None

    @property
    def has_answered(self) -> bool:
        """True where all that the client sent is answered beyond doubt, and that was not much."""
        relay, scanner = self._relay, self._relay.scanner
        if len(self._all) != relay.from_database or scanner.mode.answered_often or not scanner.at_boundary:
            return False
        kinds = _kinds(self._all)
        return kinds is not None and len(kinds) == scanner.commands and b">" not in kinds

    @property
    def pushes(self) -> bool:
        """True where the latest message came as a push, so the client has switched to RESP3."""
        return (_kinds(self._latest or b"") or b"").startswith(b">")

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        relay = self._relay
        relay.from_database += len(data)
        if relay.from_database <= _SHORT:
            self._all += data
        self._latest = data if len(data) <= _SHORT else None
        self._heard_at = relay.from_client
        self._client.write(data)

    def pause_writing(self) -> None:
        """Read no more from the client until the database reads."""
        self._relay.pause()

    def resume_writing(self) -> None:
        """Read from the client again."""
        self._relay.resume()

    def ended(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Deliver what is left, and tell the relay."""
        if not self._client.is_closing():
            self._deliver_rest()
        self._relay.database_lost()

    def release(self) -> None:
        """Refer to nobody any more.

        uvloop keeps the methods of a lost connection's protocol. With a relay behind them, all that there was of a
        session, TLS's buffers included, would wait for the garbage collector.
        """
        del self._relay, self._client, self.transport

    def _deliver_rest(self) -> None:
        if data := self.rest():
            self.data_received(data)


def _kinds(replies: bytes) -> bytes | None:
    """The first byte of each of these replies; None: they are not whole, by all appearance."""
    kinds, at = bytearray(), 0
    with contextlib.suppress(ProtocolError):
        while at < len(replies):
            end = reply_end(replies, at)
            if end is None:
                return None
            kinds.append(replies[at])
            at = end
        return bytes(kinds)
    return None


class LastReplies(DatabaseSide):
    """The database's side once QUIT is under way: its +OK is not the client's."""

    def __init__(self, relay: "Relay", *, strip: bool) -> None:
        super().__init__(relay)
        self._strip = strip
        self._tail = b""
        self.ends_reply = True

    def data_received(self, data: bytes) -> None:
        """Pass it on, except for what may be the last +OK."""
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


class Unheard(Receiver):
    """The database's side once nobody is there to hear it."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Tell the relay, and refer to it no more (see `DatabaseSide.release`)."""
        relay = self._relay
        del self._relay
        relay.database_lost()


def read_no_further(transport: asyncio.Transport) -> None:
    """Have TLS read no more from the network while anything waits to be decrypted; by itself it reads on to 256 KiB."""
    transport.set_read_buffer_limits(high=1)  # type: ignore[attr-defined] # TLS transports have it, and no type says so


def say_no_more(transport: asyncio.Transport) -> None:
    """End the one half of a TLS connection: the other side may still answer. Does nothing while bytes wait to be written.

    The transports have no such call. Below TLS 1.3 the other side may take it for the end of both halves; Redis does not.
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None or transport.get_write_buffer_size():
        return
    with contextlib.suppress(ssl.SSLError):  # it would wait for the other half's end
        tls.unwrap()
    transport.writelines(())  # has uvloop send what the SSL object wrote
