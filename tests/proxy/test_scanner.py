"""The scanner lets everything through untouched, in order, and stops at every AUTH and HELLO."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.resp import encode
from proxy.scanner import CommandScanner
from tests.proxy.scripts import ways_to_cut

GET = encode((b"GET", b"k"))
SET = encode((b"SET", b"AUTH", b"*1\r\n$4\r\nAUTH\r\n" * 20))
AUTH = encode((b"AUTH", b"app", b"x"))
HELLO = encode((b"hello", b"3", b"AUTH", b"app", b"x"))
LONG = encode((b"A-VERY-LONG-COMMAND-NAME", b"x"))
INLINE = b'get "a b"\r\n'


def scan(pieces):
    """What passes and what it stops at, in order."""
    scanner = CommandScanner()
    passed, found = b"", []

    def logins():
        nonlocal passed
        while scanner.found is not None:
            found.append((len(passed), scanner.take()))
            passed += scanner.feed(b"")

    for piece in pieces:
        passed += scanner.feed(piece)
        logins()
    return passed, found, scanner


def test_it_stops_at_logins_and_nowhere_else():
    data = GET + AUTH + SET + LONG + b"auth app x\r\n" + INLINE + HELLO + b"\r\n*0\r\n" + AUTH + AUTH + GET
    for pieces in ways_to_cut(data):
        passed, found, scanner = scan(pieces)
        assert passed == GET + SET + LONG + INLINE + b"\r\n*0\r\n" + GET
        assert [raw for _, raw in found] == [AUTH, b"auth app x\r\n", HELLO, AUTH, AUTH]
        assert found[0][0] == len(GET)
        assert scanner.at_boundary
        assert scanner.held == 0


def test_a_whole_chunk_passes_without_a_copy():
    data = GET * 100
    assert CommandScanner().feed(data) is data


def test_a_large_value_passes_as_it_comes():
    scanner = CommandScanner()
    head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n"
    assert scanner.feed(head) == head
    block = b"*1\r\n$4\r\nAUTH\r\n" * 10_000
    assert scanner.feed(block) is block
    assert scanner.held == 0
    assert not scanner.at_boundary


def test_the_head_of_a_command_is_held_until_its_name_is_known():
    scanner = CommandScanner()
    assert scanner.feed(GET + b"*3\r\n$4\r\nAU") == GET
    assert scanner.at_boundary
    assert scanner.feed(b"TO\r\n") == b"*3\r\n$4\r\nAUTO\r\n"
    assert not scanner.at_boundary


@pytest.mark.parametrize("quit_command", [b"quit\r\n", encode((b"Quit",)), encode((b"QUIT", b"now"))])
def test_it_stops_at_a_quit_as_well(quit_command):
    for pieces in ways_to_cut(GET + quit_command):
        passed, found, scanner = scan(pieces)
        assert passed == GET
        assert [raw for _, raw in found] == [quit_command]
        assert scanner.mode.has_quit
    assert not scan([GET])[2].mode.has_quit


def test_an_auth_too_large_to_hold_passes():
    auth = encode((b"AUTH", b"app", b"x" * 100_000))
    for pieces in ways_to_cut(auth + GET + AUTH):
        passed, found, _ = scan(pieces)
        if len(pieces) > 1:  # in one piece, it does not have to be held
            assert passed == auth + GET
            assert [raw for _, raw in found] == [AUTH]


@pytest.mark.parametrize(
    "broken", [b"*x\r\n", b"*1\r\n:4\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$4\r\nGETX\r\n$", b'"\r\n']
)
def test_what_is_not_resp_passes_for_the_database_to_refuse(broken):
    for pieces in ways_to_cut(GET + broken + AUTH):
        passed, _, scanner = scan(pieces)
        assert passed.startswith(GET)
        if scanner.lost:
            assert passed == GET + broken + AUTH
            assert not scanner.at_boundary


@pytest.mark.parametrize("script", [b"script debug yes\r\n", encode((b"SCRIPT", b"DEBUG", b"sync"))])
def test_the_debugger_of_scripts_is_left_alone_with_what_it_reads(script):
    for pieces in ways_to_cut(GET + script + AUTH):
        passed, found, scanner = scan(pieces)
        assert (passed, found) == (GET + script + AUTH, [])
        assert scanner.lost
    load = encode((b"SCRIPT", b"LOAD", b"return 1"))
    assert [raw for _, raw in scan([load + AUTH])[1]] == [AUTH]


COMMAND = st.one_of(
    st.lists(st.binary(max_size=30), min_size=1, max_size=4).map(encode),
    st.sampled_from([AUTH, HELLO, GET, INLINE, b"\r\n", b"*0\r\n", b"Auth app x\r\n", LONG]),
)


@settings(derandomize=True, deadline=None)
@given(st.lists(COMMAND, max_size=4).map(b"".join))
def test_cuts_change_nothing(data):
    whole = scan([data])[:2]
    for pieces in ways_to_cut(data):
        assert scan(pieces)[:2] == whole
    passed, found = whole
    assert len(passed) + sum(len(raw) for _, raw in found) == len(data)
