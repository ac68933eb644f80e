"""Listening sockets: one for each address, owned by the parent, visible only when it is ready to be used."""

import contextlib
import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from proxy.certificate import Certificate, CertificateFiles
from proxy.directory import Directory, UpstreamMode
from proxy.errors import ListenError
from proxy.listener import BACKLOG
from proxy.settings import ListenerSettings, ProxySettings, socket_path

__all__ = ["Address", "OpenSocket", "Sockets", "remove_stale", "wanted"]

log = structlog.get_logger("proxy")

_MAX_PATH = 107  # bytes, of a Unix socket
_NAME = re.compile(r"[a-z0-9-]{1,63}\Z")  # what may stand in a path


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and what for."""

    path: Path | None  # of a Unix socket
    tcp: tuple[str, int] | None
    database: str | None  # None: the client names it
    db_user: str | None
    mode: UpstreamMode | None = None
    certificate: CertificateFiles | None = None  # None: plaintext
    role: str | None = None  # of those who come in by it; None: who they are decides

    @property
    def name(self) -> str:
        """What it is called in logs and orders: unique, since no two sockets share an address."""
        if self.path is not None:
            return str(self.path)
        assert self.tcp is not None  # noqa: S101 -- one of the two
        return f"{self.tcp[0]}:{self.tcp[1]}"


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A listening socket and its address."""

    address: Address
    socket: socket.socket


def wanted(settings: ProxySettings, directory: Directory) -> Iterator[Address]:
    """Every address that settings and directory together ask for."""
    for listener in settings.listeners:
        if listener.is_per_database:
            for name in directory.databases:
                if _NAME.match(name):
                    yield _unix(settings, listener, name)
        elif listener.unix is not None:
            yield _unix(settings, listener, None)
        else:
            yield _port(listener)


def _unix(settings: ProxySettings, listener: ListenerSettings, database: str | None) -> Address:
    path = socket_path(listener.unix or "", settings.runtime_dir, database or "")
    return Address(path, None, database, listener.db_user, listener.mode)


def _port(listener: ListenerSettings) -> Address:
    certificate = None
    if listener.cert_file is not None and listener.key_file is not None:
        certificate = CertificateFiles(cert_file=listener.cert_file, key_file=listener.key_file)
    return Address(
        None, listener.address, listener.database, listener.db_user, listener.mode, certificate, listener.role
    )


class Sockets:
    """The listening sockets that are open right now."""

    def __init__(self) -> None:
        self._open: dict[str, OpenSocket] = {}

    def __iter__(self) -> Iterator[OpenSocket]:
        """All of them."""
        return iter(tuple(self._open.values()))

    def __contains__(self, address: Address) -> bool:
        """True where this very address is listened on."""
        found = self._open.get(address.name)
        return found is not None and found.address == address

    def open(self, address: Address) -> OpenSocket:
        """Listen on an address; on a Unix socket, replace whatever socket a dead proxy left there.

        Raises:
            ListenError: it cannot be done; the message says why.
        """
        if address.certificate is not None:
            Certificate(address.certificate).check()
        try:
            sock = _bind_unix(address.path) if address.path is not None else _bind_tcp(address.tcp or ("", 0))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(f"cannot listen on {address.name}: {reason}") from error
        opened = OpenSocket(address, sock)
        self._open[address.name] = opened
        return opened

    def close(self, name: str) -> None:
        """Stop listening on an address and take its path away. Sessions go on."""
        found = self._open.pop(name, None)
        if found is None:
            return
        if found.address.path is not None:
            with contextlib.suppress(FileNotFoundError):
                found.address.path.unlink()
        found.socket.close()


def _bind_unix(path: Path) -> socket.socket:
    """A Unix socket that everybody may connect to, at its path only once it listens."""
    if len(os.fsencode(path)) > _MAX_PATH:
        raise OSError(0, f"its path is longer than {_MAX_PATH} bytes; choose a shorter runtime_dir")
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError(0, "something that is no socket is in its place")
    hidden = path.with_name(f".{os.getpid()}")  # no longer than any name it stands in for, nearly always
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        hidden.unlink(missing_ok=True)
        sock.bind(str(hidden))
        hidden.chmod(0o666)  # the kernel says who calls, and `access` whether they may
        sock.listen(BACKLOG)
        hidden.rename(path)
    except BaseException:
        sock.close()
        hidden.unlink(missing_ok=True)
        raise
    return sock


def _bind_tcp(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def remove_stale(settings: ProxySettings) -> None:
    """Take away the sockets that an earlier proxy left behind. Only for whoever holds the lock."""
    for listener in settings.listeners:
        if not listener.is_per_database:
            continue
        pattern = socket_path(listener.unix or "", settings.runtime_dir, "*")
        if "*" in str(pattern.parent):
            continue
        for path in pattern.parent.glob(pattern.name):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink(missing_ok=True)
