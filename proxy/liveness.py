"""Databases that have died silently, with something on its way to them that nobody will acknowledge.

The kernel sends that again and again for a quarter of an hour. Its own limit (TCP_USER_TIMEOUT) cannot be used: it would
cut off a living peer that does not read for so long. Such a one acknowledges all that it has room for.
"""

import asyncio
import socket
import struct
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

__all__ = ["LOOK_SECONDS", "Liveness", "stuck_at"]

LOOK_SECONDS = 5.0
"""How often to look."""

_DEAD_SECONDS = 30.0
_TCP_INFO = struct.Struct("=2xB21xI92xQ")  # tcp(7): retransmits, unacked and bytes_acked, since Linux 4.1


def stuck_at(transport: asyncio.BaseTransport) -> int | None:
    """How many bytes the peer has acknowledged, where it is being sent the same again; None: all is well."""
    info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    if len(info) < _TCP_INFO.size:
        return None
    retransmits, unacknowledged, acknowledged = _TCP_INFO.unpack(info)
    return acknowledged if retransmits and unacknowledged else None


class _Session(Protocol, Hashable):
    @property
    def stuck_at(self) -> int | None:
        """As above, of its database's connection."""


S = TypeVar("S", bound=_Session)


class Liveness(Generic[S]):
    """Looks at sessions now and then."""

    def __init__(self) -> None:
        self._stuck: dict[S, tuple[int, float]] = {}  # at what, and since when

    def look(self, sessions: Iterable[S], now: float) -> list[S]:
        """Those whose database has acknowledged nothing for half a minute, although it was sent the same again."""
        stuck, dead = {}, []
        for session in sessions:
            at = session.stuck_at
            if at is None:
                continue
            before = self._stuck.get(session)
            since = before[1] if before is not None and before[0] == at else now
            stuck[session] = (at, since)
            if now - since >= _DEAD_SECONDS:
                dead.append(session)
        self._stuck = stuck
        return dead
