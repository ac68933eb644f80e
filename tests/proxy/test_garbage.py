"""What a session leaves behind is gone when it ends, not when the garbage collector comes by."""

import asyncio
import gc
import weakref

import pytest
import uvloop

from tests.proxy.dialogues import c
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, database, directory


@pytest.mark.parametrize("mode", ["dedicated", "shared"])
@pytest.mark.parametrize("last", [b"", c("QUIT"), c("MULTI") + b"*2\r\n$3\r\nGET"])
def test_sessions_are_freed_as_they_end(short_dir, shared_server, mode, last):
    """All that carries a session's bytes refers to it."""

    async def live():
        served = directory(database(shared_server), credentials=[credential()])
        async with Hall(short_dir / "orders.sock", served, upstream={"mode": mode}) as hall:
            sessions = [await _visit(hall, last) for _ in range(2)]
            await hall.until(lambda: not any(session() for session in sessions))

    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live())
    finally:
        gc.enable()


async def _visit(hall, last):
    """A session's whole life; a weak reference to it."""
    reader, writer = await asyncio.open_unix_connection(str(hall.path))
    writer.write(c("AUTH", "app", "x") + c("PING"))
    assert await reader.readexactly(12) == b"+OK\r\n+PONG\r\n"
    session = weakref.ref(hall.sessions[0])
    writer.write(last)
    writer.write_eof()
    await reader.read()
    writer.close()
    await hall.until(lambda: not hall.sessions)
    return session
