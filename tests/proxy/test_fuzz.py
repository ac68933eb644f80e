"""Whatever a client or a database says, it is read as Redis reads it. `make fuzz` says it for as long as it is let."""

import contextlib

import pytest

from proxy.errors import ProtocolError
from proxy.resp import encode
from tests.fuzz.cost import HOSTILE, READERS, bytes_touched, lines_run
from tests.fuzz.framing import check_framing, handshake, scanned
from tests.fuzz.rivals import check_scanner, check_secret, check_through
from tests.proxy.pair import Pair
from tests.proxy.proxykit import database

SEED = 1


@pytest.fixture(scope="module")
def pair(shared_server, shared_proxy):
    shared_proxy.serve(database(shared_server))
    with shared_server.client() as admin:
        yield Pair(shared_server, shared_proxy.socket, admin)


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_it_is_read_the_same_however_it_is_cut(first):
    for number in range(first, first + 50):
        check_framing(SEED, number)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_the_scanner_counts_the_commands_and_finds_the_logins_that_redis_does(pair, first):
    for number in range(first, first + 50):
        check_scanner(pair, SEED, number)


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_it_comes_back_as_from_redis(pair, first):
    asked = sum(check_through(pair, SEED, number) for number in range(first, first + 25))
    assert asked > 20


def test_no_client_reads_the_password_that_it_is_lent(pair):
    for number in range(20):
        check_secret(pair, SEED, number)


@pytest.mark.parametrize("size", [16_384, 16_385, 65_535, 65_536, 65_537])
@pytest.mark.parametrize(
    "head", [b"ECHO ", b"*2\r\n$4\r\nECHO\r\n$", b"*", b"HELLO 2 AUTH nobody x SETNAME "]
)
def test_at_the_limits_it_is_read_the_same_wherever_it_is_cut_before(head, size):
    line = head + b"1" * (size - len(head))
    data = line + b"\r\n" + encode((b"AUTH", b"nobody", b"x"))
    for at in (1, len(head), len(head) + 1, size // 2, size - 1):
        pieces = [data[:at], data[at:]]
        assert scanned(pieces) == scanned([data])
        for listener in ("orders", None):
            assert handshake(pieces, listener)[1:] == handshake([data], listener)[1:]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_twice_as_much_takes_twice_the_work(hostile, reader):
    def work(measured, size, piece):
        data = HOSTILE[hostile](size)
        with contextlib.suppress(ProtocolError):
            return measured(READERS[reader], [data[at : at + piece] for at in range(0, len(data), piece)])
        return 0

    assert work(lines_run, 2048, 32) < 2.3 * work(lines_run, 1024, 32) + 1000
    assert work(bytes_touched, 20_000, 30_000) < 2.3 * work(bytes_touched, 10_000, 30_000) + 10_000


@pytest.mark.parametrize(
    "data", [b"*2147483648\r\n$4\r\nPOST\r\n", b"*2\r\n$4\r\nPOST\r\n+", b"*2\r\n$4\r\nPOST\r\n$1\r\n/\r\n"]
)
def test_what_looks_like_another_protocol_is_read_the_same_however_it_is_cut(data):
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert handshake(pieces, "orders") == handshake([data], "orders")


def test_of_what_passes_whole_next_to_nothing_is_copied():
    commands = encode((b"SET", b"k", b"x" * 16_384)) * 12
    assert bytes_touched(READERS["the scanner"], [commands]) < 5000


@pytest.mark.parametrize("piece", [999, 66_000])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_more_is_held_than_64_kib_and_what_has_just_come(hostile, piece):
    data = HOSTILE[hostile](70_000)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    scanned(pieces)
    handshake(pieces, "orders")
    handshake(pieces, None)
