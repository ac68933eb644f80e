"""What a worker holds for its clients, at its peak. `make load` measures the same for thousands of them."""

import pytest

from proxy.resp import encode
from tests.load.crowds import LOGIN, crowd, log_in, slow_database, slow_readers, slow_writers
from tests.load.memory import Peak
from tests.proxy.proxykit import eventually

MIB = 1024 * 1024


@pytest.fixture
def peak(own_proxy):
    [worker] = eventually(own_proxy.workers, what="a worker")
    assert own_proxy.say(LOGIN) == b"+OK\r\n"  # from here on it is warm
    return Peak(worker)


async def test_a_client_that_does_not_read_costs_less_than_a_mebibyte(own_proxy, server, peak):
    with server.client() as admin:
        admin.set("large", bytes(MIB))
    async with crowd(own_proxy.path(), 32) as clients:
        await log_in(clients)
        held = await slow_readers(own_proxy, clients, "large", MIB, 8, lambda: peak.growth)
    assert held < 32 * 1.25  # a quarter for what a connection is by itself, and for what the allocator wastes


async def test_a_database_that_does_not_read_costs_less_than_a_mebibyte(own_proxy, server, peak):
    async with (
        slow_database(server, own_proxy, "slow") as go_on,
        crowd(own_proxy.path("slow"), 16) as clients,
    ):
        await log_in(clients)
        held = await slow_writers(own_proxy, clients, 12 * MIB, go_on, lambda: peak.growth)
    assert held < 16


HALF_LOGINS = (
    b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$16384\r\n" + b"x" * 16_000,
    b"AUTH app " + b"x" * 60_000,
    b"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$60000\r\n" + b"x" * 59_000,
    b"*1000000\r\n$4\r\nAUTH\r\n" + b"$1\r\nx\r\n" * 8_000,
)


async def test_half_a_login_costs_little_whatever_it_announces(own_proxy, peak):
    for head in HALF_LOGINS:
        async with crowd(own_proxy.path(), 32, head) as strangers, crowd(own_proxy.path(), 32) as clients:
            await log_in(clients)
            for _, writer in clients:
                writer.write(head)
            for _, writer in strangers + clients:
                await writer.drain()
            assert own_proxy.say(LOGIN) == b"+OK\r\n"  # behind them all
    assert peak.growth < 32


async def test_who_says_nothing_costs_little_and_keeps_nobody_out(own_proxy, peak):
    async with crowd(own_proxy.path(), 500):
        eventually(lambda: len(own_proxy.publisher.sessions()[0]) >= 500, what="500 connections")
        assert own_proxy.say(LOGIN + encode((b"PING",))) == b"+OK\r\n+PONG\r\n"
    assert peak.growth < 8
