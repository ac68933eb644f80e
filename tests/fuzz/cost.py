"""What it takes to read something, counted and not timed: lines of code that run, and bytes that are touched."""

import sys

from proxy.handshake import Begin, Close, Handshake
from proxy.resp import FrameSkipper, encode
from proxy.scanner import CommandScanner

__all__ = ["HOSTILE", "READERS", "bytes_touched", "lines_run"]


def _repeated(unit: bytes, head: bytes = b""):
    return lambda size: head + unit * (size // len(unit))


HOSTILE = {
    "empty lines": _repeated(b"\n"),
    "empty arrays": _repeated(b"*0\r\n"),
    "small commands": _repeated(b"*1\r\n$4\r\nPING\r\n"),
    "inline commands": _repeated(b"GET k\r\n"),
    "logins": _repeated(b"AUTH nobody x\n"),
    "logins in arrays": _repeated(encode((b"AUTH", b"a", b"b"))),
    "an inline command without end": _repeated(b"x"),
    "an inline command with NULs": _repeated(b"\0\n"),
    "an inline command of quotes": _repeated(b'"\\x41" '),
    "one quote that does not end": _repeated(b"\\'", b"'"),
    "an array's length without end": _repeated(b"1", b"*"),
    "a string's length without end": _repeated(b"1", b"*1\r\n$"),
    "a command of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$3\r\nDEL\r\n"),
    "a HELLO of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$5\r\nHELLO\r\n"),
    "an AUTH of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$4\r\nAUTH\r\n"),
    "a CLIENT of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$6\r\nCLIENT\r\n"),
    "a SCRIPT of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$6\r\nSCRIPT\r\n"),
    "a QUIT of many arguments": _repeated(b"$0\r\n\r\n", b"*1000000\r\n$4\r\nQUIT\r\n"),
    "a HELLO of 60 arguments": _repeated(b"x", b"*60\r\n$5\r\nHELLO\r\n" + b"$0\r\n\r\n" * 50 + b"$60000\r\n"),
    "a large name": _repeated(b"x", b"*1\r\n$1000000\r\n"),
    "a large password": _repeated(b"x", b"*3\r\n$4\r\nAUTH\r\n$1\r\na\r\n$60000\r\n"),
    "nested replies": _repeated(b"*1\r\n"),
    "a reply without end": _repeated(b"+"),
}  # fmt: skip
"""By what it is: what costs most to read, in any size."""


def _scan(pieces):
    scanner = CommandScanner()
    for piece in pieces:
        scanner.feed(piece)
        while scanner.found is not None and scanner.refusal is None:
            scanner.take()
            scanner.go_on()


def _shake(pieces, database):
    handshake = Handshake(database, None)
    for piece in pieces:
        handshake.receive(piece)
        while (step := handshake.next()) is not None:
            if isinstance(step, Begin | Close):
                return


def _skip(pieces):
    skipper = FrameSkipper()
    for piece in pieces:
        if piece[:1] in b"*+" or skipper.inside:  # a client's words are no reply
            skipper.skip(piece, 0)


READERS = {
    "the scanner": _scan,
    "the handshake for one database": lambda pieces: _shake(pieces, "orders"),
    "the handshake for all": lambda pieces: _shake(pieces, None),
    "the skipper of replies": _skip,
}


def lines_run(reader, pieces: list[bytes]) -> int:
    """How many lines of the proxy's code it takes to read these pieces."""
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        reader(pieces)
    finally:
        sys.settrace(before)
    return count


class _Counted(bytes):
    """Bytes that count how many of them are copied or searched."""

    touched = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return _copy(found) if isinstance(found, bytes) else found

    def __add__(self, other):
        return _copy(super().__add__(other))

    def __radd__(self, other):
        return _copy(bytes(other) + bytes(self))

    def find(self, sub, start=0, end=sys.maxsize):
        found = super().find(sub, start, end)
        _Counted.touched += max((min(end, len(self)) if found < 0 else found + len(sub)) - start, 0)
        return found


def _copy(found: bytes) -> _Counted:
    _Counted.touched += len(found)
    return _Counted(found)


def bytes_touched(reader, pieces: list[bytes]) -> int:
    """How many bytes are copied or searched to read these pieces, roughly."""
    _Counted.touched = 0
    reader([_Counted(piece) for piece in pieces])
    return _Counted.touched
