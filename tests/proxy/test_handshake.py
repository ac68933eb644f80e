"""Dialogues of new clients, each told whole, byte by byte, and with a tail."""

import pytest

from proxy.handshake import Begin, Close, Handshake, Reply, read_login
from proxy.resp import encode

TAIL = encode((b"GET", b"k")) + b"*2\r\n$3\r\nGE"


def converse(data, *, database="orders", db_user=None, step=10_000):
    """What the handshake does with this, as a list; it stops where the client is let in or sent away."""
    handshake = Handshake(database, db_user)
    done = []
    for at in range(0, len(data), step):
        handshake.receive(data[at : at + step])
        while (action := handshake.next()) is not None:
            done.append(action)
            if not isinstance(action, Reply):
                return done
    return done


LETS_IN = [
    # what the client says first, whom it becomes, whether that is a login
    (encode((b"AUTH", b"app", b"x")), "app", True),
    (b"AUTH app x\r\n", "app", True),
    (b"auth 'app' \"x y\"\r\n", "app", True),
    (encode((b"AUTH", b"legacy@x", b"x")), "legacy@x", True),
    (encode((b"HELLO", b"3", b"AUTH", b"app", b"x")), "app", True),
    (encode((b"HELLO", b"2", b"SETNAME", b"me", b"AUTH", b"app", b"x")), "app", True),
    (encode((b"hello", b"3", b"auth", b"app", b"x", b"setname", b"me")), "app", True),
    (encode((b"AUTH", b"x")), "default", False),
    (encode((b"AUTH", b"a", b"b", b"c")), "default", False),
    (encode((b"HELLO", b"3")), "default", False),
    (encode((b"HELLO",)), "default", False),
    (encode((b"HELLO", b"4", b"AUTH", b"app", b"x")), "default", False),
    (encode((b"HELLO", b"3", b"AUTH", b"app")), "default", False),
    (encode((b"HELLO", b"3", b"WHAT")), "default", False),
    (b"PING\r\n", "default", False),
    (encode((b"QUIT",)), "default", False),
    (encode((b"RESET",)), "default", False),
    (b"*1\r\n:4\r\n", "default", False),
    (b"*x\r\n", "default", False),
]


@pytest.mark.parametrize(("first", "user", "is_login"), LETS_IN)
@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("noise", [b"", b"\r\n*0\r\n"])
def test_the_first_command_says_who_the_client_is(first, user, is_login, step, noise):
    [begin] = converse(noise + first, step=step)
    assert isinstance(begin, Begin)
    assert (begin.database, begin.user, begin.login is not None) == ("orders", user, is_login)


@pytest.mark.parametrize(("first", "user", "is_login"), LETS_IN)
def test_what_comes_behind_the_first_command_is_kept(first, user, is_login):
    [begin] = converse(first + TAIL)
    assert begin.raw == first + TAIL
    if is_login:
        assert begin.rest == TAIL


def test_a_large_first_command_is_not_waited_for():
    [begin] = converse(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\nabc")
    assert begin.login is None


def test_a_listener_names_the_user_of_clients_that_name_none():
    [begin] = converse(b"PING\r\n", db_user="app")
    assert begin.user == "app"
    [begin] = converse(b"AUTH legacy x\r\n", db_user="app")
    assert begin.user == "legacy"


@pytest.mark.parametrize("database", ["orders", None])
@pytest.mark.parametrize("first", [b"POST / HTTP/1.1\r\nHost: a\r\n", b"host: a\r\n", encode((b"post",))])
def test_a_browsers_request_ends_the_connection_without_a_word(database, first):
    [close] = converse(first, database=database)
    assert close == Close(b"", "cross_protocol")


@pytest.mark.parametrize("step", [1000, 100_000])
def test_a_client_may_hold_64_kib_before_it_is_let_in(step):
    [close] = converse(encode((b"AUTH", b"a" * 16_000, *(b"x" * 16_000,) * 8)), step=step)
    assert isinstance(close, Close)
    assert close.reason == "handshake_too_big"


ANSWERS = [
    (b"PING\r\n", b"-NOAUTH valkeeper: "),
    (b"AUTH\r\n", b"-ERR wrong number of arguments for 'auth' command\r\n"),
    (b"AUTH x\r\n", b"-NOAUTH valkeeper: "),
    (b"AUTH app x\r\n", b"-NOAUTH valkeeper: "),
    (b"AUTH app@ x\r\n", b"-NOAUTH valkeeper: "),
    (b"AUTH a b c\r\n", b"-ERR syntax error\r\n"),
    (b"RESET\r\n", b"+RESET\r\n"),
    (b"HELLO\r\n", b"-NOAUTH HELLO must be called with the client already authenticated"),
    (b"HELLO 3\r\n", b"-NOAUTH HELLO must be called with the client already authenticated"),
    (b"HELLO x\r\n", b"-ERR Protocol version is not an integer or out of range\r\n"),
    (b"HELLO 4 AUTH app@orders x\r\n", b"-NOPROTO unsupported protocol version\r\n"),
    (b"HELLO 3 WHAT\r\n", b"-ERR Syntax error in HELLO option 'WHAT'\r\n"),
    (b"HELLO 3 AUTH app\r\n", b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
]


@pytest.mark.parametrize(("first", "answer"), ANSWERS)
@pytest.mark.parametrize("step", [1, 10_000])
def test_a_listener_for_all_answers_as_redis_does_until_a_database_is_named(first, answer, step):
    reply, begin = converse(first + b"AUTH app@orders x\r\n" + TAIL, database=None, step=step)
    assert reply.data.startswith(answer)
    assert (begin.database, begin.user) == ("orders", "app")
    assert begin.rest == (TAIL if step > 1 else b"")


def test_a_login_may_name_the_database_alone():
    [begin] = converse(b"AUTH @orders x\r\n", database=None)
    assert (begin.database, begin.user) == ("orders", "default")
    [begin] = converse(b"AUTH @orders x\r\n", database=None, db_user="app")
    assert begin.user == "app"


def test_a_listener_for_all_lets_clients_leave_and_refuses_what_is_not_resp():
    assert converse(b"QUIT\r\n", database=None) == [Close(b"+OK\r\n", "quit")]
    assert converse(b"*x\r\n", database=None) == [
        Close(b"-ERR Protocol error: invalid multibulk length\r\n", "protocol_error")
    ]


def test_a_login_is_repeated_with_another_password_and_keeps_everything_else():
    login = read_login((b"HELLO", b"3", b"SETNAME", b"me", b"AUTH", b"app@orders", b"x"))
    assert login.command("app", "secret") == encode(
        (b"HELLO", b"3", b"SETNAME", b"me", b"AUTH", b"app", b"secret")
    )
    assert login.command("app") == encode((b"HELLO", b"3", b"SETNAME", b"me", b"AUTH", b"app", b"x"))


def test_a_clients_password_is_not_printed():
    assert "hunter2" not in repr(converse(b"AUTH app hunter2\r\nGET hunter2\r\n"))
