"""How many connections there may be, how fast they come, and how long they may say nothing."""

import asyncio
import contextlib
import socket

import pytest
from pydantic import ValidationError

from proxy.access import LOCAL, Identity
from proxy.admission import Admission, Limits
from proxy.client_side import ClientSide
from proxy.errors import CrowdedError, LostError, StormError
from proxy.idleness import Idleness
from proxy.keepalive import keep_alive
from proxy.listener import accept
from proxy.relay import Relay
from proxy.settings import LimitSettings
from tests.proxy.hall import Hall
from tests.proxy.proxykit import Nobody, credential, database, directory, eventually

FULL = b"-ERR max number of clients reached\r\n"
LOGIN = b"AUTH app x\r\n"
ALICE, BOB = Identity(uid=1000), Identity(uid=1001)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def admission(**limits):
    clock = Clock()
    return Admission(Limits(**limits), clock), clock


def test_without_limits_everybody_is_let_in():
    door, _ = admission()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(door.entered(ALICE))
            stack.enter_context(door.opened("orders"))


@pytest.mark.parametrize(
    ("limit", "identities", "reason"),
    [
        ("connections", (ALICE, BOB, LOCAL), "too_many_connections"),
        ("per_identity", (ALICE, ALICE, ALICE), "too_many_of_identity"),
        ("per_identity", (LOCAL, LOCAL, LOCAL), "too_many_of_identity"),
    ],
)
def test_one_too_many_is_refused_until_another_has_gone(limit, identities, reason):
    door, _ = admission(**{limit: 2})
    first, second, third = identities
    with door.entered(first):
        with door.entered(second):
            with pytest.raises(CrowdedError) as refused, door.entered(third):
                pass
            assert (refused.value.reason, refused.value.reply) == (reason, FULL)
        with door.entered(third):
            pass


def test_callers_and_databases_are_counted_each_by_itself():
    door, _ = admission(per_identity=1, per_database=1)
    with door.entered(ALICE), door.entered(BOB), door.opened("orders"), door.opened("carts"):
        with pytest.raises(CrowdedError, match="'orders'"), door.opened("orders"):
            pass
        with pytest.raises(CrowdedError, match="uid 1000"), door.entered(ALICE):
            pass


