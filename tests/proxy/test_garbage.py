"""What a session leaves behind is gone when it ends, not when the garbage collector comes by."""

import asyncio
import gc

import pytest
import uvloop
from uvloop.loop import SSLProtocol

from proxy.relay import Relay
from proxy.session import Session
from proxy.shared.sharer import Sharer
from tests.proxy.dialogues import c
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, database, directory

KINDS = (Session, Relay, Sharer, SSLProtocol)


@pytest.mark.parametrize("mode", ["dedicated", "shared"])
@pytest.mark.parametrize("last", [b"", c("QUIT"), c("MULTI") + b"*2\r\n$3\r\nGET"])
def test_sessions_are_freed_as_they_end(short_dir, server, mode, last):
    async def live():
        served = directory(database(server), credentials=[credential()])
        async with Hall(short_dir / "orders.sock", served, upstream={"mode": mode}) as hall:
            await _visit(hall, last)  # which may leave a connection that others can share
            gc.collect()
            before = _alive()
            for _ in range(5):
                await _visit(hall, last)
            await hall.until(lambda: _alive() == before)

    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live())
    finally:
        gc.enable()


async def _visit(hall, last):
    reader, writer = await asyncio.open_unix_connection(str(hall.path))
    writer.write(c("AUTH", "app", "x") + c("PING"))
    assert await reader.readexactly(12) == b"+OK\r\n+PONG\r\n"
    writer.write(last)
    writer.write_eof()
    await reader.read()
    writer.close()
    await hall.until(lambda: not hall.sessions)


def _alive():
    return [sum(type(thing) is kind for thing in gc.get_objects()) for kind in KINDS]
