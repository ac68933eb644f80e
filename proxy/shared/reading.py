"""How many of the commands that a client has sent may be shared. No I/O."""

from typing import NamedTuple

import hiredis

from proxy.errors import ProtocolError
from proxy.resp import parse
from proxy.shared.commands import CommandTable

__all__ = ["LARGE", "Read", "read"]

LARGE = 64 * 1024
"""Bytes of a request or reply from which on it could hold up others."""

_MOST_ARGS = 16_384  # of a command that is waited for
_UNUSUAL = "unusual"

_reader = hiredis.Reader()
"""Reads the commands of everybody, one piece of input after the other: between two pieces it is empty."""


class Read(NamedTuple):
    """What was found at the beginning of some bytes."""

    end: int  # of the commands that may be shared
    commands: int  # how many they are
    reason: str  # why the next one may not, in a word; empty: it may, or is not all there


def read(data: bytes, table: CommandTable, most: int) -> Read:
    """The first commands of `data`, at most so many, up to one that may not be shared.

    Only what is written as every client library writes it is shared (`pack_command` writes the same): nothing that the
    database could read in another way.
    """
    global _reader  # noqa: PLW0603  one for all: a reader costs more than a command
    at = count = 0
    reason = ""
    try:
        _reader.feed(data)
        while count < most:
            args = _reader.gets()
            if args is False:
                reason = _obstacle_of_beginning(data, at)
                break
            written = hiredis.pack_command(tuple(args))
            if not args or not data.startswith(written, at):
                reason = _UNUSUAL
                break
            reason = table.obstacle(args)
            if reason:
                break
            at += len(written)
            count += 1
    except (hiredis.HiredisError, TypeError, AttributeError):
        reason = _UNUSUAL
    if at < len(data):
        _reader = hiredis.Reader()
    return Read(at, count, reason)


def _obstacle_of_beginning(data: bytes, at: int) -> str:
    """Why the rest of a command is not to be waited for; empty: it is, or there is none."""
    try:
        if parse(data, at) is not None:
            return _UNUSUAL  # what hiredis takes for `false` is a command without end
    except ProtocolError:
        return _UNUSUAL  # the database has the words for it
    try:
        parse(data, at, max_args=_MOST_ARGS, max_bulk=LARGE)
    except ProtocolError:
        return "large_request"
    return ""
