"""A client's transport as long as nobody has taken it over: while it is greeted, and while it is connected to its database."""

import asyncio
from typing import cast

from proxy.farewell import Farewell

__all__ = ["Visitor"]


class Visitor(asyncio.Protocol):
    """What the transport calls, and what is known of the client at its end.

    Attributes:
        transport: the client's.
        eof: True once the client has said that it sends nothing more.
        gone: True once the connection is gone.
        leaving: True once it has been told its last words.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.eof = False
        self.gone = False
        self.leaving = False
        self._early = b""  # came while it was paused
        self._wake = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Keep it. uvloop may call this once more after reading was paused."""
        self._early += data

    def eof_received(self) -> bool:
        """Remember it; the client may still want its answers."""
        self.eof = True
        self.wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Remember it."""
        self.closed()

    def closed(self) -> None:
        """The connection is gone."""
        self.gone = True
        self.wake()

    def wake(self) -> None:
        """Let whoever waits in `change` look again."""
        self._wake.set()

    async def change(self) -> None:
        """Wait until something may have changed."""
        await self._wake.wait()
        self._wake.clear()

    @property
    def has_left(self) -> bool:
        """True where it has gone, and all that it asked for is done."""
        return self.gone and not self._early

    def taken(self) -> bytes:
        """What it has sent meanwhile, for whoever takes the transport over."""
        early, self._early = self._early, b""
        return early

    def given_back(self, data: bytes) -> None:
        """Take the transport, of which reading is paused, back from whoever had it.

        Args:
            data: what the client had sent to it that was not dealt with.
        """
        self._early = data + self._early
        self.transport.set_protocol(self)

    def dismiss(self, last_words: bytes) -> None:
        """Tell it this, and end the connection."""
        self.leaving = True
        if not self.gone:
            Farewell(self.transport, last_words, self.closed, eof=self.eof)
