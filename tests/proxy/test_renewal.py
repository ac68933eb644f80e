"""Connections that a token opened get a fresh one before AWS ends them, and no client notices."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from proxy.errors import LostError
from proxy.interlude import Fence
from proxy.relay import Relay
from proxy.resp import encode
from proxy.tenure import advice
from tests.proxy.dialogues import AFTER_LOGIN, LOGIN, c
from tests.proxy.hall import HOUR, Hall
from tests.proxy.pair import Pair
from tests.proxy.proxykit import Nobody, credential, database, directory, iam_credential

DUE, LATE, OVER = 10.1, 11.1, 11.95  # hours
NOT_YET = b"-ERR this is not the reply\r\n"


@pytest.fixture
async def hall(short_dir, server):
    """Sessions of `app`, whose password does for a token: Redis itself knows none."""
    held = iam_credential("app-current")
    users = {"app": held.key, "other": "nobody-knows"}
    async with Hall(
        short_dir / "orders.sock",
        directory(database(server, users=users), credentials=[held]),
        upstream={"connect_timeout": 1.0},
    ) as hall:
        yield hall


# When.


@pytest.mark.parametrize(
    ("hours", "what"),
    [(0, "wait"), (8.9, "wait"), (10.1, "renew"), (10.9, "renew"), (11.1, "complain"), (11.95, "end")],
)
def test_what_to_do_is_a_matter_of_age(hours, what):
    assert advice("1-1", 1000.0, 1000.0 + hours * HOUR) == what


def test_connections_opened_together_are_not_renewed_together():
    due = sum(advice(f"1-{number}", 0.0, 9.5 * HOUR) == "renew" for number in range(1000))
    assert 400 < due < 600


# Where the fence and the answer are in what the database says.

PUSHES = c("message", "channel", "x" * 10).replace(b"*", b">", 1) * 2
BEFORE = b"$5\r\nhello\r\n:1\r\n"


def interlude(*, pieces, before=BEFORE, pushes=b"", answer=b"+OK\r\n", behind=b""):
    """What the client gets, and the answer, when the database's words come in pieces of this size."""
    client, server, answers = Nobody(), Nobody(), []
    relay = Relay(client, server, LostError("orders"), lambda _: None, lambda: None)
    assert relay.interlude(b"QUESTION", answers.append) is None
    side = relay._interlude
    word = server.written.split(b"\r\n")[-2]
    said = before + b"-ERR Syntax error in HELLO option '" + word + b"'\r\n" + pushes + answer + behind
    fence_ends = said.index(word) + len(word) + 3
    for at in range(0, len(said), pieces):
        assert (b"QUESTION" in server.written) == (at >= fence_ends)
        side.data_received(said[at : at + pieces])
        if answers:
            relay._database_side.data_received(said[at + pieces :])
            break
    return client.written, answers


@pytest.mark.parametrize("pushes", [b"", PUSHES])
@pytest.mark.parametrize("before", [b"", BEFORE, NOT_YET])
def test_the_client_gets_everything_but_the_two_replies(pushes, before):
    behind = PUSHES if pushes else b""
    for pieces in (*range(1, 80), 1000):
        got, answers = interlude(pieces=pieces, before=before, pushes=pushes, behind=behind)
        assert got == before + pushes + behind
        assert answers == [b"+OK"]


# With Redis.


