"""Serves the API's two faces with uvicorn, and knows who calls on the control socket."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from proxy import control
from rotator.errors import RotatorError

__all__ = ["bind_tcp", "serve_control", "serve_tcp"]

_log = structlog.get_logger(__name__)


class _PeerCheckedProtocol(H11Protocol):
    """HTTP on a Unix socket, for root's and Valkeeper's own processes only."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own annotation
        """Refuse others, and say to the application who calls."""
        super().connection_made(transport)
        peer = control.peer_of(transport.get_extra_info("socket"))
        if not control.is_allowed(peer):
            _log.warning("caller_refused", pid=peer.pid, uid=peer.uid)
            transport.abort()
            return
        self.client = (f"uid {peer.uid} (pid {peer.pid})", 0)


class _Server(uvicorn.Server):
    """Leaves signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve_control(app: FastAPI, path: Path) -> None:
    """Serve on the control socket until cancelled."""
    listening = control.bind(path)
    await _serve(app, listening, http=_PeerCheckedProtocol)


async def serve_tcp(app: FastAPI, listening: socket.socket) -> None:
    """Serve on a TCP socket until cancelled."""
    await _serve(app, listening)


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        RotatorError: the address can't be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise RotatorError(
            f"admin.listen: can't listen on {host}:{port}: {error.strerror}; choose another (VALKEEPER_ADMIN__LISTEN)"
        ) from None


async def _serve(app: FastAPI, listening: socket.socket, **options: Any) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
        **options,
    )
    server = _Server(config)
    try:
        await server.serve(sockets=[listening])
    except asyncio.CancelledError:
        server.should_exit = True
        await server.shutdown(sockets=[listening])
        raise
    finally:
        listening.close()
