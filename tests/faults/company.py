"""Some clients that share a connection to their database, which breaks while their commands are under way."""

import asyncio
import contextlib
import re
from itertools import count

from proxy.resp import reply_end
from tests.proxy.dialogues import c

__all__ = ["LONGEST", "Company", "WrongReplyError"]

_SIZE = 3
_TRAP = "\r\n+OK\r\n:1\r\n"  # looks like the end of one reply and the beginning of another
_LOST = re.compile(rb"-ERR valkeeper: database '[\w-]+' hung up before it answered; [^\r]*not known\r\n")
_UNREACHABLE = re.compile(rb"-ERR valkeeper: database '[\w-]+' at localhost:\d+ is unreachable [^\r]*\r\n")
_TRIES = 20  # of somebody's first command
_PATIENCE = 30.0
_PONG = b"+PONG\r\n"


class WrongReplyError(AssertionError):
    """A member was answered something else than it had to be."""


class Member:
    """One client: whatever it asks for tells it apart from the others.

    Args:
        name: of its keys, and of no other client's.

    Attributes:
        log: the key of a list to which it adds numbers in order.
        losses: how many of its bursts of commands met with an error.
        right: bytes of the replies that were no errors.
    """

    def __init__(self, name):
        self.log = f"{name}:log"
        self.losses = 0
        self.right = 0
        self._name = name
        self._numbers = count()
        self._acknowledged = {}  # how long the list was said to be with each number in it
        self._reader = self._writer = None
        self._held = b""

    async def come(self, connect):
        """Log in, and have something answered, so that there is a connection to share; try again where there was none."""
        for _ in range(_TRIES):
            self._reader, self._writer = await connect()
            self._held = b""
            self._writer.write(c("AUTH", "app", "x"))
            reply = await self._reply()
            if reply == b"+OK\r\n" and await self._ping():
                return
            if reply != b"+OK\r\n" and not _UNREACHABLE.fullmatch(reply):
                raise WrongReplyError(f"{self._name} was not let in: {reply!r}")
            await self.go()
        raise WrongReplyError(f"{self._name} was never let in")

    async def _ping(self):
        for _ in range(_TRIES):
            self._writer.write(c("PING"))
            reply = await self._reply()
            if reply == _PONG:
                self.right += len(reply)
                return True
            if _UNREACHABLE.fullmatch(reply):
                return False
            if not _LOST.fullmatch(reply):
                raise WrongReplyError(f"{self._name} was answered {reply!r}, not {_PONG!r}")
        raise WrongReplyError(f"{self._name} got no answer")

    async def burst(self):
        """Say a few things at once: whole replies up to where the connection broke, and then an error for each."""
        number = next(self._numbers)
        word = f"{self._name}{_TRAP}{number}"
        echo = _bulk(word)
        self._writer.write(c("RPUSH", self.log, str(number)) + c("ECHO", word))
        lost = False
        for right in (None, echo):
            reply = await self._reply()
            if _LOST.fullmatch(reply):
                lost = True
                continue
            if lost or not (reply.startswith(b":") if right is None else reply == right):
                raise WrongReplyError(f"{self._name} was answered {reply!r}, lost: {lost}")
            self.right += len(reply)
            if right is None:
                self._acknowledged[number] = int(reply[1:])
        self.losses += lost

    async def _reply(self):
        while (end := reply_end(self._held)) is None:
            data = await self._reader.read(65536)
            if not data:
                raise WrongReplyError(f"{self._name} was hung up on behind {self._held!r}")
            self._held += data
        reply, self._held = self._held[:end], self._held[end:]
        return reply

    async def go(self):
        """Hang up, if there is anything to hang up."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()
        self._writer = None

    def problem(self, log):
        """What is wrong with its list: each number at most once, in order, and where it was told that it is; None: nothing."""
        numbers = [int(number) for number in log]
        if numbers != sorted(set(numbers)):
            return f"{self._name} did {numbers}"
        told = {number: place + 1 for place, number in enumerate(numbers) if number in self._acknowledged}
        return (
            None if told == self._acknowledged else f"{self._name} was told {self._acknowledged}, not {told}"
        )


class Company:
    """Clients of one database, of which a wire leads to the real one.

    Args:
        name: of all their keys, and of no other company's.
        wire: breaks.
        connect: opens a client's connection to the proxy.
    """

    def __init__(self, name, wire, connect):
        self.members = [Member(f"{name}-{number}") for number in range(_SIZE)]
        self._wire = wire
        self._connect = connect

    async def meet(self, fault):
        """Talk over a fresh connection, which breaks so. Raises WrongReplyError, and TimeoutError where nothing comes."""
        wire = self._wire
        if wire.caller is not None:
            wire.caller.transport.abort()  # what a company before has left
        while not wire.is_idle:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)
        wire.arm(fault)
        mender = asyncio.create_task(wire.mend_once_broken())
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._talk()
        finally:
            mender.cancel()
            wire.mended.set()
            for member in self.members:
                await member.go()

    async def _talk(self):
        for member in self.members:
            await member.come(self._connect)
        for _ in range(2):
            await asyncio.gather(*(member.burst() for member in self.members))
        before = [member.losses for member in self.members]
        await self.members[0].burst()
        if any(before) and self.members[0].losses > before[0]:
            raise WrongReplyError("the fresh connection broke as well")
        if any(member.losses > 1 for member in self.members):
            raise WrongReplyError("more was lost than was under way")

    def undelivered(self, logins):
        """How many bytes of replies have passed the wire that nobody was handed; `logins`: bytes of each connection's."""
        passed = sum(max(one["back"] - logins, 0) for one in self._wire.carried)
        return passed - sum(member.right for member in self.members)


def _bulk(word):
    return b"$%d\r\n%b\r\n" % (len(word), word.encode())


LONGEST = len(_bulk(f"s-000000-0{_TRAP}0"))
"""Bytes of the longest reply, so one more than can be lost of them where a connection breaks."""
