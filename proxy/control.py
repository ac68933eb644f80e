"""Valkeeper's own Unix sockets: made 0600 in a 0700 folder, and open to root and Valkeeper's own user only."""

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from proxy.errors import AlreadyRunningError, ListenError

__all__ = ["Peer", "bind", "is_allowed", "make_folders", "only_one", "peer_of"]

_UCRED = struct.Struct("=iII")  # struct ucred: pid, uid, gid (unix(7))


class Peer(NamedTuple):
    """Who is at the other end of a Unix socket, as the kernel says."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: "_HasFileno") -> Peer:
    """The process that connected. Takes a socket, or what an event loop shows in a socket's place."""
    # A duplicate, because not every event loop's stand-in answers for the real socket.
    with socket.socket(fileno=os.dup(connection.fileno())) as real:
        return Peer(*_UCRED.unpack(real.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


def is_allowed(peer: Peer) -> bool:
    """Whether a process may give orders: root's, and those of the user that Valkeeper runs as."""
    return peer.uid in {0, os.geteuid()}


def make_folders(runtime_dir: Path) -> Path:
    """The runtime folder (0755) and the control folder in it (0700); returns the latter.

    Raises:
        ListenError: they can't be made.
    """
    control = runtime_dir / "control"
    try:
        runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        control.mkdir(mode=0o700, exist_ok=True)
        control.chmod(0o700)
    except OSError as error:
        raise ListenError(
            f"proxy.runtime_dir {runtime_dir} can't be used: {error.strerror};"
            " create it for Valkeeper's user, or set proxy.runtime_dir (VALKEEPER_PROXY__RUNTIME_DIR)"
        ) from None
    return control


@contextlib.contextmanager
def only_one(lock: Path, what: str, held: int | None = None) -> Iterator[int]:
    """Hold a lock that ends with the process, however it ends; gives the descriptor that holds it.

    Args:
        lock: its file.
        what: who holds it, for the message.
        held: the descriptor by which this process holds it already.

    Raises:
        AlreadyRunningError: another process holds it.
        ListenError: its file can't be made.
    """
    try:
        descriptor = held if held is not None else os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ListenError(f"can't lock {lock}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(
                f"another {what} runs with this runtime_dir ({lock} is locked); stop it, or set another"
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def bind(path: Path) -> socket.socket:
    """A listening socket at a path, 0600 from its first moment. A socket that is already there is replaced."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(fresh))
        fresh.chmod(0o600)
        listening.listen(128)
        listening.setblocking(False)
        fresh.rename(path)
    except OSError as error:
        listening.close()
        raise ListenError(f"can't listen on {path}: {error.strerror}") from None
    return listening