async def waits(door, clock, monkeypatch, count, patience=5.0):
    """How long each of so many who come at this moment waits."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    found = []
    for _ in range(count):
        slept.clear()
        await door.turn("orders", patience)
        found.append(round(sum(slept), 3))
    return found


async def test_a_seconds_worth_comes_at_once_and_the_others_evenly(monkeypatch):
    door, clock = admission(new_per_second=4)
    assert await waits(door, clock, monkeypatch, 7) == [0, 0, 0, 0, 0.25, 0.5, 0.75]
    clock.now += 0.75
    assert await waits(door, clock, monkeypatch, 2) == [0.25, 0.5]
    clock.now += 60
    assert await waits(door, clock, monkeypatch, 5) == [0, 0, 0, 0, 0.25]


async def test_who_would_wait_too_long_is_told_at_once_and_takes_no_turn(monkeypatch):
    door, clock = admission(new_per_second=2)
    await waits(door, clock, monkeypatch, 4, patience=1.0)
    for _ in range(3):
        with pytest.raises(StormError, match=r"proxy\.limits\.new_per_second"):
            await door.turn("orders", 1.0)
    await door.turn("carts", 0.0)
    clock.now += 0.5
    assert await waits(door, clock, monkeypatch, 1, patience=1.0) == [1.0]


async def test_less_than_one_a_second(monkeypatch):
    door, clock = admission(new_per_second=0.5)
    assert await waits(door, clock, monkeypatch, 2) == [0, 2]


def test_workers_share_the_limits_out():
    settings = LimitSettings(connections=10, per_database=3, new_per_second=5)
    assert settings.share(4) == Limits(connections=3, per_database=1, new_per_second=1.25)
    assert LimitSettings(new_per_second=None).share(2) == Limits(connections=5000)


@pytest.mark.parametrize("wrong", [{"connections": 0}, {"new_per_second": 0}, {"idle_timeout": "0s"}])
def test_a_limit_that_lets_nobody_in_is_a_mistake(wrong):
    with pytest.raises(ValidationError):
        LimitSettings.model_validate(wrong)


class Silent:
    traffic = 0
    may_wait = False


def test_idle_is_who_has_neither_sent_nor_got_a_byte_for_so_long():
    idleness = Idleness(8.0)
    quiet, busy, blocked = Silent(), Silent(), Silent()
    blocked.may_wait = True
    everybody = [quiet, busy, blocked]
    assert idleness.pause == 2.0
    assert idleness.look(everybody, 100.0) == []
    busy.traffic += 1
    assert idleness.look(everybody, 107.9) == []
    assert idleness.look(everybody, 108.0) == [quiet]
    assert idleness.look([busy], 115.8) == []
    assert idleness.look([busy, quiet], 115.9) == [busy]


def test_keepalive_is_on_for_tcp_alone():
    for family, expected in ((socket.AF_INET, 1), (socket.AF_UNIX, 0)):
        with socket.socket(family) as sock:
            keep_alive(sock)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == expected


async def test_who_is_accepted_is_kept_alive():
    accepted = asyncio.get_running_loop().create_future()

    class Client(asyncio.Protocol):
        def connection_made(self, transport):
            accepted.set_result(transport)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        server = await accept(listening, Client)
        with socket.create_connection(listening.getsockname()):
            transport = await accepted
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            of_tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_NODELAY)
            assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in of_tcp] == [60, 15, 4, 1]
            transport.abort()
        server.close()


# The same on the real proxy.


@pytest.fixture
def limited(start_proxy, publisher, server):
    def start(**limits):
        publisher.publish(directory(database(server), credentials=[credential()]))
        return start_proxy(limits=limits).wait_for()

    return start


@pytest.mark.parametrize("limit", ["connections", "per_database", "per_identity"])
def test_one_client_too_many_reads_what_redis_would_say(limited, limit):
    proxy = limited(**{limit: 1})
    with proxy.socket() as first:
        first.sendall(LOGIN)
        assert first.recv(100) == b"+OK\r\n"
        assert proxy.say(LOGIN) == FULL
        first.sendall(b"PING\r\n")
        assert first.recv(7) == b"+PONG\r\n"
    assert eventually(lambda: proxy.say(LOGIN) == b"+OK\r\n")
    [refused] = proxy.events("client refused")[:1]
    assert refused["reason"].startswith("too_many")
    assert f"limits.{limit}" in refused["error"]


def test_a_storm_is_turned_away_with_an_error(limited):
    proxy = limited(new_per_second=0.01)
    assert proxy.say(LOGIN) == b"+OK\r\n"
    assert b"limits.new_per_second" in proxy.say(LOGIN)
    counts = proxy.publisher.counters("orders", lambda counts: counts.failures)
    assert counts.failures == {"too_many_at_once": 1}


async def test_who_gives_up_while_it_waits_for_its_turn_is_not_taken_to_the_database(short_dir, server):
    served = directory(database(server), credentials=[credential()])
    async with Hall(short_dir / "orders.sock", served, limits={"new_per_second": 2}) as hall:
        hall.seconds = 100.0
        for _ in range(2):  # a second's worth may come at once
            async with hall.client():
                pass
        _, writer = await asyncio.open_unix_connection(hall.path)
        writer.write(LOGIN)
        await hall.until(lambda: any(session.state == "connecting" for session in hall.sessions))
        writer.close()
        await hall.until(lambda: not hall.sessions)
        assert hall.tally().connections == 2


@pytest.mark.parametrize(
    ("says", "answers", "waits"),
    [
        (b"SUBSCRIBE idle-channel\r\n", 1, True),
        (b"HELLO 3\r\nSUBSCRIBE idle-channel\r\nPING\r\n", 3, True),  # what it said last matters not
        (b"MONITOR\r\n", 1, True),
        (b"BLPOP idle-list 0\r\n", 0, True),
        (b"BLPOP idle-list 0\r\nPING\r\n", 0, True),
        (b"PING\r\n", 1, False),
        (b"SUBSCRIBE idle-channel\r\nRESET\r\n", 2, False),
        (b"PING\r\n*2\r\n$4\r\nECHO\r\n$9\r\nhalf", 1, False),  # nobody waits for the rest of it but we
    ],
)
async def test_who_waits_for_messages_or_an_answer_is_not_idle(says, answers, waits):
    relay = Relay(Nobody(), Nobody(), LostError("orders"), lambda _: None, lambda: None)
    relay.start(b"", b"", eof=False)
    side = ClientSide(relay)
    for command in says.splitlines(keepends=True):
        side.data_received(command)
        if relay.scanner.found is not None:
            relay.pass_found(b"")
        if answers:
            relay._database_side.data_received(b"+OK\r\n")
            answers -= 1
    assert relay.waits is waits


def test_an_idle_client_is_told_why_it_ends_and_a_blocked_one_is_not_idle(limited):
    proxy = limited(idle_timeout="200ms")
    with proxy.socket() as blocked, proxy.socket() as subscribed:
        blocked.sendall(LOGIN + b"BLPOP idle-list 0\r\n")
        subscribed.sendall(LOGIN + b"SUBSCRIBE idle-channel\r\n")
        assert blocked.recv(5) == b"+OK\r\n"
        eventually(lambda: b"idle-channel" in subscribed.recv(100))
        with proxy.socket() as idle:
            idle.sendall(LOGIN)
            told = b"".join(iter(lambda: idle.recv(1000), b""))
        assert told.startswith(b"+OK\r\n-ERR valkeeper: idle for more than 0.2 s")
        with proxy.client() as client:
            client.publish("idle-channel", "still here")
            client.rpush("idle-list", "element")
        assert b"still here" in subscribed.recv(1000)
        assert b"element" in blocked.recv(1000)
    counts = proxy.publisher.counters("orders", lambda counts: counts.ends)
    assert counts.ends["idle"] >= 1
