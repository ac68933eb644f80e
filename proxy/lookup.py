"""The addresses of a host, looked up once for all who ask while that is under way.

Nothing is remembered: a database's name leads elsewhere after a failover.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

__all__ = ["Address", "addresses"]

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""What `getaddrinfo` gives."""

_Answer = Sequence[Address] | socket.gaierror | None

_under_way: dict[tuple[asyncio.AbstractEventLoop, str, int], asyncio.Future[_Answer]] = {}


async def addresses(host: str, port: int) -> Sequence[Address]:
    """Where a host's port can be reached.

    Raises:
        socket.gaierror: its name does not resolve.
    """
    loop = asyncio.get_running_loop()
    key = (loop, host, port)
    while (others := _under_way.get(key)) is not None:
        answer = await asyncio.shield(others)
        if isinstance(answer, socket.gaierror):
            raise answer
        if answer is not None:
            return answer
        # Whoever had asked was cancelled.
    answer = None
    _under_way[key] = loop.create_future()
    try:
        answer = found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        answer = error
        raise
    finally:
        _under_way.pop(key).set_result(answer)
    return found
