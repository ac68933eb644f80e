"""The logins in what a client sends: found wherever they are, and nothing else touched."""

import pytest

from deploy.sandbox.auth_stream import AuthStream

IN = "inner-password"


def judge(user, password):
    """Knows one user and her token."""
    return IN.encode() if (user, password) == (b"ann", b"token") else password


def command(*words):
    """A command as clients send it."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


DIALOGUES = {
    "AUTH": (command("AUTH", "ann", "token"), command("AUTH", "ann", IN)),
    "any case": (command("aUtH", "ann", "token"), command("aUtH", "ann", IN)),
    "HELLO": (command("HELLO", 3, "AUTH", "ann", "token"), command("HELLO", 3, "AUTH", "ann", IN)),
    "HELLO with a name": (
        command("hello", 3, "SETNAME", "auth", "auth", "ann", "token"),
        command("hello", 3, "SETNAME", "auth", "auth", "ann", IN),
    ),
    "inline": (b"AUTH ann token\r\n", command("AUTH", "ann", IN)),
    "inline, quoted": (b"auth  \"\\x61nn\" 'token'\n", command("auth", "ann", IN)),
    "late, in a pipeline": (
        command("SET", "k", "*3\r\n$4\r\nAUTH\r\n") + command("AUTH", "ann", "token") + command("GET", "k"),
        command("SET", "k", "*3\r\n$4\r\nAUTH\r\n") + command("AUTH", "ann", IN) + command("GET", "k"),
    ),
    "between inline commands": (
        b"PING\r\n\r\nAUTH ann token\nPING\n",
        b"PING\r\n\r\n" + command("AUTH", "ann", IN) + b"PING\n",
    ),
}

UNTOUCHED = {
    "somebody else": command("AUTH", "bob", "token"),
    "a wrong token": command("AUTH", "ann", "guess"),
    "the default user": command("AUTH", "token"),
    "HELLO without a login": command("HELLO", 3, "SETNAME", "ann"),
    "HELLO that is cut short": command("HELLO", 3, "AUTH", "ann"),
    "four and five letters": command("KEYS", "ann", "token") + command("LPUSH", "ann", "token"),
    "arguments": command("ECHO", "AUTH") + command("LPUSH", "AUTH", "ann", "token"),
    "an empty command": b"*0\r\n*-1\r\n" + command("PING"),
    "inline, in quotes that do not close": b'AUTH ann "token\r\nPING\r\n',
    "inline, with a tail on a quote": b'AUTH ann "token"x\r\n',
    "a huge login": command("AUTH", "ann", "t" * 100_000),
    "a login of many words": command("HELLO", 3, *["AUTH", "ann", "token"] * 4),
    "a big value": command("SET", "key", bytes(range(256)) * 4096),
    "no number": b"*x\r\n" + command("AUTH", "ann", "token"),
    "no element": b"*3\r\n+AUTH\r\n" + command("AUTH", "ann", "token"),
    "a number without end": b"*" + b"1" * 100 + command("AUTH", "ann", "token"),
    "a negative length": b"*1\r\n$-1\r\n" + command("AUTH", "ann", "token"),
    "a line without end": b"x" * 70_000 + b"\r\n" + command("AUTH", "ann", "token"),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(("sent", "passed"), DIALOGUES.values(), ids=DIALOGUES.keys())
def test_a_login_is_decided_on_however_it_is_cut(sent, passed, size):
    stream = AuthStream(judge)
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert b"".join(stream.feed(piece) for piece in pieces) == passed


@pytest.mark.parametrize("size", [997, 1 << 20])
@pytest.mark.parametrize("sent", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_everything_else_passes_untouched(sent, size):
    stream = AuthStream(judge)
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert b"".join(stream.feed(piece) for piece in pieces) == sent


def test_what_is_no_login_is_not_held():
    stream = AuthStream(judge)
    value = command("SET", "key", "v" * 1000)
    assert stream.feed(value[:40]) == value[:40]
    assert stream.feed(value[40:]) == value[40:]
    assert stream.feed(command("AUTH", "ann", "token")[:-1]) == b""
    assert stream.feed(b"\n") == command("AUTH", "ann", IN)


def test_a_login_that_never_ends_is_held_only_for_so_long():
    stream = AuthStream(judge)
    start = b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n"
    assert stream.feed(start) == b""
    assert stream.feed(b"$65536\r\n") == start + b"$65536\r\n"
    assert stream.feed(b"t" * 65536 + b"\r\n") == b"t" * 65536 + b"\r\n"
    assert stream.feed(command("AUTH", "ann", "token")) == command("AUTH", "ann", IN)
