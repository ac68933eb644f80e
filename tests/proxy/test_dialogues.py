"""The same bytes to Redis and through Valkeeper give the same bytes back, and the same end."""

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.dialogues import AFTER_LOGIN, BEFORE_LOGIN, HOME, LOGIN, c
from tests.proxy.pair import Pair
from tests.proxy.proxykit import database

MODES = ("dedicated", "shared")


@pytest.fixture(scope="module")
def pairs(shared_server, shared_proxy):
    # Once for all of them: they change nothing that the next one would see.
    shared_proxy.serve(database(shared_server))
    with shared_server.client() as admin:
        yield {
            "dedicated": Pair(shared_server, shared_proxy.socket, admin),
            "shared": Pair(shared_server, lambda: shared_proxy.socket("orders.shared"), admin),
        }


@pytest.fixture
def pair(pairs):
    return pairs["dedicated"]


@pytest.mark.parametrize("name", BEFORE_LOGIN)
def test_before_a_login(name, pair):
    direct, through = pair.answers([BEFORE_LOGIN[name]])
    assert through == direct


# What Redis says to a line without end depends on how much of it has arrived.
@pytest.mark.parametrize("name", [name for name, part in BEFORE_LOGIN.items() if len(part) < 1000])
def test_before_a_login_in_pieces(name, pair):
    direct, through = pair.answers([BEFORE_LOGIN[name]], pieces=3)
    assert through == direct


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", AFTER_LOGIN)
def test_in_a_session(name, mode, pairs):
    direct, through = pairs[mode].answers([LOGIN, *AFTER_LOGIN[name]])
    assert through == direct


_PIPELINE = (
    c("SET", "k", 1)
    + b"GET k\r\n"
    + c("ECHO", "a\r\nb")
    + c("AUTH", "legacy", "x")
    + c("LRANGE", "k", 0, 1)
    + b"\r\nPING\n"
)


def test_a_client_that_stops_anywhere_gets_what_redis_answers_until_there(pair):
    """Whole commands are answered, and the beginning of one is nothing."""
    login = c("AUTH", "app", "x")
    clients = []
    for end in range(len(_PIPELINE) + 1):
        sock = pair.through()
        sock.sendall(login + _PIPELINE[:end])
        sock.shutdown(socket.SHUT_WR)
        clients.append(sock)
    for end, sock in enumerate(clients):
        with sock:
            through = b"".join(iter(lambda sock=sock: sock.recv(4096), b""))
        assert through == b"+OK\r\n" + pair.answered(_PIPELINE[:end])[0]


def test_a_client_that_sends_slowly_is_answered_as_it_goes(pair):
    """Each byte is a packet of its own, and each answer comes before the next command is begun."""
    with pair.through() as through, pair.direct() as direct:
        for command in (
            c("ECHO", "a"),
            b'echo "b"\n',
            c("GET", "nothing"),
            c("AUTH", "legacy", "x"),
            c("NOSUCH"),
        ):
            heard = []
            for sock, password in ((direct, "app-current"), (through, "x")):
                said = c("AUTH", "app", password) + command
                for at in range(len(said)):
                    sock.sendall(said[at : at + 1])
                answer = b""
                while answer.count(b"\r\n") < 2 + (b"$1" in answer):
                    answer += sock.recv(4096)
                heard.append(answer)
            assert heard[0] == heard[1]


def test_a_client_that_reads_nothing_while_it_speaks_gets_everything_afterwards(pair):
    """Redis keeps the answers of a client that does not read, and goes on reading what it says."""
    commands = b"".join(c("ECHO", b"%d:" % number + bytes(1 << 16)) for number in range(200))
    expected = b"+OK\r\n" + commands.replace(b"*2\r\n$4\r\nECHO\r\n", b"")
    with pair.through() as sock:
        sock.sendall(c("AUTH", "app", "x") + commands)
        sock.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: sock.recv(1 << 20), b""))
    assert answers == expected


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_client_that_reads_slowly_gets_every_type_whole(pair, piece):
    said = c("HELLO", 3) + b"".join(
        c("DEBUG", "PROTOCOL", name) for name in ("map", "attrib", "push", "set", "bignum")
    )
    with pair.through() as sock:
        sock.sendall(c("AUTH", "app", "x") + c("CLIENT", "ID") + said)
        sock.shutdown(socket.SHUT_WR)
        through = b"".join(iter(lambda: sock.recv(piece), b""))
    assert through.split(b"$7\r\nmodules")[1] == pair.answered(said)[0].split(b"$7\r\nmodules")[1]


_KEYS = st.sampled_from(["a", "b", "c"])
_COMMANDS = st.one_of(
    st.builds(lambda key, value: c("SET", key, value), _KEYS, st.binary(max_size=40)),
    st.builds(c, st.sampled_from(["GET", "INCR", "LPOP", "WATCH", "DEL"]), _KEYS),
    st.builds(lambda key, size: c("SET", key, "x" * size), _KEYS, st.sampled_from([511, 16_384, 70_000])),
    st.builds(lambda key: c("LPUSH", key, "x", "y"), _KEYS),
    st.builds(lambda key: c("BLPOP", key, "0.01"), _KEYS),
    st.builds(lambda number: c("SELECT", number), st.integers(0, 3)),
    st.builds(lambda number: c("HELLO", number), st.integers(2, 4)),
    st.builds(lambda how: c("CLIENT", "REPLY", how), st.sampled_from(["ON", "OFF", "SKIP"])),
    st.sampled_from(
        [
            LOGIN, c("AUTH", "legacy", "legacy-password"), c("AUTH", "legacy", "wrong"), c("AUTH"), c("ACL", "WHOAMI"),
            c("HELLO", 3, "AUTH", "legacy", "legacy-password"), c("RESET"), c("MULTI"), c("EXEC"), c("DISCARD"),
            c("SUBSCRIBE", "a"), c("UNSUBSCRIBE"), c("PUBLISH", "a", "x"), c("NOSUCH", "x"), c("PING"), c("HELLO"),
            b"PING\r\n", b"auth legacy legacy-password\r\n", b'ECHO "a\\x41"\r\n', b"\r\n", b"*0\r\n", b"*-1\r\n",
        ]
    ),
)  # fmt: skip


# The same ones each time, and none that is hung up on while it speaks: how much of the answer arrives then is chance.
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    commands=st.lists(_COMMANDS, max_size=25),
    pieces=st.one_of(st.integers(1, 64), st.just(1 << 20)),
)
@pytest.mark.parametrize("mode", MODES)
def test_any_stream_of_commands(pairs, mode, commands, pieces):
    small = sum(len(command) for command in commands if command is not LOGIN) < 5000
    direct, through = pairs[mode].answers([LOGIN, *commands, *HOME], pieces if small else 1 << 16)
    assert through == direct


def test_there_are_enough_of_them():
    assert len(BEFORE_LOGIN) * 2 + len(AFTER_LOGIN) > 200
