"""RESP framing without I/O: whole commands out of bytes, and where a reply ends.

Bounds and error texts are those of Redis 7 (`processMultibulkBuffer`, `processInlineBuffer` in networking.c).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from proxy.errors import LimitError, ProtocolError

__all__ = [
    "MAX_LINE",
    "Command",
    "CommandReader",
    "FrameSkipper",
    "encode",
    "integer",
    "line_end",
    "parse",
    "reply_end",
    "split_inline",
]

MAX_LINE = 64 * 1024
"""Longest header or inline command, in bytes (PROTO_INLINE_MAX_SIZE)."""

_MAX_INT = 2**31 - 1
_INTEGER = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")  # no sign, space or leading zero
_SMALL = {b"%d" % number: number for number in range(1024)}
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_ESCAPED = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
# A vertical tab or form feed is a space before a word and behind a quote, and a letter inside a word.
_WORD = re.compile(
    rb"""([^ \t\r\n"']*+)(?:(?=[ \t\r\n]|\Z)|"((?:\\.|[^"\\])*+)"(?=\s|\Z)|'((?:\\'|[^'])*+)'(?=\s|\Z))\s*""",
    re.DOTALL,
)


class Command(NamedTuple):
    """One command of a client. No argument at all: something that Redis skips without an answer."""

    args: tuple[bytes, ...]
    end: int  # where the bytes of the next command begin

    @property
    def name(self) -> bytes:
        """The command's name in upper case; empty where there is none."""
        return self.args[0].upper() if self.args else b""


def encode(args: Iterable[bytes]) -> bytes:
    """A command as clients send it: an array of bulk strings."""
    parts = [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def parse(
    data: bytes, start: int = 0, *, max_args: int = _MAX_INT, max_bulk: int = _MAX_INT
) -> Command | None:
    """The command that begins at `start`; None until all of it is there.

    Args:
        data: what has arrived.
        start: where the command begins.
        max_args: most arguments allowed; Redis takes 10 before authentication.
        max_bulk: most bytes in an argument; Redis takes 16384 before authentication.

    Raises:
        LimitError: it exceeds one of the two.
        ProtocolError: Redis would answer with this error and close.
    """
    if start >= len(data):
        return None
    if data[start : start + 1] != b"*":
        return _parse_inline(data, start)
    header = _header(data, start, "mbulk")
    if header is None:
        return None
    count, at = header
    if count is None or count > _MAX_INT:
        raise ProtocolError("invalid multibulk length")
    if count > max_args:
        raise LimitError("unauthenticated multibulk length")
    args: list[bytes] = []
    for _ in range(count):
        found = _parse_bulk(data, at, max_bulk)
        if found is None:
            return None
        arg, at = found
        args.append(arg)
    return Command(tuple(args), at)


def _parse_bulk(data: bytes, start: int, longest: int) -> tuple[bytes, int] | None:
    """The argument at `start` and where it ends; None: not all there."""
    header = _header(data, start, "bulk")
    if header is None:
        return None
    kind = data[start : start + 1]
    if kind != b"$":
        raise ProtocolError(f"expected '$', got '{kind.decode('latin-1')}'")
    length, at = header
    if length is None or length < 0:
        raise ProtocolError("invalid bulk length")
    if length > longest:
        raise LimitError("unauthenticated bulk length")
    if at + length + 2 > len(data):
        return None
    return data[at : at + length], at + length + 2


def integer(digits: bytes) -> int | None:
    """The number that these are to Redis' `string2ll`; None: they are none."""
    number = _SMALL.get(digits)
    if number is None and _INTEGER.match(digits):
        number = int(digits)
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _header(data: bytes, start: int, what: str) -> tuple[int | None, int] | None:
    """The number on the line at `start` (None: not a number) and where the line ends; None: not all there."""
    end = line_end(data, start, b"\r")
    if end < 0:
        if len(data) - start > MAX_LINE:
            raise ProtocolError(f"too big {what} count string")
        return None
    if end + 2 > len(data):
        return None
    return integer(data[start + 1 : end]), end + 2


def line_end(data: bytes, start: int, char: bytes) -> int:
    """Where the line that begins at `start` ends; -1: not yet. Redis looks with `strchr`, so never past a NUL."""
    end = data.find(char, start)
    return -1 if end >= 0 and data.find(b"\0", start, end) >= 0 else end


def _parse_inline(data: bytes, start: int) -> Command | None:
    end = line_end(data, start, b"\n")
    if end < 0:
        if len(data) - start > MAX_LINE:
            raise ProtocolError("too big inline request")
        return None
    stop = end - 1 if end > start and data[end - 1 : end] == b"\r" else end
    args = split_inline(data[start:stop])
    if args is None:
        raise ProtocolError("unbalanced quotes in request")
    return Command(args, end + 1)


def split_inline(line: bytes) -> tuple[bytes, ...] | None:
    r"""The words of an inline command as Redis' `sdssplitargs` finds them; None where quotes do not balance.

    Double quotes know `\n \r \t \b \a \xHH` and escape anything else as itself, single quotes only `\'`; a closing
    quote has to be followed by a space or the end.
    """
    line = line.lstrip()
    words: list[bytes] = []
    at = 0
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            return None
        plain, double, single = found.groups(b"")
        words.append(plain + _ESCAPED.sub(_unescaped, double) + single.replace(b"\\'", b"'"))
        at = found.end()
    return tuple(words)


def _unescaped(found: re.Match[bytes]) -> bytes:
    code, char = found.groups()
    return bytes((int(code, 16),)) if code else _ESCAPES.get(char, char)


class CommandReader:
    """Takes bytes as they come and gives whole commands: append, then `next` until it says None."""

    def __init__(self, *, max_args: int, max_bulk: int) -> None:
        self._data = b""
        self._latest = 0  # where the latest command begins
        self._at = (
            0  # and where it ends: cutting it off at once would copy what is behind it for every command
        )
        self._limits = {"max_args": max_args, "max_bulk": max_bulk}

    def append(self, data: bytes) -> None:
        """Take more bytes."""
        self._data = self._data[self._at :] + data
        self._latest = self._at = 0

    @property
    def held(self) -> int:
        """How much has been taken and not been given out as a command, in bytes."""
        return len(self._data) - self._at

    @property
    def rest(self) -> bytes:
        """What has been taken and not been given out as a command."""
        return self._data[self._at :]

    @property
    def latest(self) -> bytes:
        """The bytes of the command given out last, and the rest; asked before more is taken."""
        return self._data[self._latest :]

    def next(self) -> Command | None:
        """The next command, removed from the front; None: more bytes are needed.

        Raises:
            ProtocolError: no command can follow.
        """
        command = parse(self._data, self._at, **self._limits)
        if command is not None:
            self._latest, self._at = self._at, command.end
        return command

    def peek_name(self) -> bytes | None:
        """The name of the command in front, in upper case, as soon as it is known.

        Raises:
            ProtocolError: no command can follow.
        """
        if self._data[self._at : self._at + 1] == b"*":
            header = _header(self._data, self._at, "mbulk")
            if header is not None and header[0] is not None and header[0] > 0:
                # Cut down to its first argument, the command is a whole one as soon as its name is there.
                at = header[1]
                first = parse(b"*1\r\n" + self._data[at:], max_bulk=self._limits["max_bulk"])
                return None if first is None else first.name
        command = parse(self._data, self._at, **self._limits)
        return None if command is None else command.name


_AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}
_BULKS = frozenset(b"$=!")
_SCALARS = frozenset(b"+-:_,#(")
_LONGEST_HEADER = 64  # more than any number takes
_ATTRIBUTE = ord("|")


def reply_end(data: bytes, start: int = 0) -> int | None:
    """Where the RESP2 or RESP3 reply that begins at `start` ends; None until all of it is there.

    Raises:
        ProtocolError: this is not a reply.
    """
    at = start
    outstanding = 1
    while outstanding:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        elements, payload = _announced(data[at], data[at + 1 : end])
        at = end + 2 + payload
        if payload and at > len(data):
            return None
        outstanding += elements - 1
    return at


def _announced(kind: int, line: bytes) -> tuple[int, int]:
    """What follows the first line of a reply: how many elements, and how many bytes, the line end included."""
    if kind in _SCALARS:
        return 0, 0
    if kind not in _BULKS and kind not in _AGGREGATES:
        raise ProtocolError(f"invalid reply type byte {kind}")
    length = integer(line)
    if length is None:
        raise ProtocolError("invalid reply length")
    if kind in _BULKS:
        return 0, length + 2 if length >= 0 else 0
    # What an attribute describes follows it.
    return max(length, 0) * _AGGREGATES[kind] + (kind == _ATTRIBUTE), 0


class FrameSkipper:
    """Finds where a reply ends in a stream of which nothing is kept but the beginning of an unfinished line."""

    __slots__ = ("_line", "_outstanding", "_payload")

    def __init__(self) -> None:
        self._line = b""  # the beginning of the current line
        self._outstanding = 0  # elements that have not begun
        self._payload = 0  # bytes of the current element still to come

    @property
    def inside(self) -> bool:
        """True where the end has not come yet."""
        return bool(self._outstanding or self._payload)

    def skip(self, data: bytes, at: int) -> int:
        """Past the reply that begins at `at`, or that began earlier; the end of `data` where it goes on.

        Raises:
            ProtocolError: this is not a reply.
        """
        if not self.inside:
            self._outstanding = 1
        while at < len(data) and self.inside:
            if self._payload:
                taken = min(self._payload, len(data) - at)
                self._payload -= taken
                at += taken
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            line = self._line + data[at:end]
            at = end
            if line.endswith(b"\r\n"):
                elements, self._payload = _announced(line[0], line[1:-2])
                self._outstanding += elements - 1
                line = b""
            # Of a longer line, only its kind and its end matter.
            self._line = line if len(line) <= _LONGEST_HEADER else line[:_LONGEST_HEADER] + line[-1:]
        return at
