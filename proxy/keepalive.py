"""Socket options by which a peer that has silently gone is noticed."""

import asyncio
import socket

__all__ = ["keep_alive"]

_IDLE_SECONDS = 60
_PROBE_SECONDS = 15
_PROBES = 4


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have an idle TCP connection end within two minutes of its peer's silent death. Does nothing to others.

    Not TCP_USER_TIMEOUT: Linux would also cut off a living peer that does not read for so long.
    """
    # The socket is uvloop's stand-in under uvloop and asyncio's otherwise; both know setsockopt.
    sock = transport.get_extra_info("socket")
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, _IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, _PROBE_SECONDS),
        (socket.TCP_KEEPCNT, _PROBES),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
