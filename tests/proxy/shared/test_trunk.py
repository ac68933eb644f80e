"""A trunk deals replies out by the order of the commands, however they are cut and whoever has gone."""

import asyncio
import ssl
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.shared.reading import LARGE
from proxy.shared.trunk import Trunk
from tests.proxy.shared.crowd import settled


class Undecrypted:
    """The TLS of a lost connection, with something that nobody has read."""

    def __init__(self, data):
        self._data = data

    def read(self, _most):
        if not self._data:
            raise ssl.SSLWantReadError
        data, self._data = self._data, b""
        return data


class Wire:
    """A transport that keeps what is written; `rest` is what it drops when it is lost."""

    def __init__(self, rest=b""):
        self._extra = {"ssl_object": Undecrypted(rest)}
        self.written = b""
        self.writes = 0
        self.reading = True
        self.closed = False

    def get_extra_info(self, name):
        return self._extra.get(name)

    def set_protocol(self, protocol):
        pass

    def set_write_buffer_limits(self, high):
        pass

    def write(self, data):
        self.written += data
        self.writes += 1

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


@dataclass(eq=False)
class Recorder:
    """A rider that keeps what it is handed."""

    got: bytes = b""
    replies: int = 0
    failed: int = 0
    inside: bool = False
    kept: int = 0
    was_cut: bool = False
    went_on: int = 0
    parts: list = field(default_factory=list)

    def deliver(self, replies, count):
        self.got += replies
        self.replies += count

    def deliver_part(self, data, *, last):
        self.got += data
        self.replies += last
        self.parts.append(len(data))

    def lost(self, count, *, inside):
        self.failed += count
        self.inside = inside

    def unread(self):
        return self.kept

    def abort(self):
        self.was_cut = True

    def go_on(self):
        self.went_on += 1


def trunk(wire, losses=None):
    return Trunk(
        wire,
        made=None,
        since=0.0,
        on_lost=lambda _, count: (losses if losses is not None else []).append(count),
    )


def bulk(payload):
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


