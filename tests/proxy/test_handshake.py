"""Conversations with new clients: each is told whole, byte by byte, cut anywhere, and with a tail."""

import pytest

from proxy.handshake import Begin, Close, Handshake, read_login, users_named
from proxy.resp import encode
from tests.proxy.dialogues import c
from tests.proxy.scripts import TAIL, client, ways_to_cut

TOO_MUCH = b"-ERR valkeeper: more than 64 KiB before AUTH\r\n"
NOAUTH = b"-NOAUTH valkeeper: this address serves every database"
HELLO_FIRST = b"-NOAUTH HELLO must be called with the client already authenticated"
ARGUMENT = b"x" * 16_000
BLANK = b" " * 1022 + b"\r\n"

FOR_ONE = {
    "AUTH names the user": client().says(c("AUTH", "app", "x")).begins("app", login=True),
    "AUTH inline": client().says(b"AUTH app x\r\n").begins("app", login=True),
    "AUTH in small letters and quotes": client().says(b"auth 'app' \"x y\"\r\n").begins("app", login=True),
    "AUTH with escapes": client().says(b'AUTH "a\\x70p" x\r\n').begins("app", login=True),
    "AUTH behind empty commands": client().says(b"\r\n*0\r\n*-1\r\n\n").says(c("AUTH", "app", "x")).begins("app", login=True),
    "AUTH with an at sign": client().says(c("AUTH", "legacy@x", "x")).begins("legacy@x", login=True),
    "AUTH with null bytes": client().says(c("AUTH", b"a\0b", b"\0")).begins("a\0b", login=True),
    "AUTH with bytes that are no text": client().says(c("AUTH", b"\xff", "x")).begins("\udcff", login=True),
    "AUTH with a name of nothing": client().says(c("AUTH", "", "x")).begins("", login=True),
    "AUTH in an array of many digits": client().says(b"*3\r\n$4\r\nAUTH\r\n$1\r\na\r\n$01\r\nx\r\n").begins(),
    "AUTH alone": client().says(c("AUTH")).begins(),
    "AUTH with a password alone": client().says(c("AUTH", "x")).begins(),
    "AUTH with too many arguments": client().says(c("AUTH", "a", "b", "c")).begins(),
    "AUTH with more arguments than are taken": client().says(c("AUTH", *"abcdefghij")).begins(),
    "AUTH that is not all there": client().says(b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$1\r\nx"),
    "HELLO": client().says(c("HELLO")).begins(),
    "HELLO 3": client().says(c("HELLO", 3)).begins(),
    "HELLO 3 with AUTH": client().says(c("HELLO", 3, "AUTH", "app", "x")).begins("app", login=True),
    "HELLO 2 with AUTH": client().says(c("HELLO", 2, "AUTH", "app", "x")).begins("app", login=True),
    "HELLO 2 with SETNAME and AUTH": (
        client().says(c("HELLO", 2, "SETNAME", "me", "AUTH", "app", "x")).begins("app", login=True)
    ),
    "hello 3 with auth and setname": (
        client().says(c("hello", 3, "auth", "app", "x", "setname", "me")).begins("app", login=True)
    ),
    "HELLO 3 with SETNAME twice": (
        client().says(c("HELLO", 3, "SETNAME", "a", "AUTH", "app", "x", "SETNAME", "b")).begins("app", login=True)
    ),
    "HELLO 3 with a user called AUTH": client().says(c("HELLO", 3, "AUTH", "AUTH", "AUTH")).begins("AUTH", login=True),
    "HELLO 3 with AUTH, inline": client().says(b"HELLO 3 AUTH app x\n").begins("app", login=True),
    "HELLO 3 with AUTH twice": client().says(c("HELLO", 3, "AUTH", "a", "x", "AUTH", "b", "x")).begins(),
    "HELLO 3 with SETNAME alone": client().says(c("HELLO", 3, "SETNAME", "me")).begins(),
    "HELLO 3 with half an AUTH": client().says(c("HELLO", 3, "AUTH", "app")).begins(),
    "HELLO 3 with AUTH and half a SETNAME": (
        client().says(c("HELLO", 3, "AUTH", "app", "x", "SETNAME")).begins("app", login=True)
    ),
    "HELLO 3 with AUTH and something else": client().says(c("HELLO", 3, "AUTH", "app", "x", "WHAT")).begins("app", login=True),
    "HELLO 3 with something else and AUTH": client().says(c("HELLO", 3, "WHAT", "AUTH", "app", "x")).begins(),
    "HELLO 3 with AUTH and a bad name": (
        client().says(c("HELLO", 3, "AUTH", "app", "x", "SETNAME", "a b")).begins("app", login=True)
    ),
    "HELLO 3 with a bad name and AUTH": client().says(c("HELLO", 3, "SETNAME", "a b", "AUTH", "app", "x")).begins(),
    "HELLO 3 with something else": client().says(c("HELLO", 3, "WHAT")).begins(),
    "HELLO of a version there is not": client().says(c("HELLO", 4, "AUTH", "app", "x")).begins(),
    "HELLO of no version": client().says(c("HELLO", "AUTH", "app", "x")).begins(),
    "PING": client().says(b"PING\r\n").begins(),
    "QUIT": client().says(c("QUIT")).begins(),
    "RESET": client().says(c("RESET")).begins(),
    "a first packet that is a whole pipeline": client().says(c("SET", "k", 1) + c("AUTH", "app", "x") + c("GET", "k")).begins(),
    "a large value is not waited for": client().says(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\nabc").begins(),
    "many arguments are not waited for": client().says(b"*1000000\r\n$5\r\nRPUSH\r\n").begins(),
    "nothing but empty lines": client().says(b"\r\n\n*0\r\n*-1\r\n"),
    "an array in an array": client().says(b"*1\r\n*1\r\n").begins(),
    "an integer for a name": client().says(b"*1\r\n:4\r\n").begins(),
    "an array's length that is no number": client().says(b"*x\r\n").begins(),
    "a count that is too large": client().says(b"*2147483648\r\n").begins(),
    "a name that is too long": client().says(b"*1\r\n$16385\r\n").begins(),
    "quotes that don't balance": client().says(b'AUTH "app x\r\n').begins(),
    "null bytes": client().says(b"\0\0\r\n").says(b"PING\r\n"),
    "TLS": client().says(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n"),
    "an AUTH with a null byte behind its name": client().says(c(b"AUTH\0", "app", "x")).begins(),
    "a listener names the user of who names none": client(db_user="app").says(b"PING\r\n").begins("app"),
    "a listener's user gives way to the one named": client(db_user="app").says(b"AUTH legacy x\r\n").begins("legacy", login=True),
    "an AUTH of more than 64 KiB": client().says(c("AUTH", *(ARGUMENT,) * 8)[:-1]).closes("handshake_too_big", TOO_MUCH),
    "more than 64 KiB of empty lines": client().says(BLANK * 65).closes("handshake_too_big", TOO_MUCH),
}  # fmt: skip

NAMED = c("AUTH", "app@orders", "x")
FOR_ALL = {
    f"{name}, and then a login": (
        client(None).says(first).hears(*answers).says(NAMED).begins("app", login=True)
    )
    for name, first, *answers in [
        ("PING", b"PING\r\n", NOAUTH),
        ("a pipeline", c("SET", "k", 1) + b"\r\n" + c("GET", "k") + b"*0\r\n", NOAUTH, NOAUTH),
        ("empty commands", b"\r\n*0\r\n*-1\r\n"),
        ("AUTH alone", b"AUTH\r\n", b"-ERR wrong number of arguments for 'auth' command\r\n"),
        ("AUTH with a password alone", b"AUTH x\r\n", NOAUTH),
        ("AUTH that names no database", b"AUTH app x\r\n", NOAUTH),
        ("AUTH that names a database of nothing", b"AUTH app@ x\r\n", NOAUTH),
        ("AUTH with too many arguments", b"AUTH a b c\r\n", b"-ERR syntax error\r\n"),
        ("RESET", b"RESET\r\n", b"+RESET\r\n"),
        ("RESET with an argument", b"RESET x\r\n", b"-ERR wrong number of arguments for 'reset' command\r\n"),
        ("HELLO", b"HELLO\r\n", HELLO_FIRST),
        ("HELLO 3", b"HELLO 3\r\n", HELLO_FIRST),
        ("HELLO 3 with SETNAME", c("HELLO", 3, "SETNAME", "me"), HELLO_FIRST),
        ("HELLO of a word", b"HELLO x\r\n", b"-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 03", b"HELLO 03\r\n", b"-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO -3", b"HELLO -3\r\n", b"-NOPROTO unsupported protocol version\r\n"),
        ("HELLO of a version there is not", b"HELLO 4 AUTH app@orders x\r\n", b"-NOPROTO unsupported protocol version\r\n"),
        ("HELLO 3 with something else", b"HELLO 3 WHAT\r\n", b"-ERR Syntax error in HELLO option 'WHAT'\r\n"),
        ("HELLO 3 with half an AUTH", b"HELLO 3 AUTH app\r\n", b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
    ]
} | {
    "a database alone": client(None).says(b"AUTH @orders x\r\n").begins(login=True),
    "a database alone, and a listener's user": (
        client(None, "app").says(b"AUTH @orders x\r\n").begins("app", login=True)
    ),
    "HELLO 3 with AUTH": client(None).says(c("HELLO", 3, "AUTH", "app@orders", "x")).begins("app", login=True),
    "HELLO 2 with a database alone, and a listener's user": (
        client(None, "app").says(b"HELLO 2 SETNAME me AUTH @orders x\r\n").begins("app", login=True)
    ),
    "a user of its own, and a listener's user": (
        client(None, "app").says(b"AUTH legacy@orders x\r\n").begins("legacy", login=True)
    ),
    "QUIT with arguments": client(None).says(b"QUIT now\r\n").closes("quit", b"+OK\r\n"),
    "null bytes": client(None).says(b"PING\0\r\n"),
    "a user with an at sign": client(None).says(c("AUTH", "a@b@carts", "x")).begins("a@b", login=True, database="carts"),
    "QUIT": client(None).says(b"QUIT\r\n").closes("quit", b"+OK\r\n"),
    "PING and QUIT": client(None).says(b"PING\r\n").hears(NOAUTH).says(c("quit")).closes("quit", b"+OK\r\n"),
} | {
    f"an error of framing: {message}": (
        client(None).says(first).closes("protocol_error", b"-ERR Protocol error: " + message + b"\r\n")
    )
    for first, message in [
        (b"*x\r\n", b"invalid multibulk length"),
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n", b"unauthenticated bulk length"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n*1\r\n", b"expected '$', got '*'"),
        (b'AUTH "app\r\n', b"unbalanced quotes in request"),
        (b"a" * 65_537, b"too big inline request"),
        (b"*" + b"1" * 65_537, b"too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 65_537, b"too big bulk count string"),
    ]
} | {
    "an AUTH of more than 64 KiB": client(None).says(c("AUTH", *(ARGUMENT,) * 8)[:-1]).closes("handshake_too_big", TOO_MUCH),
    "more than 64 KiB of empty lines": client(None).says(BLANK * 65).closes("handshake_too_big", TOO_MUCH),
}  # fmt: skip

BROWSERS = {
    f"{name}, to a listener for {database or 'all'}": client(database).says(first).closes("cross_protocol")
    for database in ("orders", None)
    for name, first in [
        ("a POST", b"POST / HTTP/1.1\r\n"),
        ("a Host line", b"Host: a\r\n"),
        ("a command called post", c("post")),
        ("a Host line behind an empty one", b"\r\nhost: a\r\n"),
    ]
}

SCRIPTS = (
    {f"{name} (one)": script for name, script in FOR_ONE.items()}
    | {f"{name} (all)": script for name, script in FOR_ALL.items()}
    | BROWSERS
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_conversation_is_the_same_however_it_is_cut(name):
    script = SCRIPTS[name]
    for pieces in ways_to_cut(script.said):
        script.check(pieces)


@pytest.mark.parametrize("name", [name for name, script in SCRIPTS.items() if script.end[0] != "waits"])
def test_what_comes_behind_it_is_kept_and_changes_nothing(name):
    script = SCRIPTS[name]
    if len(script.said) <= 64 * 1024:  # what is too long without an end would find one in the tail
        script.check_glued(TAIL)
    for pieces in ways_to_cut(script.said):
        script.check(pieces, tail=TAIL)


@pytest.mark.parametrize("name", SCRIPTS)
def test_answers_come_in_turn(name):
    SCRIPTS[name].check_in_turns()


def test_a_client_is_answered_64_kib_of_commands_and_no_more():
    """Answers wait for a client that does not read, so their number is bounded by what it may say."""
    handshake = Handshake(None, None)
    handshake.receive(b"PING\r\n" * 100_000)
    steps = []
    while not steps or not isinstance(steps[-1], Close):
        steps.append(handshake.next())
    assert steps[-1].reason == "handshake_too_big"
    assert sum(len(step.data) for step in steps) < 2 * 1024 * 1024


def test_a_pipeline_of_any_size_may_follow_a_login():
    handshake = Handshake("orders", None)
    pipeline = c("SET", "k", ARGUMENT) * 100
    handshake.receive(c("AUTH", "app", "x") + pipeline)
    assert handshake.next().rest == pipeline


class Counted(bytes):
    """Bytes that count how many of them were copied out."""

    copied = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        if not isinstance(found, bytes):
            return found
        Counted.copied += len(found)
        return Counted(found)


@pytest.mark.parametrize("listener", ["orders", None])
@pytest.mark.parametrize("noise", [b"\n", b"*0\r\n", b"PING\r\n"])
def test_the_rest_of_a_chunk_is_not_copied_for_each_command(listener, noise):
    """A worker must not stand still for seconds because one client has sent a chunk of empty lines."""
    handshake = Handshake(listener, None)
    data = noise * (20 * 1024 // len(noise)) + NAMED
    handshake.receive(data)
    handshake._reader._data = Counted(data)
    Counted.copied = 0
    while not isinstance(handshake.next(), Begin):
        pass
    assert Counted.copied < 5 * len(data)


def test_a_login_is_repeated_with_another_password_and_keeps_everything_else():
    login = read_login((b"HELLO", b"3", b"SETNAME", b"me", b"AUTH", b"app@orders", b"x", b"WHAT"))
    others = (b"HELLO", b"3", b"SETNAME", b"me", b"AUTH")
    assert login.command("app", "secret") == encode((*others, b"app", b"secret", b"WHAT"))
    assert login.command("app") == encode((*others, b"app", b"x", b"WHAT"))


def test_a_clients_password_is_not_printed():
    handshake = Handshake("orders", None)
    handshake.receive(b"AUTH app hunter2\r\nGET hunter2\r\n")
    assert "hunter2" not in repr(handshake.next())


@pytest.mark.parametrize(
    ("says", "database", "user"),
    [
        (b"PING\r\n", "orders", "guest"),
        (c("AUTH", "x"), "orders", "guest"),
        (c("AUTH", "app", "x"), "orders", "app"),
        (c("HELLO", 3, "AUTH", "app", "x"), "orders", "app"),
        (c("AUTH", "app@carts", "x"), "carts", "app"),
        (c("AUTH", "@carts", "x"), "carts", "guest"),
        (c("AUTH", "app@", "x"), "orders", "app@"),
        (c("AUTH", "a@b@carts", "x"), "carts", "a@b"),
    ],
)
def test_who_asked_a_listener_for_all_for_a_database_may_still_name_another(says, database, user):
    handshake = Handshake("orders", "guest", is_for_all=True)
    handshake.receive(says)
    begin = handshake.next()
    assert (begin.database, begin.user) == (database, user)


@pytest.mark.parametrize(
    ("command", "users"),
    [
        ("AUTH x", ["default"]),
        ("AUTH app x", ["app"]),
        ("AUTH app x y", ["app"]),
        ("RESET", ["default"]),
        ("reset now", ["default"]),
        ("HELLO 3", []),
        ("HELLO 3 AUTH a x", ["a"]),
        ("HELLO 3 AUTH a x AUTH b x", ["a", "b"]),
        ("HELLO 3 AUTH a x SETNAME", ["a"]),
        ("HELLO 3 SETNAME AUTH AUTH a x", ["a"]),
        ("HELLO 3 NONSENSE AUTH a x", []),
        ("HELLO 3 AUTH a", []),
        ("QUIT", []),
    ],
)
def test_every_user_that_a_command_might_make_of_a_client(command, users):
    assert list(users_named(tuple(command.encode().split()))) == users
