"""Takes a TLS session from one connection, and offers it on others.

Python (`SSLObject.session`) copies a session by writing and parsing it, its certificate included, each time that it is
offered: a seventh of all that a connection costs. Each look at one is besides never freed (6 KiB, CPython 3.11). OpenSSL's own
copy shares the certificate, and costs nothing. Nothing is called but what OpenSSL documents, and nobody looks into Python's
objects: OpenSSL itself tells which connection it made (CRYPTO_get_ex_new_index(3)). Where it cannot be called, as in a Python
that has OpenSSL within, Python's way remains.

A session is copied when taken as well, since that of a connection which was cut is not resumed again (SSL_set_shutdown(3)).
"""

import contextlib
import ctypes
import functools
import importlib.util
import ssl
import threading
from typing import Protocol

__all__ = ["ByOpenSsl", "ByPython", "Resumption", "best"]

_CONNECTIONS = 0  # CRYPTO_EX_INDEX_SSL
_ON_NEW = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p
)
_POINTER = ctypes.c_void_p
_FUNCTIONS = {
    "CRYPTO_get_ex_new_index": (ctypes.c_int, ctypes.c_int, ctypes.c_long, _POINTER, _ON_NEW, _POINTER, _POINTER),
    "ERR_clear_error": (None,),
    "SSL_get_session": (_POINTER, _POINTER),
    "SSL_set_session": (ctypes.c_int, _POINTER, _POINTER),
    "SSL_SESSION_dup": (_POINTER, _POINTER),
    "SSL_SESSION_free": (None, _POINTER),
    "SSL_SESSION_is_resumable": (ctypes.c_int, _POINTER),
}  # fmt: skip
"""What each gives and takes."""

_new = threading.local()  # `address`: of the thread's newest connection
_for_ever: list[object] = []  # what OpenSSL calls as long as it runs


class Resumption(Protocol):
    """A way to take and to offer sessions."""

    def newest(self) -> int:
        """Where OpenSSL has the connection that this thread has just made; 0: unknown. Not to be used once that is gone."""

    def take(self, connection: ssl.SSLObject, address: int) -> object | None:
        """A connection's session, if it has one that can be resumed."""

    def offer(self, connection: ssl.SSLObject, address: int, session: object) -> None:
        """Have a connection whose handshake has not begun offer to resume what was taken from one of the same context."""


class ByPython:
    """As Python has it."""

    def newest(self) -> int:
        """Of no use here."""
        return 0

    def take(self, connection: ssl.SSLObject, address: int) -> object | None:  # noqa: ARG002
        """See `Resumption`."""
        return connection.session

    def offer(self, connection: ssl.SSLObject, address: int, session: object) -> None:  # noqa: ARG002
        """See `Resumption`."""
        assert isinstance(session, ssl.SSLSession)  # noqa: S101 -- it was taken here
        connection.session = session


class ByOpenSsl:
    """As OpenSSL has it, in the library that Python's `ssl` uses.

    Raises:
        OSError: that cannot be called.
        AttributeError: it lacks a function.
        MemoryError: no code may be made at run time, so it cannot call back.
    """

    def __init__(self) -> None:
        self._library = _library()

    def newest(self) -> int:
        """See `Resumption`."""
        address: int = getattr(_new, "address", 0)
        _new.address = 0
        return address

    def take(self, connection: ssl.SSLObject, address: int) -> object | None:  # noqa: ARG002
        """See `Resumption`."""
        theirs = self._library.SSL_get_session(address) if address else None
        if not theirs or not self._library.SSL_SESSION_is_resumable(theirs):
            return None
        return self._copy(theirs)

    def offer(self, connection: ssl.SSLObject, address: int, session: object) -> None:  # noqa: ARG002
        """See `Resumption`."""
        assert isinstance(session, _Session)  # noqa: S101 -- it was taken here
        copy = self._copy(session.address) if address else None
        if copy is not None and not self._library.SSL_set_session(address, copy.address):
            self._library.ERR_clear_error()  # or the handshake would take it for its own

    def _copy(self, address: int) -> "_Session | None":
        copy = self._library.SSL_SESSION_dup(address)
        if not copy:  # no memory
            self._library.ERR_clear_error()
            return None
        return _Session(copy, self._library.SSL_SESSION_free)


class _Session:
    """One of OpenSSL's, which is freed with this."""

    __slots__ = ("_free", "address")

    def __init__(self, address: int, free: "ctypes._NamedFuncPointer") -> None:
        self.address = address
        self._free = free

    def __del__(self) -> None:
        self._free(self.address)


@functools.cache
def _library() -> ctypes.PyDLL:
    """OpenSSL, which says from now on what connections it makes."""
    found = importlib.util.find_spec("_ssl")
    # Its functions keep Python's lock: they take less than a microsecond.
    library = ctypes.PyDLL(None if found is None or not found.has_location else found.origin)
    for name, (gives, *takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = gives, takes
    callback = _ON_NEW(_note)
    _for_ever.append(callback)
    library.CRYPTO_get_ex_new_index(_CONNECTIONS, 0, None, callback, None, None)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost"
    )
    if not getattr(_new, "address", 0):
        raise OSError("this is not the library that Python's ssl uses")
    return library


def _note(address: int, *_: object) -> None:
    _new.address = address


@functools.cache
def best() -> Resumption:
    """The fastest way that works here."""
    with contextlib.suppress(OSError, AttributeError, MemoryError):
        return ByOpenSsl()
    return ByPython()