REPLY = st.recursive(
    st.one_of(
        st.sampled_from(
            [
                b"+OK\r\n",
                b":12\r\n",
                b"-ERR no\r\n",
                b"$-1\r\n",
                b"*-1\r\n",
                b"$0\r\n\r\n",
                b"*0\r\n",
                b"_\r\n",
            ]
        ),
        st.binary(max_size=40).map(bulk),
        st.integers(LARGE - 2, LARGE + 2).map(lambda size: bulk(b"x" * size)),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: b"*%d\r\n%b" % (len(parts), b"".join(parts))),
    max_leaves=4,
)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    replies=st.lists(st.tuples(st.integers(0, 3), REPLY), max_size=12),
    sizes=st.lists(st.sampled_from([1, 2, 3, 10, 100, 5000, 70_000, 1 << 20]), min_size=1, max_size=6),
)
def test_each_gets_its_own_in_order_however_they_arrive(replies, sizes):
    async def deal():
        riders = [Recorder() for _ in range(4)]
        one = trunk(Wire())
        for whose, _ in replies:
            one.send(riders[whose], b"x", 1)
        data, at, turn = b"".join(reply for _, reply in replies), 0, 0
        while at < len(data):
            size = max(sizes[turn % len(sizes)], len(data) // 500)
            one.data_received(data[at : at + size])
            at, turn = at + size, turn + 1
        assert one.outstanding == 0
        return riders

    riders = asyncio.run(deal())
    for number, rider in enumerate(riders):
        own = [reply for whose, reply in replies if whose == number]
        assert (rider.got, rider.replies) == (b"".join(own), len(own))


async def test_commands_of_one_turn_are_one_write():
    wire, rider = Wire(), Recorder()
    one = trunk(wire)
    one.send(rider, b"first ", 1)
    one.send(Recorder(), b"second", 2)
    assert wire.writes == 0
    await asyncio.sleep(0)
    assert (wire.written, wire.writes, one.outstanding) == (b"first second", 1, 3)


async def test_a_large_reply_is_handed_on_as_it_comes_and_marks_the_trunk_as_busy():
    rider, next_one = Recorder(), Recorder()
    one = trunk(Wire())
    one.send(rider, b"x", 1)
    one.send(next_one, b"x", 1)
    reply = bulk(b"y" * 1_000_000)
    one.data_received(reply[:200_000])
    assert one.busy
    assert rider.got == reply[:200_000]
    one.data_received(reply[200_000:] + b"+OK\r\n")
    assert not one.busy
    assert (rider.got, rider.replies, next_one.got) == (reply, 1, b"+OK\r\n")


@pytest.mark.parametrize(
    "nonsense", [b"hello\r\n", b"$x\r\n", b"*-7x\r\n", b">1\r\n+x\r\n", b"+OK\r\n+nobody asked\r\n"]
)
async def test_what_is_no_reply_or_nobodys_ends_the_connection_and_fails_whatever_waits(nonsense):
    wire, rider, losses = Wire(), Recorder(), []
    one = trunk(wire, losses)
    one.send(rider, b"x", 1)
    if not nonsense.startswith(b"+"):
        one.send(rider, b"x", 1)
    one.data_received(nonsense)
    assert wire.closed
    assert one.outdated
    assert rider.failed == losses[0] == (0 if nonsense.startswith(b"+") else 2)


async def test_a_lost_connection_fails_each_command_once_and_tells_who_is_inside_a_reply():
    inside, behind, losses = Recorder(), Recorder(), []
    one = trunk(Wire(), losses)
    one.send(inside, b"x", 1)
    one.send(behind, b"x", 2)
    one.send(inside, b"x", 1)
    one.data_received(bulk(b"y" * 100_000)[:80_000])
    one.connection_lost(None)
    one.connection_lost(None)
    assert (inside.failed, inside.inside) == (2, True)
    assert (behind.failed, behind.inside) == (2, False)
    assert losses == [4]


async def test_a_small_reply_that_has_begun_is_nobodys_yet():
    rider = Recorder()
    one = trunk(Wire())
    one.send(rider, b"x", 1)
    one.data_received(b"$100\r\nabc")
    one.connection_lost(None)
    assert (rider.got, rider.failed, rider.inside) == (b"", 1, False)


async def test_what_came_while_nothing_was_read_is_dealt_out_once_the_connection_is_lost():
    slow, other, losses = Recorder(kept=10), Recorder(), []
    one = trunk(Wire(rest=b"+OK\r\n+PONG\r\n$9\r\nhal"), losses)
    one.send(slow, b"x", 1)
    one.send(other, b"x", 2)
    one.hold(slow)
    one.connection_lost(None)
    assert (slow.got, slow.failed) == (b"+OK\r\n", 0)
    assert (other.got, other.failed) == (b"+PONG\r\n", 1)
    assert losses == [1]


async def test_a_retired_trunk_closes_behind_its_last_reply():
    wire, rider = Wire(), Recorder()
    one = trunk(wire)
    one.send(rider, b"x", 1)
    one.retire()
    assert not wire.closed
    one.data_received(b"+OK\r\n")
    assert wire.closed
    assert rider.got == b"+OK\r\n"


async def test_who_waits_for_room_goes_on_when_the_database_reads_again():
    rider = Recorder()
    one = trunk(Wire())
    one.pause_writing()
    assert one.busy
    one.block(rider)
    one.resume_writing()
    assert rider.went_on == 1
    one.pause_writing()
    one.block(rider)
    one.connection_lost(None)
    assert rider.went_on == 2


async def test_who_does_not_read_holds_up_others_only_for_a_moment(monkeypatch):
    monkeypatch.setattr("proxy.shared.trunk._STALL_SECONDS", 0.001)
    wire, rider = Wire(), Recorder(kept=10)
    one = trunk(wire)
    one.hold(rider)
    assert not wire.reading
    await settled(lambda: rider.was_cut)
    assert wire.reading


async def test_who_reads_on_is_waited_for_but_not_for_ever(monkeypatch):
    monkeypatch.setattr("proxy.shared.trunk._STALL_SECONDS", 0.001)
    wire = Wire()

    class Slow(Recorder):
        looks = 0

        def unread(self):
            self.looks += 1
            return 1_000_000 - self.looks

    rider = Slow()
    one = trunk(wire)
    one.hold(rider)
    await settled(lambda: rider.was_cut)
    assert rider.looks > 5


async def test_who_has_read_or_gone_is_not_waited_for():
    wire, rider = Wire(), Recorder(kept=10)
    one = trunk(wire)
    one.hold(rider)
    one.release(Recorder())
    assert not wire.reading
    one.release(rider)
    assert wire.reading
    assert not one.busy
