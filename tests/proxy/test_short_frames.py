"""What the regular expressions find is what the parser finds, to the byte."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import short_frames
from proxy.resp import encode, parse

NAME = short_frames.bulk(range(1, 17))
RUN = short_frames.run(short_frames.command(NAME))
OPENING = re.compile(short_frames.opening(NAME), re.DOTALL)

ARGS = st.lists(
    st.one_of(st.binary(max_size=20), st.binary(min_size=90, max_size=110)), min_size=1, max_size=7
)
LINES = st.sampled_from(
    [b"*", b"$", b"\r\n", b"0", b"1", b"2", b"3", b"10", b"99", b"100", b"GET", b"x" * 99]
)

SHORT = st.tuples(st.binary(min_size=1, max_size=16), st.lists(st.binary(max_size=99), max_size=4)).map(
    lambda both: [both[0], *both[1]]
)


def is_short(args):
    name, *others = args
    return 1 <= len(name) <= 16 and len(others) <= 4 and all(len(arg) <= 99 for arg in others)


@given(st.lists(SHORT, min_size=1), st.binary())
def test_a_whole_pipeline_is_found_and_nothing_behind_it(commands, rest):
    encoded = [encode(args) for args in commands]
    found = RUN.findall(b"".join(encoded) + b"\r" + rest)
    assert found == [*encoded, b""]
    assert RUN.findall(b"".join(encoded)) == encoded


@given(ARGS)
def test_whatever_is_not_short_is_left(args):
    data = encode(args)
    assert RUN.findall(data) == ([data] if is_short(args) else [b""])


@given(st.lists(st.one_of(LINES, ARGS.map(encode)), max_size=30).map(b"".join))
def test_what_is_found_is_what_the_parser_reads(data):
    at = 0
    for frame in RUN.findall(data):
        if frame:
            assert parse(data, at).end == at + len(frame)
            at += len(frame)


@pytest.mark.parametrize("length", range(100))
@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_length_is_taken_at_its_word(length, wrong):
    right = encode((b"ECHO", b"x" * length))
    assert RUN.findall(right) == [right]
    assert RUN.findall(right.replace(b"x\r\n", b"x" * (1 + wrong) + b"\r\n") if length else right[:-1]) == [
        b""
    ]


@pytest.mark.parametrize("length", [100, 16_384, 999_999_999])
@pytest.mark.parametrize("before", [(), (b"k",), (b"k", b"x" * 99)])
def test_a_long_last_argument_is_seen_from_its_length(length, before):
    opening = encode((b"SET", *before)).replace(b"*%d" % (1 + len(before)), b"*%d" % (2 + len(before)))
    opening += b"$%d\r\n" % length
    match = OPENING.match(opening + b"the beginning")
    assert match[1] == b"%d" % length
    assert match.end() == len(opening)


@pytest.mark.parametrize(
    "data",
    [
        b"*2\r\n$3\r\nGET\r\n$99\r\n",
        b"*2\r\n$3\r\nGET\r\n$0100\r\n",
        b"*2\r\n$3\r\nGET\r\n$1000000000\r\n",
        b"*2\r\n$3\r\nGET\r\n$100\r",
        b"*1\r\n$3\r\nGET\r\n$100\r\n",
        b"*3\r\n$3\r\nGET\r\n$100\r\n",
        b"*02\r\n$3\r\nGET\r\n$100\r\n",
        b"*2\r\n$4\r\nGET\r\n$100\r\n",
    ],
)
def test_anything_else_is_no_opening(data):
    assert OPENING.match(data) is None
