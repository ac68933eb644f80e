"""What systemd and the proxy say to each other: listening sockets one way (sd_listen_fds(3)), news the other (sd_notify(3)).

Outside systemd none of it is there, and nothing happens.
"""

import os
import socket

import structlog

from proxy.sockets import HeldSocket, place_of

__all__ = ["notify", "take_sockets"]

log = structlog.get_logger("proxy")

_FIRST = 3  # SD_LISTEN_FDS_START


def take_sockets() -> tuple[HeldSocket, ...]:
    """The listening sockets that systemd hands to this process; neither its children nor another call get them."""
    count, pid = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return ()
    found = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(descriptor, False)
        place = _listens_at(descriptor)
        if place is None:
            log.warning(
                "socket from systemd left alone: it does not listen on a path or a port", number=descriptor
            )
        else:
            found.append(HeldSocket(descriptor=descriptor, place=place, ours=False))
    return tuple(found)


def _listens_at(descriptor: int) -> str | None:
    sock = socket.socket(fileno=descriptor)
    try:
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        if sock.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            return None
        place = place_of(sock)
        # What has no path has an abstract name.
        return place if sock.family != socket.AF_UNIX or place.startswith("/") else None
    finally:
        sock.detach()


def notify(*news: str) -> None:
    """Tell the service manager how it goes, such as `READY=1`. Nobody may be there to hear it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(news).encode(), address)
    except OSError as error:
        log.warning("service manager not told", news=news, error=error.strerror)
