"""How a database's certificate is checked, and sessions resumed so that not every connection has to.

A full handshake costs a connection most of its time, and the database even more. A session, though, proves only that the
other end is who it was: so one is taken from a handshake in which the certificate was verified, serves for a minute,
and then a certificate is verified again. Sessions belong to the context that verified them. Where `ca_file` changes or
another check is asked for, that is another context, which knows none.
"""

import functools
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy import resumption
from proxy.errors import UnreachableError

__all__ = ["Connection", "Context", "keep_session", "tls_context"]

_SERVES_SECONDS = 60.0


class Connection(ssl.SSLObject):
    """One connection's TLS.

    Attributes:
        offered: True where it offered the database to resume a session.
        began: when the handshake did, by `time.perf_counter`.
        address: where OpenSSL has it; see `Resumption`.
    """

    offered = False
    address = 0
    began = 0.0

    def getpeercert(self, binary_form: bool = False) -> None:
        """Nothing: uvloop asks each connection, to keep it. It is 2 KiB, and nobody reads it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    session: object | None  # None: there was one, and the database would not resume it
    until: float


class Context(ssl.SSLContext):
    """A client's context that resumes sessions, by the name that the certificate was checked against.

    Attributes:
        resumption: how sessions are taken and offered.
        clock: seconds that only grow.
    """

    sslobject_class = Connection
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, protocol: int) -> None:  # noqa: ARG002 -- __new__ has taken it
        self.resumption = resumption.best()
        self._kept: dict[str | bytes | None, _Kept] = {}

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Connection:
        """As of every context, with a session where one is kept for this name."""
        connection = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(connection, Connection)  # noqa: S101 -- it is of `sslobject_class`
        connection.address = self.resumption.newest()
        kept = self._kept.get(server_hostname)
        if session is None and kept is not None and kept.session is not None and self.clock() < kept.until:
            self.resumption.offer(connection, connection.address, kept.session)
            connection.offered = True
        connection.began = time.perf_counter()
        return connection

    def keep(self, connection: Connection) -> None:
        """Keep a connection's session for the next ones, if another is wanted; its handshake is over.

        In TLS 1.3 the session comes behind the handshake, so ask once the database has said something.
        """
        now = self.clock()
        kept = self._kept.get(connection.server_hostname)
        if kept is None or kept.until <= now:
            session = self.resumption.take(connection, connection.address)
            self._kept[connection.server_hostname] = _Kept(session, now + _SERVES_SECONDS)
        elif connection.offered and not connection.session_reused:
            self._kept[connection.server_hostname] = _Kept(None, kept.until)


def keep_session(connection: object) -> None:
    """Let the next connections to where this one leads resume its session; see `Context.keep`."""
    if isinstance(connection, Connection) and isinstance(connection.context, Context):
        connection.context.keep(connection)


def tls_context(mode: str, ca_file: str | None) -> Context:
    """The context that checks certificates this way: made once, and again when the file changes.

    Raises:
        UnreachableError: the file cannot be used.
    """
    try:
        changed = os.stat(ca_file).st_mtime_ns if ca_file is not None else 0  # noqa: PTH116 -- a path as configured
        return _context(mode, ca_file, changed)
    except OSError as error:
        raise UnreachableError(
            f"its certificate cannot be checked: {ca_file}: {error.strerror or error}", reason="ca_file"
        ) from error


@functools.lru_cache(maxsize=64)
def _context(mode: str, ca_file: str | None, _changed: int) -> Context:
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    # What Python thinks right, on a context of a class of its own.
    context.verify_flags = ssl.create_default_context(cafile=ca_file).verify_flags
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if mode == "verify-ca":
        context.check_hostname = False
    return context
