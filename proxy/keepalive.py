"""How a peer that has gone is noticed: one that went silently, and one while it is not read from."""

import asyncio
import select
import socket

__all__ = ["has_hung_up", "keep_alive", "keep_transport_alive"]

_IDLE_SECONDS = 60
_PROBE_SECONDS = 15
_PROBES = 4


def keep_alive(sock: socket.socket) -> None:
    """Have an idle TCP connection end within two minutes of its peer's silent death. Does nothing to others.

    A socket that listens hands all of this on to those it accepts (Linux copies them from it, `sk_clone_lock`).

    Not TCP_USER_TIMEOUT: Linux would also cut off a living peer that does not read for so long.
    """
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


def keep_transport_alive(transport: asyncio.BaseTransport) -> None:
    """The same for the connection of a transport, which is not closed."""
    stand_in = transport.get_extra_info("socket")
    # With uvloop's own call, each option would cost a socket object.
    sock = socket.socket(stand_in.family, stand_in.type, stand_in.proto, stand_in.fileno())
    try:
        keep_alive(sock)
    finally:
        sock.detach()


def has_hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer can neither send nor read any more, as far as the kernel knows.

    One that has only ended its own half still waits for answers. Over TCP that is all that can be seen of one that closed,
    until it answers with a reset.
    """
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), 0)  # POLLHUP and POLLERR come unasked
    return bool(poll.poll(0))
