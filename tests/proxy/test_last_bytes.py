"""What a database answered before its connection was lost is the client's, whatever the client has said since."""

import asyncio
import os
import signal

from tests.faults.sweep import Lane, listeners
from tests.faults.wire import Fault
from tests.proxy.dialogues import c
from tests.proxy.proxykit import credential, directory, eventually


async def test_a_reply_that_waits_to_be_read_survives_a_write_to_a_reset_connection(
    start_proxy, publisher, server
):
    """The worker finds the client's next command, and the reply with the reset behind it, at the same time."""
    addresses, ports = listeners()
    publisher.publish(directory(credentials=[credential()]))
    proxy = start_proxy(listeners=addresses, limits={"new_per_second": None})
    [worker] = eventually(proxy.workers, what="a worker")
    lane = Lane(0, server, proxy, ports[0])
    proxy.serve(*lane.databases)
    wire, sound = lane.wires["database"], b"+OK\r\n"
    async with lane.open():
        wire.arm(Fault("reset", "back", 2 * len(sound)))
        reader, writer = await lane.connect("database")
        writer.write(c("AUTH", "app", "x"))
        assert await reader.readexactly(len(sound)) == sound
        with server.client() as admin:
            admin.client_pause(60_000, all=False)  # SET has to wait
            before = _heard(proxy)
            writer.write(c("SET", "late", "1"))
            await asyncio.to_thread(eventually, lambda: _heard(proxy) > before)
            os.kill(worker, signal.SIGSTOP)
            try:
                writer.write(c("PING"))  # first, so the worker takes it first
                admin.client_unpause()
                async with asyncio.timeout(10):
                    while not wire.is_idle:  # noqa: ASYNC110 -- it tells nobody
                        await asyncio.sleep(0.001)
            finally:
                os.kill(worker, signal.SIGCONT)
        assert await reader.readexactly(len(sound)) == sound
        writer.close()


def _heard(proxy):
    return sum(session.bytes_from_client for session in proxy.publisher.sessions()[0].values())
