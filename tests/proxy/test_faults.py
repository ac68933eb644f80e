"""Wires that break at any byte: nothing is lost that could be delivered, and nothing is left behind.

`make faults` breaks them at every byte; here it is done where most is to be expected.
"""

import asyncio
import gc
import os
import socket

import pytest
import uvloop

from proxy.relay import Relay
from proxy.session import Session
from tests.faults.cases import Case, every_case
from tests.faults.conversation import Conversation
from tests.faults.sweep import Lane, Sweep, converse, descriptors, listeners
from tests.faults.wire import Fault, Wire
from tests.proxy.dialogues import c
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, database, directory, eventually

MIB = 1024 * 1024


def _stage(keep_proxy, mode):
    """A proxy with nothing to speak of to serve, and the TCP ports of its lanes."""
    addresses, ports = listeners()
    return keep_proxy(listeners=addresses, limits={"new_per_second": None}, upstream={"mode": mode}), ports


@pytest.fixture(scope="module")
def staged(keep_proxy):
    return _stage(keep_proxy, "dedicated")


@pytest.fixture(scope="module")
def staged_to_share(keep_proxy):
    return _stage(keep_proxy, "shared")


async def test_nothing_is_lost_at_the_most_promising_bytes(staged, server):
    proxy, ports = staged
    sweep = Sweep(server, proxy, ports)
    assert await sweep.run(lambda _: []) == {}
    [worker] = proxy.workers()
    before = descriptors(worker), descriptors(proxy.process.pid)
    problems = await sweep.run(lambda sizes: every_case(sizes, corners=True))
    assert not problems, "\n".join(f"{case}: {problem}" for case, problem in problems.items())
    assert (descriptors(worker), descriptors(proxy.process.pid)) == before
    assert proxy.workers() == [worker]


async def test_clients_of_shared_connections_lose_nothing_either(staged_to_share, server):
    """What a broken connection to a database does to those who share it is `shared/test_crowd.py`'s."""
    proxy, ports = staged_to_share
    sweep = Sweep(server, proxy, ports)
    problems = await sweep.run(lambda sizes: every_case(sizes, sides=("client", "local"), corners=True))
    assert not problems, "\n".join(f"{case}: {problem}" for case, problem in problems.items())
    proxy.publisher.counters("raw0", lambda counts: counts.moves.get("transaction", 0) > 1)


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_slow_client_that_goes_on_asking_reads_all_that_a_lost_database_said(staged, server, kind):
    """What is written to a connection that is over must not end it before it was read to its end."""
    proxy, ports = staged
    with server.client() as admin:
        admin.set("large", b"v" * MIB)
    lane = Lane(0, server, proxy, ports[0])
    proxy.serve(*lane.databases)
    async with lane.open():
        wire, count = lane.wires["database"], MIB + MIB // 2
        wire.arm(Fault(kind, "back", count))
        reader, writer = await lane.connect("database")
        writer.write(c("AUTH", "app", "x") + c("GET", "large") * 10)
        await wire.broken.wait()
        for _ in range(3):
            heard = _heard(proxy)
            writer.write(c("PING"))
            await asyncio.to_thread(eventually, lambda before=heard: _heard(proxy) > before)
        answer = await reader.read(-1)
        writer.close()
    replies = b"+OK\r\n" + (b"$%d\r\n%b\r\n" % (MIB, b"v" * MIB)) * 2
    assert answer == replies[:count]


def _heard(proxy):
    """How many bytes of the client the proxy has taken."""
    return sum(session.bytes_from_client for session in proxy.publisher.sessions()[0].values())


def test_no_task_object_or_socket_is_left_behind(short_dir, server):
    """In this process and on the worker's own kind of loop, where all of them can be seen."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_leaves_nothing(short_dir / "orders.sock", server))


async def _leaves_nothing(path, server):
    front = Wire(lambda: asyncio.open_unix_connection(str(path)))
    back = Wire(lambda: asyncio.open_connection("127.0.0.1", server.port))
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [door.getsockname()[1] for door in doors]
    served = directory(database(server, port=ports[1]), credentials=[credential()])
    cases = [
        (wire, Case(side, Fault(kind, way, at)))
        for wire, side in ((front, "client"), (back, "wire"))
        for kind in ("stall", "half-close", "cut", "reset")
        for way in ("there", "back")
        for at in (0, 40, 300, 700)
    ]
    hall = Hall(path, served, limits={"new_per_second": None})  # its clock stands still
    async with front.listening(doors[0]), back.listening(doors[1]), hall:

        async def run(wire, case):
            conversation = Conversation(f"t-{os.getpid():07}")
            await converse(wire, lambda: asyncio.open_connection("127.0.0.1", ports[0]), case, conversation)
            await hall.until(lambda: not hall.sessions and front.is_idle and back.is_idle)

        await run(*cases[-1])
        before = _left_behind()
        for case in cases:
            await run(*case)
        await hall.until(lambda: all(now <= then for now, then in zip(_left_behind(), before, strict=True)))


def _left_behind():
    gc.collect()
    mine = [thing for thing in gc.get_objects() if type(thing) in (Session, Relay)]
    return len(mine), len(asyncio.all_tasks()), descriptors("self")
