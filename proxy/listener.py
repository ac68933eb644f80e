"""Accepts on sockets that the parent opened, and finds out who calls."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable

from proxy.access import LOCAL, Identity
from proxy.certificate import Certificate
from proxy.control import peer_of
from proxy.keepalive import keep_alive
from proxy.tls_transport import TlsTransport

__all__ = ["accept", "identify", "identify_by_role", "who_calls"]

_SO_PEERGROUPS = 59  # Linux 4.13; Python's socket module has no name for it
_MAPPED = "::ffff:"  # how an IPv6 socket shows the IPv4 addresses of its callers
_MAX_OPTION = 1024  # bytes, Python's own limit: 256 groups

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel's `somaxconn` may cut it down."""


def who_calls(sock: socket.socket, role: str | None) -> Callable[[asyncio.BaseTransport], Identity]:
    """How those are identified who come in by a listening socket, which may have a role."""
    if role is not None:
        return identify_by_role(role)
    return identify if sock.family == socket.AF_UNIX else lambda _transport: LOCAL


def identify(transport: asyncio.BaseTransport) -> Identity:
    """The caller at the other end of a Unix socket, by the kernel's word."""
    stand_in = transport.get_extra_info("socket")
    peer = peer_of(stand_in)
    with socket.socket(fileno=os.dup(stand_in.fileno())) as sock:
        try:
            groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_OPTION)
        except OSError:  # an old kernel, or more groups than fit: the first one has to do
            groups = b""
    return Identity(
        peer.uid, frozenset((peer.gid, *struct.unpack(f"={len(groups) // 4}I", groups))), peer.pid
    )


def identify_by_role(role: str) -> Callable[[asyncio.BaseTransport], Identity]:
    """How callers are identified by a listener that has a role: by where they come from."""

    def identify_caller(transport: asyncio.BaseTransport) -> Identity:
        # There is none if it has gone already.
        host, port, *_ = transport.get_extra_info("peername") or ("unknown", 0)
        return Identity(role=role, host=host.removeprefix(_MAPPED), port=port)

    return identify_caller


async def accept(
    sock: socket.socket, make: Callable[[], asyncio.Protocol], certificate: Certificate | None = None
) -> asyncio.AbstractServer:
    """Serve a listening socket, by TLS where there is a certificate.

    Closing the server leaves the socket of the other processes alone.
    """

    def secured() -> asyncio.Protocol:
        return make() if certificate is None else TlsTransport(certificate.context, make())

    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(secured, sock=sock, backlog=BACKLOG)
    keep_alive(sock)
    return await loop.create_server(secured, sock=sock, backlog=BACKLOG)
