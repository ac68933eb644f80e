"""Many clients at once, each of which knows what it has to be answered, byte for byte."""

import asyncio
import contextlib
import itertools
import random
from dataclasses import dataclass, field

from proxy.resp import encode, reply_end

__all__ = ["Client", "WrongReplyError"]

_LOST = b"hung up before it answered"
_ENDED = b"-ERR valkeeper: "
_PATIENCE = 20.0


class WrongReplyError(AssertionError):
    """A client was answered something else than it asked for."""


@dataclass
class Ask:
    """A command, what has to come back, and what that makes of the client's own count."""

    command: bytes
    reply: bytes | None  # None: any error
    counts: int = 0


def ask(*words, reply, counts=0):
    return Ask(
        encode([word if isinstance(word, bytes) else str(word).encode() for word in words]), reply, counts
    )


def bulk(value):
    return b"$%d\r\n%b\r\n" % (len(value), value)


def integer(number):
    return b":%d\r\n" % number


@dataclass
class Client:
    """One client: it makes up commands by its own seed, and checks every reply.

    Attributes:
        acknowledged: increments of its counter that it was told of.
        sent: increments of its counter that it has sent.
        replies: that it got.
        losses: replies that were errors since the database hung up.
    """

    name: str
    connect: object
    chance: random.Random
    acknowledged: int = 0
    sent: int = 0
    replies: int = 0
    losses: int = 0
    _numbers: object = field(default_factory=itertools.count)
    _reader: object = None
    _writer: object = None
    _held: bytes = b""

    async def run(self, steps):
        """Take so many steps."""
        try:
            for _ in range(steps):
                await self._take_a_step()
        finally:
            await self._go()

    async def _take_a_step(self):
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._writer is None:
                    await self._come()
                await self._step()
        except ConnectionError:
            await self._go()
        if self.chance.random() < 0.05:
            await self._go()

    async def count(self):
        """What the database has of its counter."""
        await self._come()
        self._writer.write(encode((b"GET", self._key("count"))))
        reply = await self._reply()
        await self._go()
        return 0 if reply in (b"$-1\r\n", b"_\r\n") else int(reply.split(b"\r\n")[1])

    async def _come(self):
        self._reader, self._writer = await self.connect()
        self._held = b""
        hello = self.chance.random() < 0.5
        login = (b"HELLO", b"3", b"AUTH", b"app", b"x") if hello else (b"AUTH", b"app", b"x")
        self._writer.write(encode(login))
        reply = await self._reply()
        if reply.startswith(_ENDED):
            raise ConnectionResetError
        if not reply.startswith(b"%" if hello else b"+OK\r\n"):
            raise WrongReplyError(f"{self.name} was not let in: {reply}")

    async def _go(self):
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _key(self, what):
        return f"{self.name}:{what}".encode()

    async def _step(self):
        asks = [one for _ in range(self.chance.choice([1, 1, 1, 2, 5, 40])) for one in self._some()]
        data = b"".join(one.command for one in asks)
        self.sent += sum(one.counts for one in asks)
        if self.chance.random() < 0.1:  # it goes without waiting for what it has asked
            self._writer.write(data)
            await asyncio.sleep(0)
            await self._go()
            return
        at = 0
        while at < len(data):
            size = self.chance.choice([1, 7, 100, 1 << 20])
            self._writer.write(data[at : at + size])
            at += size
            if self.chance.random() < 0.2:
                await asyncio.sleep(0)
        losses = self.losses
        for one in asks:
            await self._check(one, certain=self.losses == losses)

    async def _check(self, one, *, certain):
        """Check the next reply; where not `certain`, something before it was lost, which it may be about."""
        reply = await self._reply()
        self.replies += 1
        if reply.startswith(b"-ERR") and _LOST in reply:
            self.losses += 1
            if b"connect again" in reply:
                raise ConnectionResetError
            return
        if reply.startswith(_ENDED):
            raise ConnectionResetError
        if one.reply is None:
            right = reply.startswith(b"-") and not reply.startswith(b"-NOAUTH")
        elif one.counts:
            right = reply.startswith(b":")
            self.acknowledged += one.counts
        else:
            right = reply == one.reply
        if not right and (certain or one.command.startswith(b"*2\r\n$4\r\nECHO")):
            raise WrongReplyError(
                f"{self.name}: {one.command[:80]} was answered {reply[:80]}, not {one.reply}"
            )

    async def _reply(self):
        while True:
            end = reply_end(self._held)
            if end is not None:
                reply, self._held = self._held[:end], self._held[end:]
                return reply
            data = await self._reader.read(self.chance.choice([50, 1 << 16, 1 << 20]))
            if not data:
                raise ConnectionResetError
            self._held += data

    def _some(self):
        """One or a few commands that belong together."""
        fresh = f"{self.name}:{next(self._numbers)}".encode()
        kind = self.chance.choices(
            ["echo", "set", "count", "error", "unknown", "multi", "block", "large", "auth", "info"],
            [30, 20, 20, 10, 1, 2, 1, 1, 1, 5],
        )[0]
        large = fresh * 20_000
        return {
            "echo": [ask("ECHO", fresh, reply=bulk(fresh))],
            "set": [ask("SET", fresh, fresh, reply=b"+OK\r\n"), ask("GET", fresh, reply=bulk(fresh))],
            "count": [ask("INCR", self._key("count"), reply=b"", counts=1)],
            "error": [ask("SET", fresh, "x", reply=b"+OK\r\n"), ask("LPUSH", fresh, "x", reply=None)],
            "unknown": [ask("NO-SUCH-COMMAND", fresh, reply=None)],
            "multi": [
                ask("MULTI", reply=b"+OK\r\n"),
                ask("ECHO", fresh, reply=b"+QUEUED\r\n"),
                ask("EXEC", reply=b"*1\r\n" + bulk(fresh)),
            ],
            "block": [
                ask("RPUSH", fresh, fresh, reply=integer(1)),
                ask("BLPOP", fresh, "1", reply=b"*2\r\n" + bulk(fresh) * 2),
            ],
            "large": [
                ask("SET", fresh, large, reply=b"+OK\r\n"),
                ask("GET", fresh, reply=bulk(large)),
                ask("DEL", fresh, reply=integer(1)),
            ],
            "auth": [ask("AUTH", "app", "x", reply=b"+OK\r\n"), ask("ACL", "WHOAMI", reply=bulk(b"app"))],
            "info": [
                ask("LRANGE", fresh, "0", "-1", reply=b"*0\r\n"),
                ask("STRLEN", fresh, reply=integer(0)),
            ],
        }[kind]


async def settled(question, patience=_PATIENCE):
    """Wait until the answer is true."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not question():  # noqa: ASYNC110  what it asks for has no event
                await asyncio.sleep(0.005)
    assert question()
