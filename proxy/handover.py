"""What one program of the proxy leaves to the next one, which takes its place in the same process.

Listening sockets, links to workers and the lock stay open; where they are, and what was known, is written to a sealed
file in memory. It holds secrets, so it has no name and no other process gets it, but for the one that checks whether
the next program can read it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from proxy.channel import understand
from proxy.directory import Directory, Record, to_wire
from proxy.errors import ChannelError, HandoverError
from proxy.settings import ProxySettings
from proxy.sockets import HeldSocket
from proxy.staff import HeldStaff

__all__ = ["VARIABLE", "Handover", "receive", "sealed"]

VARIABLE = "_VALKEEPER_HANDOVER"
"""The environment variable with the file's number. Not one of `VALKEEPER_…`, which are settings."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Handover(Record):
    """Everything that the next program goes on with."""

    runtime_dir: Path
    started_at: float  # seconds since the epoch
    lock: int
    directory: Directory
    sockets: tuple[HeldSocket, ...]
    staff: HeldStaff

    def descriptors(self) -> Iterator[int]:
        """All that has to stay open."""
        yield self.lock
        for held in self.sockets:
            yield held.descriptor
        for member in self.staff.members:
            if member.link is not None:
                yield member.link.descriptor
                yield from (number for _, number in member.link.outgoing if number is not None)

    def set_inheritable(self, inheritable: bool) -> None:
        """Keep all of it open in the next program, or in none."""
        for descriptor in self.descriptors():
            os.set_inheritable(descriptor, inheritable)


_KIND = TypeAdapter(Handover)


@contextlib.contextmanager
def sealed(handover: Handover) -> Iterator[int]:
    """The handover in a file in memory, for as long as it takes to pass its number on."""
    descriptor = os.memfd_create("valkeeper-handover", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(to_wire(handover))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def receive(settings: ProxySettings) -> Handover | None:
    """What the program before this one left; None: there was none. Later calls and other processes find none.

    Raises:
        HandoverError: it can't be gone on with. The message holds none of it.
    """
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    try:
        with os.fdopen(int(number), "rb") as file:
            handover = understand(_KIND, file.read())
    except (ChannelError, OSError, ValueError) as error:
        raise HandoverError(
            f"what the running proxy leaves is not what this version can go on with ({error}); restart it instead"
        ) from None
    if handover.runtime_dir != settings.runtime_dir:
        raise HandoverError(
            f"proxy.runtime_dir is {settings.runtime_dir}, and the running proxy's is {handover.runtime_dir}; "
            "to move it, restart it"
        )
    return handover
