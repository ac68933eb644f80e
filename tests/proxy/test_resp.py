"""Framing says what Redis 7 says, however the bytes are cut."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.resp import CommandReader, FrameSkipper, encode, parse, reply_end, split_inline
from tests.proxy.scripts import ways_to_cut

COMMANDS = [
    (b"*1\r\n$4\r\nPING\r\n", [(b"PING",)]),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [(b"ECHO", b"")]),
    (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n", [(b"SET", b"k", b"a\r\nb")]),
    (b"PING\r\n", [(b"PING",)]),
    (b"PING\n", [(b"PING",)]),
    (b"set k \"a\\x41\\n b\" 'c\\'d'\r\n", [(b"set", b"k", b"aA\n b", b"c'd")]),
    (b"\r\n", [()]),
    (b"*0\r\n", [()]),
    (b" \t\r\n", [()]),
    (b"a\vb\fc d\n", [(b"a\vb\fc", b"d")]),
    (b'\v\f"a"\vb\n', [(b"a", b"b")]),
    (b"*1\r\n$3\r\na\0b\r\n", [(b"a\0b",)]),
    (b"*1\r\n$4\r\nPINGxxPING\n", [(b"PING",), (b"PING",)]),
    (b"*-1\r\n", [()]),
    (b"*-9223372036854775808\r\n", [()]),
    (b"*1\r\n$4\r\nPING\r\nPING\r\n*0\r\n", [(b"PING",), (b"PING",), ()]),
]


@pytest.mark.parametrize(("data", "expected"), COMMANDS)
@pytest.mark.parametrize("tail", [b"", b"*1\r\n$4\r\nPI"])
def test_commands_come_out_whole_however_they_are_cut(data, expected, tail):
    for pieces in ways_to_cut(data + tail):
        assert read(pieces) == (expected, tail, None)


def read(pieces):
    """The commands that a reader finds, what it holds in the end, and its error."""
    reader = CommandReader(max_args=10, max_bulk=16384)
    found = []
    try:
        for piece in pieces:
            reader.append(piece)
            while (command := reader.next()) is not None:
                assert reader.latest.endswith(reader.rest)
                found.append(command.args)
    except ProtocolError as error:
        return found, None, str(error)
    assert reader.held == len(reader.rest)
    return found, reader.rest, None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1_0\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*-9223372036854775809\r\n", "invalid multibulk length"),
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
        (b"*" + b"1" * 70_000, "too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 70_000, "too big bulk count string"),
        (b"a" * 70_000, "too big inline request"),
        (b"a\0\n" * 30_000, "too big inline request"),
        (b"*1\r\n$\0\r\n" + b"1" * 70_000, "too big bulk count string"),
        (b'set "a\r\n', "unbalanced quotes in request"),
        (b'set "a"b\r\n', "unbalanced quotes in request"),
        (b"set 'a\r\n", "unbalanced quotes in request"),
    ],
)
def test_what_is_no_command_is_refused_in_the_words_of_redis(data, message):
    with pytest.raises(ProtocolError) as raised:
        parse(data, max_args=10, max_bulk=16384)
    assert raised.value.reply == f"-ERR Protocol error: {message}\r\n".encode()
    for pieces in ways_to_cut(b"PING\r\n" + data):
        assert read(pieces) == ([(b"PING",)], None, message)


@pytest.mark.parametrize(
    "data", [b"PING\0\r\n", b"\0\n", b"*1\0\r\n$4\r\nPING\r\n", b"*1\r\n$4\0\r\nPING\r\n"]
)
def test_a_line_with_a_nul_has_no_end(data):
    """Redis looks for the end with C's `strchr`."""
    for pieces in ways_to_cut(data + b"PING\r\n"):
        assert read(pieces) == ([], data + b"PING\r\n", None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", ()),
        (b"  a\tb  ", (b"a", b"b")),
        (b'""', (b"",)),
        (b'"a\\q\\"" x', (b'aq"', b"x")),
        (b'"\\xzz"', (b"xzz",)),
        (b"'\\n'", (b"\\n",)),
        (b'a"b', None),
    ],
)
def test_inline_words_are_split_as_sdssplitargs_does(line, words):
    assert split_inline(line) == words


REPLIES = [
    b"+OK\r\n", b"-ERR x\r\n", b":-1\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$4\r\na\r\nb\r\n", b"*-1\r\n", b"*0\r\n",
    b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", b"%1\r\n+a\r\n:1\r\n", b"~2\r\n+a\r\n+b\r\n", b"_\r\n", b"#t\r\n", b",1.5\r\n",
    b"(123\r\n", b"=5\r\ntxt:a\r\n", b"!3\r\nERR\r\n", b">2\r\n+a\r\n+b\r\n", b"|1\r\n+k\r\n+v\r\n:1\r\n",
]  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_ends_where_it_ends(reply):
    assert [reply_end(reply[:cut]) for cut in range(len(reply))] == [None] * len(reply)
    assert reply_end(reply + b"+more\r\n") == len(reply)
    assert reply_end(b"+OK\r\n" + reply, 5) == len(reply) + 5


def test_of_a_reply_that_does_not_end_only_the_beginning_is_kept():
    skipper = FrameSkipper()
    for _ in range(1000):
        skipper.skip(b">" + b"1" * 1000, 0)
    assert len(skipper._line) < 2000
    with pytest.raises(ProtocolError):
        skipper.skip(b"\r\n", 0)


@pytest.mark.parametrize("reply", [b"hello\r\n", b"$x\r\n", b"*1_0\r\n"])
def test_what_is_no_reply_is_an_error(reply):
    with pytest.raises(ProtocolError):
        reply_end(reply)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_an_encoded_command_reads_back(args):
    data = encode(args)
    reader = hiredis.Reader()
    reader.feed(data)
    assert reader.gets() == args
    command = parse(data)
    assert command is not None
    assert (command.args, command.end) == (tuple(args), len(data))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000])
@pytest.mark.parametrize(
    "frame",
    [
        b"+OK\r\n", b":1\r\n", b"$5\r\nhe\r\no\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"_\r\n", b"#t\r\n", b",1.5\r\n",
        b"(123\r\n", b"!3\r\nERR\r\n", b"=7\r\ntxt:abc\r\n", b">2\r\n+a\r\n$1\r\nb\r\n", b"%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n",
        b"~2\r\n:1\r\n:2\r\n", b"|1\r\n+a\r\n+b\r\n+the reply\r\n", b"$0\r\n\r\n", b"*2\r\n+a\nb\r\n-\n\r\n", b"+" + b"x\r" * 50 + b"\r\n",
    ],
)  # fmt: skip
def test_the_end_of_a_reply_is_found_in_pieces_of_any_size(frame, size):
    assert reply_end(frame) == len(frame)
    data, skipper, at = frame + b"+next\r\n", FrameSkipper(), 0
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        at += skipper.skip(piece, 0)
        if not skipper.inside:
            break
    assert at == len(frame)
