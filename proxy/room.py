"""Where what a database says is put by its transport.

uvloop makes room for 256 KiB at each read of TLS, unless it is shown some. All connections of a loop share this, since it
is emptied before the next one reads.
"""

import asyncio

__all__ = ["Receiver"]

_room = memoryview(bytearray(255 * 1024))  # so a copy is less than what workers have mapped (member.py)


class Receiver(asyncio.BufferedProtocol):
    """A protocol with `data_received` that has its bytes read into shared room."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 -- the protocol's signature
        """Show the room."""
        return _room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(_room[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take the next bytes; of no concern to those who do not say otherwise."""
