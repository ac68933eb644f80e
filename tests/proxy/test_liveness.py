"""Databases that die without a word while something is on its way to them."""

import asyncio
import ctypes
import socket
import struct

import pytest
import uvloop

from proxy.liveness import Liveness, stuck_at
from tests.faults.wire import Fault, Wire
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, database, directory

_SO_ATTACH_FILTER = 26
_DROP_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF: return 0 bytes of every packet


def drop_everything(sock):
    """Have the kernel drop all that comes for a socket, and acknowledge none of it: as if its machine were dead."""
    program = ctypes.create_string_buffer(_DROP_EVERYTHING)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


class Talk:
    def __init__(self, at):
        self.stuck_at = at


def test_dead_is_who_has_acknowledged_nothing_for_half_a_minute():
    liveness = Liveness()
    dead, slow, well = Talk(100), Talk(100), Talk(None)
    everybody = [dead, slow, well]
    assert liveness.look(everybody, 50.0) == []
    slow.stuck_at = 101
    assert liveness.look(everybody, 79.9) == []
    assert liveness.look(everybody, 80.0) == [dead]
    dead.stuck_at = None
    assert liveness.look(everybody, 109.0) == []
    dead.stuck_at = 100
    assert liveness.look(everybody, 109.9) == [slow]


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_dead_database_is_told_from_one_that_does_not_read(short_dir, server, is_dead):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_told(short_dir / "orders.sock", server, is_dead))


async def _told(path, server, is_dead):
    wire = Wire(lambda: asyncio.open_connection("127.0.0.1", server.port))
    door = socket.create_server(("127.0.0.1", 0))
    served = directory(database(server, port=door.getsockname()[1]), credentials=[credential()])
    async with wire.listening(door), Hall(path, served) as hall:
        wire.arm(Fault("stall", "there", 4096))
        try:
            async with hall.client() as (reader, writer):
                await (_is_dead if is_dead else _does_not_read)(hall, wire, reader, writer)
        finally:
            wire.mended.set()


async def _is_dead(hall, wire, reader, writer):
    [session] = hall.sessions
    liveness = Liveness()
    drop_everything(wire.caller.get_extra_info("socket"))
    writer.write(b"PING\r\n")
    await hall.until(lambda: session.stuck_at is not None)
    assert liveness.look([session], 0.0) == []
    assert liveness.look([session], 30.0) == [session]
    session.lose_database()
    assert b"hung up before it answered" in await reader.readline()
    wire.caller.transport.abort()  # or it would wait for the other end, of which it hears nothing


async def _does_not_read(hall, wire, _reader, writer):
    [session] = hall.sessions
    for _ in range(400):
        writer.write(b"ECHO " + b"x" * 60_000 + b"\r\n")
    await hall.until(lambda: _has_no_room(session))
    assert session.stuck_at is None
    wire.mended.set()


def _has_no_room(session):
    """Whether all that was sent to a session's database is acknowledged, and more waits to be sent."""
    info = session._stay.carrier.database.get_extra_info("socket").getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, 148
    )
    unacknowledged, unsent = struct.unpack("=24xI116xI", info)
    return unsent and not unacknowledged


def test_what_is_no_more_than_idle_is_well():
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as sock:
        sock.sendall(b"PING\r\n")

        class Transport:
            def get_extra_info(self, _name):
                return sock

        assert stuck_at(Transport()) is None
