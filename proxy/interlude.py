"""One question of Valkeeper's own to the database, between two commands of a client that does not notice.

Which replies are outstanding nobody counts, so a fence goes first: a command whose reply cannot be mistaken for another.
Once it has come nothing is outstanding, since the client is held up meanwhile, and the question follows. The fence is a
HELLO with an option that does not exist: Redis answers with an error that repeats the option, checks it before it does
anything (`helloCommand` in networking.c), and permits HELLO to every user, whatever its ACL.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.database_side import DatabaseSide
from proxy.last_bytes import Hearer
from proxy.resp import FrameSkipper, encode

__all__ = ["Fence", "Interlude"]

_PUSH = ord(">")


@dataclass(frozen=True, slots=True)
class Fence:
    """A command and the reply to it, which occurs nowhere else."""

    command: bytes
    reply: bytes

    @classmethod
    def new(cls) -> "Fence":
        """One of its kind."""
        word = secrets.token_hex(16).encode()
        return cls(encode((b"HELLO", b"3", word)), b"-ERR Syntax error in HELLO option '%b'\r\n" % word)


class _Questioner(Protocol):
    database: asyncio.Transport

    def interlude_over(self) -> None:
        """Go on as before."""


class Interlude(Hearer):
    """The database's side from the fence to the answer.

    Args:
        relay: has stopped the client between two commands.
        side: takes everything that is the client's.
        question: the command to ask, of which the reply is one line, such as AUTH.
        on_answer: gets that line; not called where the connection ends before.
    """

    def __init__(
        self,
        relay: _Questioner,
        side: DatabaseSide,
        question: bytes,
        on_answer: Callable[[bytes], None],
    ) -> None:
        self._relay = relay
        self.transport = relay.database
        self._side = side
        self._question = question
        self._on_answer = on_answer
        self._fence = Fence.new()
        self._held = b""  # may be the beginning of what is not the client's
        self._asked = False
        self._push = FrameSkipper()
        relay.database.set_protocol(self)
        relay.database.write(self._fence.command)

    def data_received(self, data: bytes) -> None:
        """Sort out whose it is."""
        data, self._held = self._held + data, b""
        if not self._asked:
            data = self._until_fence(data)
        if self._asked and data:
            self._until_answer(data)

    def pause_writing(self) -> None:
        """As without it."""
        self._side.pause_writing()

    def resume_writing(self) -> None:
        """As without it."""
        self._side.resume_writing()

    def ended(self, exc: Exception | None) -> None:
        """What looked like the beginning of the fence's reply was the client's."""
        if self._held and not self._asked:
            self._side.data_received(self._held)
        self._side.ended(exc)

    def _until_fence(self, data: bytes) -> bytes:
        """Pass on what came before the fence's reply; what came behind it."""
        before, reply, behind = data.partition(self._fence.reply)
        if reply:
            self._asked = True
            self._relay.database.write(self._question)
        else:
            size = _overlap(before, self._fence.reply)
            before, self._held = before[: len(before) - size], before[len(before) - size :]
        if before:
            self._side.data_received(before)
        return behind

    def _until_answer(self, data: bytes) -> None:
        """Pass on the pushes before the answer, each as it comes, and take the answer."""
        at = 0
        while at < len(data) and (self._push.inside or data[at] == _PUSH):
            at = self._push.skip(data, at)
        if at:
            self._side.data_received(data[:at])
        line, end, behind = data[at:].partition(b"\r\n")
        if not end:
            self._held = line
            return
        self._relay.interlude_over()
        if behind:
            self._side.data_received(behind)
        self._on_answer(line)


def _overlap(data: bytes, text: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `text`."""
    for size in range(min(len(data), len(text) - 1), 0, -1):
        if data.endswith(text[:size]):
            return size
    return 0
