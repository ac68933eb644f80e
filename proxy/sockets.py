"""Listening sockets: one for each address, owned by the parent, visible only when it is ready to be used."""

import os
import re
import socket
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from proxy.certificate import Certificate, CertificateFiles
from proxy.directory import Directory, Record, UpstreamMode
from proxy.errors import ListenError
from proxy.listener import BACKLOG
from proxy.settings import ListenerSettings, ProxySettings, socket_path

__all__ = ["Address", "HeldSocket", "OpenSocket", "Sockets", "place_of", "remove_stale", "wanted"]

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
    ours: bool = True  # False: it is systemd's, who keeps it open and its path in place


class HeldSocket(Record):
    """A listening socket that is there already: the program before this one had it, or systemd made it."""

    descriptor: int
    place: str  # its path, or its numeric address and port
    ours: bool


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
    """The listening sockets that are open right now.

    Args:
        held: those that are there already. One whose address is asked for is used in place of a new one, with all
            connections that wait in it.
    """

    def __init__(self, held: Iterable[HeldSocket] = ()) -> None:
        self._open: dict[str, OpenSocket] = {}
        self._spare = {one.place: one for one in held}

    def __iter__(self) -> Iterator[OpenSocket]:
        """All of them."""
        return iter(tuple(self._open.values()))

    def __contains__(self, address: Address) -> bool:
        """True where this very address is listened on."""
        found = self._open.get(address.name)
        return found is not None and found.address == address

    def open(self, address: Address) -> OpenSocket:
        """Listen on an address; on a Unix socket, replace whatever socket a dead proxy left there.

        Where a socket is there already, it is that one.

        Raises:
            ListenError: it cannot be done; the message says why.
        """
        if address.certificate is not None:
            Certificate(address.certificate).check()
        try:
            opened = self._take_up(address) or OpenSocket(address, _bind(address))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(f"cannot listen on {address.name}: {reason}") from error
        self._open[address.name] = opened
        return opened

    def close(self, name: str) -> None:
        """Stop listening on an address and take its path away; what is systemd's is left as it is. Sessions go on."""
        found = self._open.pop(name, None)
        if found is None:
            return
        held = _held(found)
        found.socket.detach()
        if held.ours:
            _remove(held)
        else:
            self._spare[held.place] = held

    def close_unasked(self, asked: Iterable[Address]) -> list[str]:
        """Close those that were there and that nobody asks for, systemd's excepted; gives their places."""
        if not any(held.ours for held in self._spare.values()):
            return []
        kept = {place for address in asked for place in _places(address)}
        closed = [held for held in self._spare.values() if held.ours and held.place not in kept]
        for held in closed:
            del self._spare[held.place]
            _remove(held)
        return [held.place for held in closed]

    def unasked(self) -> set[str]:
        """The places of systemd's sockets that nobody asks for."""
        return {held.place for held in self._spare.values() if not held.ours}

    def held(self) -> tuple[HeldSocket, ...]:
        """All sockets, as the next program is to find them."""
        return (*map(_held, self._open.values()), *self._spare.values())

    def _take_up(self, address: Address) -> OpenSocket | None:
        """A socket that is there already."""
        for place in _places(address) if self._spare else ():
            held = self._spare.pop(place, None)
            if held is not None:
                return OpenSocket(address, socket.socket(fileno=held.descriptor), held.ours)
        return None


def place_of(sock: socket.socket) -> str:
    """Where a socket listens, as it says itself: a path, or a numeric address and port."""
    name = sock.getsockname()
    return os.fsdecode(name) if sock.family == socket.AF_UNIX else _numeric(name)


def _places(address: Address) -> list[str]:
    """Where a socket may listen that serves an address; nowhere if its name does not resolve."""
    if address.path is not None:
        return [str(address.path)]
    host, port = address.tcp or ("", 0)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return [_numeric(where) for _, _, _, _, where in found]


def _numeric(where: Any) -> str:
    host, port, *_ = where
    return f"{host}:{port}"


def _held(opened: OpenSocket) -> HeldSocket:
    # A Unix socket of ours says the name under which it was hidden until it listened.
    path = opened.address.path
    place = str(path) if path is not None else place_of(opened.socket)
    return HeldSocket(descriptor=opened.socket.fileno(), place=place, ours=opened.ours)


def _remove(held: HeldSocket) -> None:
    if held.place.startswith("/"):
        Path(held.place).unlink(missing_ok=True)
    socket.close(held.descriptor)


def _bind(address: Address) -> socket.socket:
    return _bind_unix(address.path) if address.path is not None else _bind_tcp(address.tcp or ("", 0))


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


def remove_stale(settings: ProxySettings, held: Iterable[HeldSocket] = ()) -> None:
    """Take away the sockets that an earlier proxy left behind, but for those held. Only for whoever holds the lock."""
    kept = {one.place for one in held}
    for listener in settings.listeners:
        if not listener.is_per_database:
            continue
        pattern = socket_path(listener.unix or "", settings.runtime_dir, "*")
        if "*" in str(pattern.parent):
            continue
        for path in pattern.parent.glob(pattern.name):
            if stat.S_ISSOCK(path.lstat().st_mode) and str(path) not in kept:
                path.unlink(missing_ok=True)
