"""Bytes through the real proxy: any size, any order, any end."""

import os
import socket
import threading

import pytest

from proxy.errors import LostError
from proxy.relay import Relay
from proxy.resp import encode
from tests.proxy.proxykit import Nobody, eventually, token

MIB = 1024 * 1024


@pytest.fixture(params=["unix", "tls", "shared"])
def way(proxy, request):
    """Every way in: on each the same has to hold."""
    return {"unix": proxy, "tls": proxy.door, "shared": Shared(proxy)}[request.param]


class Shared:
    """The socket by which clients share connections."""

    def __init__(self, proxy):
        self._proxy = proxy

    def client(self, **options):
        return self._proxy.client("orders.shared", **options)

    def socket(self, name="orders"):
        return self._proxy.socket(f"{name}.shared")

    def say(self, data, *, eof=True):
        return self._proxy.say(data, "orders.shared", eof=eof)


@pytest.fixture
def key(server):
    name = token()
    yield name
    with server.client() as client:
        client.delete(name)


@pytest.mark.parametrize("protocol", [2, 3])
def test_pipelines_of_any_depth(way, protocol):
    with way.client(protocol=protocol) as client:
        pipe = client.pipeline(transaction=False)
        for n in range(5000):
            pipe.echo(f"{n}")
        assert [int(reply) for reply in pipe.execute()] == list(range(5000))


def test_64_mib_values_pass_both_ways(proxy, key):
    value = os.urandom(MIB) * 64
    with proxy.client() as client:
        client.set(key, value)
        assert client.get(key) == value


def test_transactions_and_published_messages(way, key):
    with way.client() as client, way.client() as other:
        with client.pipeline() as pipe:
            pipe.watch(key)
            pipe.multi()
            pipe.set(key, 1)
            pipe.incr(key)
            assert pipe.execute() == [True, 2]
        with client.pubsub() as channel:
            channel.subscribe(key)
            assert channel.get_message(timeout=5)["type"] == "subscribe"
            other.publish(key, "hello")
            assert channel.get_message(timeout=5)["data"] == b"hello"


def test_a_blocking_command_waits(way, key):
    with way.client() as client, way.client() as other:
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(client.blpop(key, timeout=10)))
        waiting.start()
        eventually(lambda: any(entry["cmd"] == "blpop" for entry in other.client_list()))
        other.rpush(key, "v")
        waiting.join()
        assert answers == [(key.encode(), b"v")]


@pytest.mark.parametrize("last", [b"", b"QUIT\r\n"])
def test_a_client_that_stops_sending_gets_all_its_replies(way, key, last):
    """Also those that the proxy holds while the client is slow, and the database has gone meanwhile."""
    value = b"v" * MIB
    commands = (
        encode((b"AUTH", b"app", b"x"))
        + encode((b"SET", key.encode(), value))
        + encode((b"GET", key.encode())) * 20
        + last
    )
    expected = b"+OK\r\n+OK\r\n" + (b"$%d\r\n%b\r\n" % (MIB, value)) * 20 + (b"+OK\r\n" if last else b"")
    assert way.say(commands, eof=not last) == expected


def test_a_client_that_stops_inside_a_command_gets_the_replies_before_it(way):
    assert way.say(b"AUTH app x\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$10\r\nabc") == b"+OK\r\n+PONG\r\n"
    assert way.say(b"AUTH app x\r\nPING\r\n*2\r\n$4\r\nEC") == b"+OK\r\n+PONG\r\n"


def test_the_replies_before_half_a_command_are_waited_for(way):
    """However long the database is busy, it is not cut off: it hears that no more will come, and answers what came."""
    busy = b"local function now() local t = redis.call('TIME') return t[1] + t[2] / 1e6 end"
    busy += b" local began = now() while now() - began < 0.6 do end return 'done'"
    said = b"AUTH app x\r\n" + encode((b"EVAL", busy, b"0")) + b"PING\r\n*2\r\n$4\r\nECHO\r\n$10\r\nabc"
    assert way.say(said) == b"+OK\r\n$4\r\ndone\r\n+PONG\r\n"


def test_a_client_that_hangs_up_at_once_has_its_commands_done(way, server, key):
    for _ in range(20):
        with way.socket() as sock:
            sock.sendall(b"AUTH app x\r\n" + encode((b"RPUSH", key.encode(), b"done")))
    with server.client() as admin:
        eventually(lambda: admin.llen(key) == 20)