STATES = {
    "nothing said yet": ([], None),
    "a command": ([c("GET", "k")], None),
    "WATCH": ([c("WATCH", "k")], None),
    "MULTI": ([c("MULTI"), c("SET", "k", 1)], "inside MULTI"),
    "MULTI, in small letters": ([b"multi\r\n"], "inside MULTI"),
    "MULTI and EXEC": ([c("MULTI"), c("SET", "k", 1), c("EXEC")], None),
    "MULTI and an EXEC that fails": ([c("MULTI"), c("SET", "k"), c("EXEC")], None),
    "MULTI and a wrong EXEC": ([c("MULTI"), c("EXEC", "x")], None),
    "MULTI and DISCARD": ([c("MULTI"), c("DISCARD")], None),
    "MULTI and a wrong DISCARD": ([c("MULTI"), c("DISCARD", "x")], "inside MULTI"),
    "SUBSCRIBE": ([c("SUBSCRIBE", "channel")], "RESP2"),
    "SUBSCRIBE in RESP3": ([c("HELLO", 3), c("SUBSCRIBE", "channel")], None),
    "MONITOR": ([c("MONITOR")], "MONITOR"),
    "replies off": ([c("CLIENT", "REPLY", "OFF")], "CLIENT REPLY OFF"),
    "replies on again": ([c("CLIENT", "REPLY", "OFF"), c("CLIENT", "REPLY", "ON")], None),
    "no reply to the next command": ([c("CLIENT", "REPLY", "SKIP")], "about the next one"),
    "no reply to the latest command": ([c("CLIENT", "REPLY", "SKIP"), c("PING")], None),
    "ASKING": ([c("ASKING")], "about the next one"),
    "a question to the client's name": ([c("CLIENT", "GETNAME")], None),
    "CLIENT CACHING": (
        [c("HELLO", 3), c("CLIENT", "TRACKING", "ON", "OPTIN"), c("CLIENT", "CACHING", "YES")],
        "about the next one",
    ),
    "half a command": ([b"*2\r\n$4\r\nECHO\r\n$5\r\nhe"], "inside a command"),
    "the head of a command": ([b"*2\r\n$4\r\nEC"], None),
    "RESET": ([c("RESET")], "RESET"),
    "AUTH as itself": ([c("AUTH", "app", "x")], None),
    "AUTH as somebody else": ([c("AUTH", "other", "other-current")], "changed its user"),
    "AUTH as somebody else, and back": (
        [c("AUTH", "other", "other-current"), c("AUTH", "app", "x")], "changed its user",
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
async def test_it_is_renewed_wherever_that_is_possible(hall, state):
    says, obstacle = STATES[state]
    async with hall.client() as (reader, writer):
        answered = 0
        for command in says:
            writer.write(command)
            silent = not command.endswith(b"\r\n") or b"REPLY\r\n$3\r\nOFF" in command or b"SKIP" in command
            if not silent and not (b"PING" in command and answered == 0):
                await reader.read(4096)
                answered += 1
        session = hall.sessions[0]
        await hall.until(lambda: session.traffic >= sum(map(len, says)))
        with capture_logs() as logs:
            await hall.look(DUE)
            await hall.look(LATE)
            await hall.look(LATE)
            if obstacle is None:
                await hall.until(lambda: hall.tally().renewals)
        complaints = [line for line in logs if line["event"] == "connection not renewed yet"]
        if obstacle is None:
            assert hall.tally().renewals == {"renewed": 1}
            assert session.guest.token_since >= DUE * HOUR
        else:
            assert hall.tally().renewals == {"late": 1}
            assert [obstacle in line["error"] for line in complaints] == [True]
            assert session.guest.token_since == 0


@pytest.mark.parametrize("state", [state for state, (_, obstacle) in STATES.items() if obstacle])
async def test_what_cannot_be_renewed_ends_with_an_error_that_says_why(hall, state):
    says, obstacle = STATES[state]
    async with hall.client() as (reader, writer):
        writer.write(b"".join(says))
        await hall.until(lambda: hall.sessions[0].traffic >= sum(map(len, says)))
        await hall.look(LATE)
        await hall.look(OVER)
        rest = await reader.read(-1)
    last = rest.rsplit(b"-ERR ", 1)[1].decode()
    assert last.startswith("valkeeper: AWS ends connections of IAM users after 12 hours")
    assert obstacle in last
    assert last.endswith("; connect again\r\n")
    assert hall.tally().ends == {"not_renewed": 1}


@pytest.mark.parametrize("dialogue", AFTER_LOGIN)
async def test_no_client_notices(hall, server, dialogue):
    """Every dialogue of the corpus comes back as from Redis, whenever between its pieces a renewal is tried."""
    parts = [LOGIN, *AFTER_LOGIN[dialogue]]
    async with hall.client():
        await hall.look(DUE)  # and the proof on the side, which a MONITOR would see
    with server.client() as admin:
        pair = Pair(server, hall.socket, admin)
        small = sum(len(part) for part in parts if part is not LOGIN) < 5000
        talking = asyncio.create_task(asyncio.to_thread(pair.answers, parts, 11 if small else 1 << 20))
        while not talking.done():
            for session in hall.sessions:
                if session.guest.token_since is not None:
                    session.guest.token_since = 0.0
            await hall.look(DUE)
            await asyncio.sleep(0)
        direct, through = await talking
    if (
        b"-ERR Protocol error" in direct
    ):  # said while it is still spoken to, so how much of it arrives is chance
        assert through.startswith(b"+OK\r\n")
    else:
        assert through == direct


async def test_a_client_that_waits_for_an_element_gets_it_and_then_the_next_answer(hall, server):
    async with hall.client() as (reader, writer):
        writer.write(c("DEL", "list") + c("BLPOP", "list", 0))
        assert await reader.readline() in (b":0\r\n", b":1\r\n")
        await hall.look(DUE)
        assert not hall.tally().renewals
        writer.write(c("ECHO", "later"))  # waits behind it, as in Redis
        with server.client() as admin:
            admin.rpush("list", "element")
        expected = b"*2\r\n$4\r\nlist\r\n$7\r\nelement\r\n$5\r\nlater\r\n"
        assert await reader.readexactly(len(expected)) == expected
        assert hall.tally().renewals == {"renewed": 1}


async def test_a_client_that_waits_for_ever_is_told_before_aws_ends_it(hall):
    async with hall.client() as (reader, writer):
        writer.write(c("BLPOP", "nothing", 0))
        await hall.until(lambda: hall.sessions[0].passed.commands)
        await hall.look(DUE)
        await hall.look(OVER)
        assert b"after 12 hours" in await reader.read(-1)


async def test_a_reply_that_is_read_slowly_arrives_whole(hall, server):
    value = bytes(range(256)) * 32768
    with server.client() as admin:
        admin.set("large", value)
    async with hall.client() as (reader, writer):
        writer.write(c("GET", "large") * 3)
        await hall.until(lambda: hall.sessions[0].passed.from_database)
        await hall.look(DUE)
        writer.write(c("ECHO", "later"))
        reply = b"$%d\r\n%b\r\n" % (len(value), value)
        for _ in range(3):
            assert await reader.readexactly(len(reply)) == reply
        assert await reader.readexactly(11) == b"$5\r\nlater\r\n"
        assert hall.tally().renewals == {"renewed": 1}


@pytest.mark.parametrize("more", [b"", c("ECHO", "later"), c("ECHO", "later") + c("AUTH", "app", "x")])
async def test_a_client_that_stops_speaking_meanwhile_gets_all_its_answers(hall, server, more):
    async with hall.client() as (reader, writer):
        writer.write(c("DEL", "list") + c("BLPOP", "list", 1) + c("ECHO", "behind"))
        await reader.readline()
        await hall.look(DUE)
        writer.write(more)
        writer.write_eof()
        with server.client() as admin:
            admin.rpush("list", "element")
        expected = b"*2\r\n$4\r\nlist\r\n$7\r\nelement\r\n$6\r\nbehind\r\n"
        if more:
            expected += b"$5\r\nlater\r\n"
        if b"AUTH" in more:
            expected += b"+OK\r\n"
        assert await reader.read(-1) == expected


async def test_a_fresh_token_that_is_refused_leaves_the_connection_as_it_is(hall, server):
    async with hall.client() as (reader, writer):
        await hall.look(DUE)
        await hall.until(lambda: hall.tally().renewals == {"renewed": 1})
        server.acl("app", "resetpass", ">another")
        hall.sessions[0].guest.token_since = 0.0
        with capture_logs() as logs:
            await hall.look(DUE)  # what was proven a moment ago is not true any more
            await hall.until(lambda: hall.tally().renewals == {"renewed": 1, "refused": 1})
        assert [line["error"] for line in logs if line["event"] == "connection not renewed yet"] == [
            "WRONGPASS invalid username-password pair or user is disabled."
        ]
        writer.write(c("ACL", "WHOAMI"))
        assert await reader.readexactly(9) == b"$3\r\napp\r\n"
        await hall.look(LATE)  # the next time it is proven on the side first
        assert hall.tally().renewals == {"renewed": 1, "refused": 1, "late": 1}
        assert hall.rejected


async def test_a_token_that_has_expired_is_not_sent(hall):
    async with hall.client():
        held = iam_credential("app-current", lives=timedelta(seconds=-1))
        hall.floor.replace(directory(hall.floor.directory.databases["orders"], credentials=[held]))
        with capture_logs() as logs:
            await hall.look(LATE)
        assert hall.tally().renewals == {"late": 1}
        assert "the rotator gives no fresh one" in logs[0]["error"]


async def test_a_user_that_has_a_password_by_now_is_left_alone(hall):
    async with hall.client():
        hall.floor.replace(directory(hall.floor.directory.databases["orders"]))
        with capture_logs() as logs:
            await hall.look(LATE)
        assert "no tokens for its user any more" in logs[0]["error"]


async def test_where_hello_is_answered_otherwise_nothing_is_tried_on_a_client(hall, monkeypatch):
    fence = Fence(encode((b"HELLO", b"3", b"word")), b"-ERR other words\r\n")
    monkeypatch.setattr(Fence, "new", lambda: fence)
    async with hall.client():
        with capture_logs() as logs:
            await hall.look(LATE)
        assert hall.tally().renewals == {"late": 1}
        assert "does not answer HELLO as Redis does" in logs[0]["error"]


async def test_a_connection_of_a_password_lives_as_long_as_it_likes(short_dir, server):
    held = credential()
    async with (
        Hall(short_dir / "orders.sock", directory(database(server), credentials=[held])) as hall,
        hall.client() as (reader, writer),
    ):
        await hall.look(100)
        writer.write(c("PING"))
        assert await reader.readline() == b"+PONG\r\n"
        assert not hall.tally().renewals


async def test_a_user_that_may_do_next_to_nothing_is_renewed_as_well(hall, server):
    server.acl("app", "-@all", "+get")
    try:
        async with hall.client() as (reader, writer):
            await hall.look(DUE)
            await hall.until(lambda: hall.tally().renewals == {"renewed": 1})
            writer.write(c("PING") + c("GET", "no-such-key"))
            assert (await reader.readline()).startswith(b"-NOPERM")
            assert await reader.readline() == b"$-1\r\n"
    finally:
        server.acl("app", "+@all")
