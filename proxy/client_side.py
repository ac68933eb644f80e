"""What a client's transport calls, from the moment its session has a connection of its own."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.relay import Relay

__all__ = ["ClientSide"]


class ClientSide(asyncio.Protocol):
    """Hands the client's commands to the database, as far as the scanner lets them pass."""

    __slots__ = ("_relay", "_scanner")

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._scanner = relay.scanner

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        relay = self._relay
        relay.from_client += len(data)
        if relay.finishing:
            return
        passed = self._scanner.feed(data)
        if passed:
            relay.send(passed)
        if self._scanner.stopped:
            relay.stopped()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read."""
        self._relay.client_eof()
        return True

    def pause_writing(self) -> None:
        """Read no more from the database until the client reads."""
        self._relay.slow(True)

    def resume_writing(self) -> None:
        """Read from the database again."""
        self._relay.slow(False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Tell the relay."""
        self._relay.client_lost()
