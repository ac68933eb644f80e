"""Only whole commands go on a shared connection, written as every library writes them, and known to need no own one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.resp import encode
from proxy.shared.commands import CommandTable
from proxy.shared.reading import LARGE, read

TABLE = CommandTable({b"GET": "", b"SET": "", b"MULTI": "transaction", b"OBJECT": {b"FREQ": ""}})
GET, SET, MULTI = encode((b"GET", b"k")), encode((b"set", b"k", b"\r\n$3\r\n")), encode((b"MULTI",))


def test_whole_commands_up_to_one_that_needs_an_own_connection():
    assert read(GET + SET, TABLE, 100) == (len(GET + SET), 2, "")
    assert read(GET + MULTI + SET, TABLE, 100) == (len(GET), 1, "transaction")
    assert read(GET * 10, TABLE, 3) == (len(GET) * 3, 3, "")
    assert read(encode((b"Object", b"freq", b"k")), TABLE, 1).commands == 1
    assert read(encode((b"OBJECT", b"HELP")), TABLE, 1).reason == "unknown"
    assert read(encode((b"OBJECT",)), TABLE, 1).commands == 1  # its error is the same on any connection


@pytest.mark.parametrize("cut", range(1, len(SET)))
def test_the_beginning_of_a_command_waits_for_its_end(cut):
    assert read(GET + SET[:cut], TABLE, 100) == (len(GET), 1, "")
    assert read(GET + SET, TABLE, 100).commands == 2, "and leaves nothing behind"


@pytest.mark.parametrize(
    ("unusual", "reason"),
    [
        (b"GET k\r\n", "unusual"),
        (b"\r\n", "unusual"),
        (b"*0\r\n", "unusual"),
        (b"*-1\r\n", "unusual"),
        (b"*1\r\n+GET\r\n", "unusual"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "unusual"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "unusual"),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\nk\r\n", "unusual"),
        (b"*2\r\n$3\r\nGETxx$1\r\nk\r\n", "unusual"),
        (b"*02\r\n$3\r\nGET\r\n$1\r\nk\r\n", "unusual"),
        (b"*2\r\n$03\r\nGET\r\n$1\r\nk\r\n", "unusual"),
        (b"*+2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "unusual"),
        (b"#f\r\n", "unusual"),
        (b"#t\r\n", "unusual"),
        (b"_\r\n", "unusual"),
        (b",1.5\r\n", "unusual"),
        (b"%1\r\n$3\r\nGET\r\n$1\r\nk\r\n", "unusual"),
        (b"~1\r\n$3\r\nGET\r\n", "unusual"),
        (b">1\r\n$3\r\nGET\r\n", "unusual"),
        (b"-ERR\r\n", "unusual"),
        (b"$3\r\nGET\r\n", "unusual"),
        (b"*2147483648\r\n", "unusual"),
        (b"*1\r\n$x\r\n", "unusual"),
        (b"*2\r\n$3\r\nSET\r\n$100000\r\nabc", "large_request"),
        (b"*20000\r\n$3\r\nSET\r\n", "large_request"),
    ],
)
def test_whatever_is_written_otherwise_or_large_does_not_go(unusual, reason):
    assert read(GET + unusual, TABLE, 100) == (len(GET), 1, reason)
    assert read(GET, TABLE, 100) == (len(GET), 1, "")


def test_a_value_that_is_just_not_large_is_waited_for():
    command = encode((b"SET", b"k", b"x" * LARGE))
    assert read(command[:-10], TABLE, 100).reason == ""
    assert read(command, TABLE, 100).commands == 1


def test_what_is_remembered_of_commands_is_bounded():
    table = CommandTable({b"SET": ""})
    for number in range(1, 200):
        for name in (b"SET", b"set", b"Set", b"sEt", b"seT", b"SEt"):
            assert read(encode((name, *[b"x"] * number)) * 2, table, 5).commands == 2
    assert len(table.heads) < 20


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.binary(max_size=30))
def test_what_goes_is_exactly_one_command_whatever_follows(args, behind):
    table = CommandTable({args[0].upper(): "", args[0]: ""})
    command = encode(args)
    found = read(command + behind, table, 1)
    assert (found.end, found.commands) == (len(command), 1)
