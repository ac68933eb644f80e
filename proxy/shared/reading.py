"""How many of the commands that a client has sent may be shared. No I/O.

Not by hiredis: it makes room for as many elements as are announced before any has come, 16 GiB for `*2147483647`.
"""

import functools
import re
from itertools import takewhile
from typing import NamedTuple

from proxy import short_frames
from proxy.errors import LimitError, ProtocolError
from proxy.resp import parse
from proxy.shared.commands import CommandTable

__all__ = ["LARGE", "Read", "read"]

LARGE = 64 * 1024
"""Bytes of a request or reply from which on it could hold up others."""

_FEW_ARGS = 8  # of a command whose head is worth remembering
_MOST_ARGS = 16_384  # of a command that is waited for
_UNUSUAL = "unusual"
_ARRAY, _BULK = b"*$"
_LINE = 1 + len(str(LARGE)) + 2  # bytes of the longest header
_SHORTEST_HEAD = len(b"*1\r\n$1\r\n")
_NUMBERS = {b"%d" % number: number for number in range(1025)}
"""The numbers that occur, by the only way in which clients write them."""
_TYPICAL = 128  # bytes of a short command
_COMMAND = short_frames.command(short_frames.bulk(range(1, 17), rb"[^\r]{%d}".__mod__))


class Read(NamedTuple):
    """What was found at the beginning of some bytes."""

    end: int  # of the commands that may be shared
    commands: int  # how many they are
    reason: str  # why the next one may not, in a word; empty: it may, or is not all there


def read(data: bytes, table: CommandTable, most: int) -> Read:
    """The first commands of `data`, at most so many, up to one that may not be shared.

    Only what is written as every client library writes it is shared: nothing that the database could read in another way.
    """
    # Every command of every client comes by here: 0.9 us for a short one alone, 0.5 for each of 16.
    heads, numbers, find = table.heads, _NUMBERS, data.find
    at, count, end = 0, 0, len(data)
    first = _heads().match(data)
    if first is not None and first[1] in heads:
        at, count = first.end(), 1
    while count < most and at < end:
        if count:
            number, at = _short(data, at, table, most - count)
            if number:
                count += number
                continue
        place = find(b"\r\n", at + _SHORTEST_HEAD) + 2
        left = heads.get(data[at:place])  # the arguments behind a name that is known to be shared
        if left is None:
            left, place, reason = _head(data, at, table)
            if left < 0:
                return Read(at, count, reason)
        while left:
            line = find(b"\r\n", place, place + _LINE)
            size = numbers.get(data[place + 1 : line])
            if size is None or line < 0 or data[place] != _BULK:
                size = _size(data, place, line)
            place = line + size + 4
            if size < 0 or data[place - 2 : place] != b"\r\n":
                return Read(at, count, _obstacle_of_beginning(data, at))
            left -= 1
        at = place
        count += 1
    return Read(at, count, "")


def _short(data: bytes, at: int, table: CommandTable, most: int) -> tuple[int, int]:
    """How many short commands follow, so many at most, that begin like others that were shared; and where they end."""
    known, end = table.heads, min(at + most * _TYPICAL, len(data))
    heads = _heads().findall(data, at, end)
    if not heads[-1]:
        heads.pop()
    elif len(heads) <= most and set(heads) <= known.keys():
        return len(heads), end
    number = sum(1 for _ in takewhile(known.__contains__, heads[:most]))
    frames = _frames().findall(data, at, end)[:number] if number else ()
    return number, at + len(b"".join(frames))


# Made when they are needed: that takes 10 ms each, and most have no use for them.


@functools.cache
def _frames() -> re.Pattern[bytes]:
    return short_frames.run(_COMMAND)


@functools.cache
def _heads() -> re.Pattern[bytes]:
    return short_frames.run_of_heads(_COMMAND, short_frames.COMMAND_HEAD)


def _head(data: bytes, at: int, table: CommandTable) -> tuple[int, int, str]:
    """How many arguments are behind the name of a command that may be shared, where they begin, and otherwise why not."""
    line = data.find(b"\r\n", at, at + _LINE)
    number = _number(data[at + 1 : line]) if line >= 0 and data[at] == _ARRAY else -1
    first = line + 2
    line = data.find(b"\r\n", first, first + _LINE)
    size = _size(data, first, line)
    start = line + 2
    place = start + size + 2
    if number < 1 or size < 0 or data[place - 2 : place] != b"\r\n":
        return -1, at, _obstacle_of_beginning(data, at)
    name = data[start : place - 2]
    reason = table.reason(name)
    if isinstance(reason, str):
        if not reason and number <= _FEW_ARGS and (name.isupper() or name.islower()):
            table.heads[data[at:place]] = number - 1
        return (-1 if reason else number - 1), place, reason
    return _container(data, at, place, number, table)


def _container(data: bytes, at: int, place: int, number: int, table: CommandTable) -> tuple[int, int, str]:
    """The same for one whose subcommand decides. It begins at `at`, and its subcommand at `place`."""
    command = parse(data, at)
    if command is None:
        return -1, at, _obstacle_of_beginning(data, at)
    reason = table.obstacle(command.args)
    return (-1 if reason else number - 1), place, reason


def _size(data: bytes, at: int, line: int) -> int:
    """The number in the header of the argument at `at`, whose line ends at `line`; -1: not all there, or not as usual."""
    return _number(data[at + 1 : line]) if line >= 0 and data[at] == _BULK else -1


def _number(digits: bytes) -> int:
    usual = digits.isdigit() and (digits == b"0" or not digits.startswith(b"0"))
    return int(digits) if usual else -1


def _obstacle_of_beginning(data: bytes, at: int) -> str:
    """Why the rest of a command is not to be waited for; empty: it is, or there is none."""
    try:
        if parse(data, at, max_args=_MOST_ARGS, max_bulk=LARGE) is not None:
            return _UNUSUAL  # it is all there, and the database can read it
    except LimitError:
        return "large_request"
    except ProtocolError:
        return _UNUSUAL
    return ""