@pytest.mark.parametrize("more", [b"", b"PING\r\n"])
def test_a_blocked_client_that_goes_takes_nothing_along(way, server, key, more):
    with way.socket() as sock:
        sock.sendall(b"AUTH app x\r\nBLPOP %b 0\r\n" % key.encode() + more)
        with server.client() as client:
            eventually(lambda: any(entry["cmd"] == "blpop" for entry in client.client_list()))
            sock.close()
            eventually(
                lambda: not any(entry["cmd"] == "blpop" for entry in client.client_list()), patience=5.0
            )
            client.rpush(key, "v")
            assert client.llen(key) == 1


def test_a_client_without_replies_that_goes_has_its_commands_done(way, proxy, server, key):
    large = encode((b"SET", key.encode(), b"v" * MIB)) * 8
    said = b"AUTH app x\r\n" + encode((b"CLIENT", b"REPLY", b"OFF")) + large
    assert way.say(said + encode((b"SET", key.encode(), b"done"))) == b"+OK\r\n"
    with server.client() as admin:
        assert admin.get(key) == b"done"
    eventually(lambda: not proxy.publisher.sessions()[0])


def test_quit_is_answered_once(way):
    assert way.say(b"AUTH app x\r\nQUIT\r\n") == b"+OK\r\n+OK\r\n"
    assert way.say(b"AUTH app x\r\nQUIT\r\n", eof=False) == b"+OK\r\n+OK\r\n"


def test_a_protocol_error_is_told_by_the_database(way):
    assert way.say(b"AUTH app x\r\n*1\r\n:1\r\n", eof=False) == (
        b"+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n"
    )


def logged_in(sock):
    """Log in, and say which client of the database this is."""
    sock.sendall(b"AUTH app x\r\nCLIENT ID\r\n")
    answer = b""
    while answer.count(b"\r\n") < 2:
        answer += sock.recv(100)
    return int(answer.split(b":")[1])


def test_a_session_ends_with_its_database_connection(way, server):
    with way.socket() as sock:
        number = logged_in(sock)
        with server.client() as admin:
            admin.client_kill_filter(_id=number)
        assert sock.recv(100) == b""


def test_a_client_whose_database_hangs_up_before_it_answers_reads_an_error(way, proxy, server):
    with way.socket() as sock:
        number = logged_in(sock)
        sock.sendall(b"BLPOP %b 0\r\n" % token().encode())
        with server.client() as admin:
            eventually(lambda: any(entry["cmd"] == "blpop" for entry in admin.client_list()))
            admin.client_kill_filter(_id=number)
        error = b"".join(iter(lambda: sock.recv(1000), b""))
        assert error.startswith(b"-ERR valkeeper: database 'orders' hung up before it answered")
        assert error.count(b"\r\n") == 1
    counts = proxy.publisher.counters("orders", lambda counts: counts.ends)
    assert counts.ends["database_lost"] >= 1


@pytest.mark.parametrize(
    ("commands", "replies", "more", "told"),
    [
        (b"PING\r\n", [], b"", True),
        (b"PING\r\n", [b"+PONG\r\n"], b"", False),  # an error would answer the next command
        (b"PING\r\n", [b"+PONG\r\n"], b"PING\r\n", True),
        (b"GET k\r\n", [b"$5\r\nhel"], b"PING\r\n", False),  # it would become a part of the value
        (b"MGET k l\r\n", [b"*2\r\n$1\r\na\r\n"], b"PING\r\n", False),
        (b"GET k\r\n", [b"$1000\r\n" + b"x" * 1000 + b"\r\n"], b"PING\r\n", False),  # not kept
        (
            b"*1\r\n$99999999999999999999\r\n",
            [b"-ERR Protocol error: invalid bulk length\r\n"],
            b"PING\r\n",
            False,
        ),
        (b"QUIT\r\n", [], b"", False),
        (b"SHUTDOWN\r\n", [], b"", False),
        (b"*1\r\n+PING\r\n", [], b"", False),  # Redis hangs up by itself
    ],
)
async def test_an_error_about_the_database_never_ends_up_inside_a_reply(commands, replies, more, told):
    client = Nobody()
    relay = Relay(client, Nobody(), LostError("orders"), lambda _: None, lambda: None)
    relay.start(b"", commands, eof=False)
    if relay.scanner.found is not None:
        relay.pass_found(commands)
    side = relay._database_side
    for reply in replies:
        side.data_received(reply)
    if more:
        relay.from_client += len(more)
    side._ssl = None
    side.connection_lost(None)
    assert client.written == b"".join(replies) + (LostError("orders").reply if told else b"")


