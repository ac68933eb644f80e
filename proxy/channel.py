"""The directory socket: JSON lines between a rotator, who binds it, and its proxies, who connect for ever.

`Channel` serves both ends; `follow` is the proxy's.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import TypeAdapter, ValidationError

from proxy.control import Peer, is_allowed, peer_of
from proxy.directory import Record, to_wire
from proxy.errors import ChannelError

__all__ = ["MAX_LINE", "Channel", "follow", "understand"]

log = structlog.get_logger("proxy")

MAX_LINE = 64 * 1024 * 1024
"""Longest line, in bytes: a whole directory of a very large account."""

_MAX_BACKOFF = 1.0
_MIN_BACKOFF = 0.05
_CONNECT_SECONDS = 5.0

Message = TypeVar("Message")


class Channel:
    """One end of a connection on the directory socket.

    Args:
        reader: made with `limit=MAX_LINE`.
        writer: its other half.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def peer(self) -> Peer:
        """The process at the other end."""
        return peer_of(self._writer.get_extra_info("socket"))

    async def receive(self, kind: TypeAdapter[Message]) -> Message | None:
        """The next message; None: the other end has hung up.

        Raises:
            ChannelError: what came is no message of this kind. Its text never quotes what came.
        """
        try:
            line = await self._reader.readline()
        except ValueError:
            raise ChannelError(f"a line is longer than {MAX_LINE} bytes") from None
        except OSError:
            return None
        if not line.endswith(b"\n"):
            return None
        return understand(kind, line)

    def post(self, message: Record) -> None:
        """Queue a message, secrets revealed; `flush` waits until the other end keeps up."""
        if not self._writer.is_closing():
            self._writer.write(to_wire(message))

    async def flush(self) -> None:
        """Wait until what is queued is small enough.

        Raises:
            OSError: the other end has hung up.
        """
        await self._writer.drain()

    async def send(self, message: Record) -> None:
        """Queue a message and wait until the other end keeps up.

        Raises:
            OSError: the other end has hung up.
        """
        self.post(message)
        await self.flush()

    def close(self) -> None:
        """Hang up; what is queued is still delivered."""
        self._writer.close()


def understand(kind: TypeAdapter[Message], line: bytes) -> Message:
    """The message that a line holds.

    Raises:
        ChannelError: it holds none of this kind. Its text never quotes the line, which may hold secrets.
    """
    try:
        return kind.validate_json(line)
    except ValidationError as error:
        problems = error.errors()
        if any(problem["type"] == "union_tag_invalid" for problem in problems):
            raise ChannelError(
                "a message of a kind that this version does not know; run one version of rotator and proxy"
            ) from None
        places = {".".join(str(part) for part in problem["loc"]) for problem in problems}
        raise ChannelError(f"a message is not understood at: {', '.join(sorted(places))}") from None


async def follow(path: Path, talk: Callable[[Channel], Awaitable[None]]) -> None:
    """Connect to the rotator at `path`, let `talk` run until it returns, and begin again, for ever.

    Between tries passes at most a second. A socket that belongs to neither root nor this process's user is not
    believed.
    """
    backoff = _MIN_BACKOFF
    complained = False
    while True:
        try:
            channel = await _connect(path)
        except (OSError, ChannelError) as error:  # TimeoutError is an OSError
            if not complained:
                log.warning("rotator not there", path=str(path), error=_words(error))
            complained = True
        else:
            log.info("rotator connected", path=str(path))
            complained = False
            try:
                await talk(channel)
                log.info("rotator hung up", path=str(path))
                backoff = _MIN_BACKOFF
            except (OSError, ChannelError) as error:
                log.warning("rotator lost", path=str(path), error=_words(error))
            finally:
                channel.close()
        await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter
        backoff = min(backoff * 2, _MAX_BACKOFF)


async def _connect(path: Path) -> Channel:
    async with asyncio.timeout(_CONNECT_SECONDS):
        channel = Channel(*await asyncio.open_unix_connection(path, limit=MAX_LINE))
    if not is_allowed(channel.peer):
        channel.close()
        raise ChannelError(f"{path} belongs to uid {channel.peer.uid}")
    return channel


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
