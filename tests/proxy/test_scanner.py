"""The scanner lets everything through untouched, in order, and stops at every AUTH and HELLO."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.resp import encode
from proxy.scanner import _NOTED, _OPENING, _PLAIN, CommandScanner
from tests.proxy.scripts import ways_to_cut

GET = encode((b"GET", b"k"))
SET = encode((b"SET", b"AUTH", b"*1\r\n$4\r\nAUTH\r\n" * 20))
AUTH = encode((b"AUTH", b"app", b"x"))
HELLO = encode((b"hello", b"3", b"AUTH", b"app", b"x"))
LONG = encode((b"A-VERY-LONG-COMMAND-NAME", b"x"))
INLINE = b'get "a b"\r\n'


def scan(pieces):
    """What passes and what it stops at, in order, until it refuses to go on."""
    scanner = CommandScanner()
    passed, found = b"", []

    def logins():
        nonlocal passed
        while scanner.found is not None and scanner.refusal is None:
            found.append((len(passed), scanner.take()))
            passed += scanner.feed(b"")

    for piece in pieces:
        passed += scanner.feed(piece)
        logins()
        if scanner.refusal is not None:
            break
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


@pytest.mark.parametrize(
    "login",
    [
        encode((b"AUTH", b"app", b"x" * 100_000)),
        encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"SETNAME", b"x" * 100_000)),
        encode((b"HELLO", b"3", b"AUTH", b"app", b"x", *(b"SETNAME", b"a") * 40)),
    ],
)
def test_a_login_too_large_to_hold_passes_nowhere(login):
    """One that passed unseen could be a login as anybody."""
    for pieces in ([GET + login[:70_000], login[70_000:] + GET], *ways_to_cut(GET + login + GET)):
        passed, found, scanner = scan(pieces)
        if len(pieces) > 1 or scanner.refusal:  # in one piece, it does not have to be held
            assert (passed, found) == (GET, [])
            assert scanner.refusal.reason == "login_too_big"
            assert scanner.at_boundary


@pytest.mark.parametrize("name", [b"AUTH\0", b"script\0" + b"x" * 1000, b"Quit\0AUTH"])
@pytest.mark.parametrize(
    "say", [encode, lambda args: b'"' + args[0].replace(b"\0", b"\\x00") + b'" debug yes\r\n']
)
def test_a_name_that_redis_may_take_for_another_passes_nowhere(name, say):
    """Redis finds a command's name by a hash of all of it, and then compares up to the first NUL only."""
    for pieces in ways_to_cut(GET + say((name, b"debug", b"yes")) + AUTH):
        passed, found, scanner = scan(pieces)
        assert (passed, found, scanner.refusal.reason) == (GET, [], "nul_in_name")


@pytest.mark.parametrize("size", [65_537, 536_870_913])
def test_what_is_announced_as_too_large_is_not_waited_for(size):
    announced = b"$%d\r\n" % size
    for login in (b"*3\r\n$4\r\nAUTH\r\n$1\r\na\r\n", b"*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"):
        passed, found, scanner = scan([GET + login + announced])
        assert (passed, found, scanner.refusal.reason) == (GET, [], "login_too_big")
    for other in (
        b"*3\r\n$6\r\nCLIENT\r\n",
        b"*2\r\n$4\r\nQUIT\r\n",
        b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n",
    ):
        said = other + announced + b"x" * 40
        passed, _, scanner = scan([said])
        assert (passed, scanner.refusal, scanner.lost) == (said, None, False)


def test_other_names_with_a_nul_are_only_unknown():
    data = encode((b"GET\0", b"k")) + encode((b"A-LONG-NAME-WITH-\0",)) + AUTH
    for pieces in ways_to_cut(data):
        assert [raw for _, raw in scan(pieces)[1]] == [AUTH]


def test_an_inline_command_without_end_passes_nowhere():
    """Whether Redis refuses one of a little more than 64 KiB is chance."""
    line = b"ECHO " + b"x" * 65_600
    passed, found, scanner = scan([GET, line, b"\r\n" + AUTH])
    assert (passed, found, scanner.lost) == (GET, [], False)
    assert scanner.refusal.reply == b"-ERR Protocol error: too big inline request\r\n"


@pytest.mark.parametrize(
    "broken",
    [
        b"*x\r\n", b"*1\r\n:4\r\n", b"*1\r\n$-1\r\n", b'"\r\n', b"*+1\r\n", b"*1_0\r\n", b"* 1\r\n", b"*01\r\n", b"*-0\r\n",
        b"*2147483648\r\n", b"*2\r\n$3\r\nGET\r\n:1\r\n", b"*2\r\n$3\r\nGET\r\n$+1\r\n", b"*2\r\n$3\r\nGET\r\n$1_0\r\n",
        b"*2\r\n$3\r\nGET\r\n$\r\n", b"*2\r\n$3\r\nGET\r\n$ 1\r\n", b"*1\r\n$03\r\n", b"*1\r\n$9223372036854775808\r\n",
    ],
)  # fmt: skip
def test_what_is_not_resp_passes_for_the_database_to_refuse(broken):
    for pieces in ways_to_cut(GET + broken + AUTH):
        passed, _, scanner = scan(pieces)
        assert scanner.lost
        assert passed == GET + broken + AUTH
        assert not scanner.at_boundary


@pytest.mark.parametrize(
    "script",
    [
        b"script debug yes\r\n", encode((b"SCRIPT", b"DEBUG", b"sync")), encode((b"SCRIPT", b"debug\0x", b"YES")),
        encode((b"SCRIPT", b"debug", b"YES\0" + b"x" * 70_000)),
    ],
)  # fmt: skip
def test_the_debugger_of_scripts_is_left_alone_with_what_it_reads(script):
    for pieces in ways_to_cut(GET + script + AUTH):
        passed, found, scanner = scan(pieces)
        assert (passed, found) == (GET + script + AUTH, [])
        assert scanner.lost
    for other in (
        b"script load 'return 1'\n",
        b"script debug no\n",
        b"script debug yes now\n",
        b"script debug yess\n",
    ):
        assert [raw for _, raw in scan([other + AUTH])[1]] == [AUTH]


def test_a_name_of_nothing_is_a_name_known_or_not():
    scanner = CommandScanner()
    for _ in range(2):
        scanner.feed(encode((b"GET", b"k")))
        scanner.feed(encode((b"", b"")))
        assert scanner.last_name == b""


@pytest.mark.parametrize("name", sorted(_NOTED))
@pytest.mark.parametrize("spelt", [bytes.upper, bytes.lower, bytes.title])
def test_what_is_noted_is_never_passed_over(name, spelt):
    for count in range(5):
        args = (spelt(name), *(b"x",) * count)
        assert _PLAIN.findall(encode(args)) == [b""]
        assert _OPENING.match(encode((*args, b"x" * 100))) is None
        nearly = encode((spelt(name)[:-1], *args[1:]))
        assert _PLAIN.findall(nearly) == [nearly]


@pytest.mark.parametrize("name", [b"GET", b"get", b"json.get", b"a\r\nb", b"\xff", b"x" * 16])
def test_the_name_of_the_latest_command_is_known(name):
    scanner = CommandScanner()
    for args in ((name,), (name, b"k"), (name, b"x" * 100), (name, *[b"k"] * 6)):
        scanner.feed(encode((b"ECHO", b"x")) + encode(args) + b"*2\r\n")
        assert scanner.last_name == name
        scanner.feed(b"$4\r\nECHO\r\n$1\r\nx\r\n")
        assert scanner.last_name == b"ECHO"


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