class Database(Nobody):
    """The database's end; `hung_up`: on it, without another word."""

    hung_up = False

    def abort(self):
        self.hung_up = True


class Client(Nobody):
    """Has a socket of which the other end is open."""

    def __init__(self, sock):
        super().__init__()
        self._socket = sock

    def get_extra_info(self, _name):
        return self._socket


@pytest.fixture
def client():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Client(ours)


def ended_with(client, commands, replies):
    """The database's end, after a client that said this, and was told that, has said that no more will come."""
    database = Database()
    relay = Relay(client, database, LostError("orders"), lambda _: None, lambda: None)
    relay.start(b"", commands, eof=False)
    for reply in replies:
        relay._database_side.data_received(reply)
    relay.client_eof()
    assert relay.finishing
    if relay._timer is not None:
        relay._timer.cancel()
    return database


@pytest.mark.parametrize(
    ("commands", "replies"),
    [
        (b"", []),
        (b"PING\r\n", [b"+PONG\r\n"]),
        (b"\r\nPING\r\n*0\r\n", [b"+PONG\r\n"]),
        (encode((b"GET", b"k")), [b"$5\r\nh", b"ello\r\n"]),
        (encode((b"GET", b"k")) * 3, [b"$1\r\nv\r\n", b"$-1\r\n-ERR no\r\n"]),
        (b"MULTI\r\nGET k\r\nEXEC\r\n", [b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\nv\r\n"]),
        (b"HGETALL k\r\n", [b"|1\r\n+ttl\r\n:1\r\n%1\r\n+a\r\n_\r\n"]),
        (b"SELECT 1\r\nPING\r\n*2\r\n$4\r\nEC", [b"+OK\r\n+PONG\r\n"]),
    ],
)
async def test_who_was_answered_leaves_without_a_word(client, commands, replies):
    database = ended_with(client, commands, replies)
    assert database.hung_up
    assert database.written == commands.removesuffix(b"*2\r\n$4\r\nEC")


@pytest.mark.parametrize(
    ("commands", "replies"),
    [
        (b"PING\r\n", []),
        (b"PING\r\nPING\r\n", [b"+PONG\r\n"]),
        (b"GET k\r\n", [b"$5\r\nhell"]),
        (b"GET k\r\n", [b"nonsense\r\n"]),
        (b"GET k\r\n", [b"$600\r\n" + b"x" * 600 + b"\r\n"]),
        (b"GET k\r\n" * 2, [b"$600\r\n" + b"x" * 600 + b"\r\n", b"$1\r\nx\r\n"]),
        # As many replies as commands, of which the last is not answered.
        (b"SUBSCRIBE a b\r\nPING\r\n", [b"*3\r\n+subscribe\r\n+a\r\n:1\r\n*3\r\n+subscribe\r\n+b\r\n:1\r\n"]),
        (b"UNSUBSCRIBE a b\r\nPING\r\n", [b"*3\r\n+x\r\n+a\r\n:1\r\n*3\r\n+x\r\n+b\r\n:1\r\n"]),
        (b"punsubscribe a b\r\nPING\r\n", [b"*3\r\n+x\r\n+a\r\n:1\r\n*3\r\n+x\r\n+b\r\n:1\r\n"]),
        (b"MONITOR\r\nPING\r\n", [b"+OK\r\n+1 [0 a] PING\r\n"]),
        (b"CLIENT TRACKING on\r\nGET k\r\n", [b"+OK\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n"]),
        (b"CLIENT REPLY SKIP\r\nGET k\r\nPING\r\n", [b"+PONG\r\n"]),
        (b"PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhe", [b"+PONG\r\n"]),
    ],
)
async def test_who_may_still_be_answered_waits_for_it(client, commands, replies):
    database = ended_with(client, commands, replies)
    assert not database.hung_up
    at_boundary = not commands.endswith(b"he")
    assert database.written == commands + (encode((b"QUIT",)) if at_boundary else b"")


async def test_who_is_answered_during_an_interlude_waits_for_its_end(client):
    database = Database()
    relay = Relay(client, database, LostError("orders"), lambda _: None, lambda: None)
    relay.start(b"", b"", eof=False)
    assert relay.interlude(encode((b"AUTH", b"app", b"x")), lambda _: None) is None
    relay.client_eof()
    assert not database.hung_up
    relay._timer.cancel()
