"""Whatever happens to a shared connection, each client gets exactly its own replies, in order."""

import asyncio
import itertools
import random

import pytest

from proxy.directory import Update
from proxy.shared.trunk import Trunk
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, database, directory, token
from tests.proxy.shared.crowd import Client, WrongReplyError, settled

CLIENTS = 25


@pytest.fixture
async def hall(short_dir, server):
    with server.client() as admin:
        admin.flushall()
    hall = Hall(
        short_dir / "orders.sock",
        directory(database(server), credentials=[credential()]),
        upstream={"mode": "shared", "connect_timeout": "10s"},
        limits={"new_per_second": None},
    )
    async with hall:
        yield hall


async def crowd(hall, seed, *, steps=25, trouble=None, every=0.02):
    """Let many clients take steps, while `trouble` happens every so many seconds; give them back."""
    clients = [
        Client(
            f"c{number}", lambda: asyncio.open_unix_connection(hall.path), random.Random(f"{seed}-{number}")
        )
        for number in range(CLIENTS)
    ]
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(client.run(steps)) for client in clients]
        if trouble is not None:
            chance = random.Random(seed)
            while not all(run.done() for run in runs):
                await asyncio.sleep(every)
                await trouble(chance)
    return clients


async def check_counts(clients):
    """No increment was lost that its client was told of, and none was done twice."""
    for client in clients:
        assert client.acknowledged <= await client.count() <= client.sent


async def nothing_is_left(hall):
    await settled(lambda: not hall.sessions)
    assert all(not trunk.outstanding for pool in hall.pools for trunk in pool.connections)


async def test_every_client_gets_its_own_replies_in_order(hall):
    clients = await crowd(hall, 1)
    await check_counts(clients)
    assert sum(client.replies for client in clients) > 1000
    assert sum(client.losses for client in clients) == 0
    moves = hall.floor.tally("orders").moves
    assert {"transaction", "blocking", "large_request", "unknown", "connection"} <= set(moves)
    await nothing_is_left(hall)


async def test_what_a_lost_connection_did_not_answer_is_an_error_and_never_sent_twice(hall, server):
    with server.client() as admin:

        async def cut(_chance):
            await asyncio.to_thread(
                admin.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"
            )

        clients = await crowd(hall, 2, trouble=cut)
    assert sum(client.losses for client in clients) > 0
    await check_counts(clients)
    await nothing_is_left(hall)


async def test_a_session_that_is_ended_takes_no_other_along(hall):
    async def end(chance):
        if hall.sessions:
            chance.choice(hall.sessions).end("it is time", "killed")

    clients = await crowd(hall, 3, trouble=end)
    assert hall.floor.tally("orders").ends["killed"] > 0
    await check_counts(clients)
    await nothing_is_left(hall)


async def test_nobody_notices_a_rotation(hall, server):
    with server.client() as admin:
        passwords = ["app-current"]

        async def rotate(_chance):
            passwords.append(token())
            two = [f">{password}" for password in passwords[-2:]]
            await asyncio.to_thread(admin.execute_command, "ACL", "SETUSER", "app", "resetpass", *two)
            fresh = credential(version=token(), current=passwords[-1], previous=passwords[-2])
            hall.floor.update(Update(version=hall.floor.directory.version + 1, credentials=(fresh,)))
            hall.pools.refresh()

        clients = await crowd(hall, 4, trouble=rotate, every=0.2)
    assert len(passwords) > 2
    assert sum(client.losses for client in clients) == 0
    assert not hall.floor.tally("orders").failures
    await check_counts(clients)


async def test_two_replies_that_change_places_are_noticed(hall, monkeypatch):
    """The crowd bites: a trunk that now and then deals out to the wrong client is found."""
    send, neighbours = Trunk.send, itertools.count(1)

    def send_wrongly(self, rider, commands, count):
        send(self, rider, commands, count)
        waiting = self._waiting
        if len(waiting) > 1 and waiting[-1] is not waiting[-2] and next(neighbours) % 10 == 0:
            waiting[-1], waiting[-2] = waiting[-2], waiting[-1]

    monkeypatch.setattr(Trunk, "send", send_wrongly)
    with pytest.raises(ExceptionGroup) as raised:
        await crowd(hall, 5)
    assert raised.group_contains(WrongReplyError)
