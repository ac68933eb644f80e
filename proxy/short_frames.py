"""Short RESP frames as regular expressions, so that one call finds a whole pipeline of them.

A regular expression cannot count by a number that it has read: each length is a branch of its own, in a tree by their digits.
Nothing else matches than what clients and databases write; who finds no match has to read on step by step.
"""

import re
from collections.abc import Callable, Iterable

__all__ = ["COMMAND_HEAD", "bulk", "command", "opening", "run", "run_of_heads"]

COMMAND_HEAD = rb"\*[1-9]\r\n\$[0-9]{1,2}\r\n[^\r]+\r\n"
"""A command up to the end of its name, if there is no CR in that."""

_LENGTHS = range(100)


def bulk(lengths: Iterable[int] = _LENGTHS, payload: Callable[[int], bytes] = b".{%d}".__mod__) -> bytes:
    """A bulk string.

    Args:
        lengths: in bytes, from 0 to 99.
        payload: what matches one of so many bytes.
    """
    by_digit: dict[bytes, list[bytes]] = {}
    for length in lengths:
        digits = b"%d" % length
        by_digit.setdefault(digits[:1], []).append(digits[1:] + rb"\r\n" + payload(length))
    branches = (digit + b"(?:" + b"|".join(rest) + b")" for digit, rest in by_digit.items())
    return rb"\$(?:" + b"|".join(branches) + rb")\r\n"


def command(name: bytes) -> bytes:
    """A command of at most five short arguments; `name` matches the first of them, as a bulk string."""
    counts = (rb"%d\r\n%b(?:%b){%d}" % (count, name, bulk(), count - 1) for count in range(1, 6))
    return rb"\*(?:" + b"|".join(counts) + b")"


def opening(name: bytes) -> bytes:
    """What a command of at most four arguments begins with, up to the last one, which is long; its length is the group."""
    counts = (rb"%d\r\n%b(?:%b){%d}" % (count, name, bulk(), count - 2) for count in range(2, 5))
    return rb"\*(?:" + b"|".join(counts) + rb")\$([1-9][0-9]{2,8})\r\n"


def run(frame: bytes) -> re.Pattern[bytes]:
    """Of which `findall` gives the frames that follow one another, and an empty one for what is behind them."""
    return re.compile(b"(" + frame + b")|.+", re.DOTALL)


def run_of_heads(frame: bytes, head: bytes) -> re.Pattern[bytes]:
    """The same, but of each frame only what it begins with."""
    return re.compile(b"(?=(" + head + b"))" + frame + b"|.+", re.DOTALL)
