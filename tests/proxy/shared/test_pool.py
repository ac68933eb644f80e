"""Which connections are kept for clients to share, and for how long. The clock is set."""

from datetime import UTC, datetime, timedelta

import pytest

from proxy.directory import Update
from proxy.resp import encode
from tests.proxy.hall import HOUR, Hall
from tests.proxy.proxykit import credential, database, directory, iam_credential

PING = encode((b"PING",))


@pytest.fixture
async def enter(short_dir, server):
    """Open a hall whose clients share, with this credential of `app`."""
    halls = []

    async def open_hall(one):
        known = directory(database(server, users={"app": one.key}), credentials=[one])
        halls.append(Hall(short_dir / "orders.sock", known, upstream={"mode": "shared"}))
        return await halls[0].__aenter__()

    yield open_hall
    await halls[0].__aexit__(None, None, None)


async def ping(reader, writer):
    writer.write(PING)
    return await reader.readline()


def connections(hall):
    return [one for pool in hall.pools for one in pool.connections]


async def test_clients_share_one_connection(enter):
    hall = await enter(credential())
    async with hall.client() as one, hall.client() as other:
        assert [await ping(*one), await ping(*other)] == [b"+PONG\r\n"] * 2
        assert len(connections(hall)) == 1
        assert hall.tally().connections == 2


async def test_a_connection_opened_with_a_token_is_replaced_unseen_before_aws_ends_it(enter):
    hall = await enter(iam_credential("app-current", lives=timedelta(days=1)))
    async with hall.client() as client:
        assert await ping(*client) == b"+PONG\r\n"
        [first] = connections(hall)
        hall.seconds = 8 * HOUR
        await hall.pools.look()
        assert connections(hall) == [first]
        hall.seconds = 9 * HOUR + 1
        await hall.pools.look()
        await hall.until(lambda: first not in connections(hall))
        assert len(connections(hall)) == 1
        assert await ping(*client) == b"+PONG\r\n"
        assert hall.sessions[0].guest.token_since is None


async def test_a_connection_that_nobody_has_used_for_a_minute_is_closed(enter):
    hall = await enter(credential())
    async with hall.client() as client:
        assert await ping(*client) == b"+PONG\r\n"
        hall.seconds = 61.0
        await hall.pools.look()
        assert len(connections(hall)) == 1, "who is connected keeps it"
    await hall.until(lambda: not hall.sessions)
    await hall.pools.look()
    await hall.until(lambda: not connections(hall))
    await hall.pools.look()
    assert list(hall.pools) == []


async def test_a_retired_password_ends_its_sessions_and_its_connections(enter):
    now = datetime.now(UTC)
    old = credential().model_copy(update={"made": now - timedelta(hours=1)})
    hall = await enter(old)
    async with hall.client() as (reader, writer):
        assert await ping(reader, writer) == b"+PONG\r\n"
        fresh = old.model_copy(update={"version": "v2", "made": now, "retired_before": now})
        hall.floor.update(Update(version=2, credentials=(fresh,)))
        hall.pools.refresh()
        for session in hall.sessions:
            session.end_if_retired()
        assert b"was retired" in await reader.readline()
        assert await reader.read() == b""
    await hall.until(lambda: not connections(hall))


async def test_a_database_that_has_moved_is_dialled_anew(enter, server):
    hall = await enter(credential())
    async with hall.client() as client:
        assert await ping(*client) == b"+PONG\r\n"
        [first] = connections(hall)
        moved = database(server, users={"app": credential().key}, host="127.0.0.1")
        hall.floor.update(Update(version=2, databases=(moved,)))
        hall.pools.refresh()
        assert await ping(*client) == b"+PONG\r\n"
        await hall.until(lambda: first not in connections(hall))


async def test_who_has_gone_and_cannot_be_served_any_more_leaves_nothing_behind(enter, server):
    """It asked for what needs a connection of its own, hung up, and its database cannot be reached."""
    hall = await enter(credential())
    async with hall.client() as (_, writer):
        gone = database(server, users={"app": credential().key}, port=1)
        hall.floor.update(Update(version=2, databases=(gone,)))
        hall.pools.refresh()
        writer.write(PING * 20)
        writer.transport.abort()
    await hall.until(lambda: not hall.sessions)
