"""What a client's commands make of its connection."""

import pytest

from proxy.resp import encode
from proxy.scanner import CommandScanner


def mode_after(*commands):
    scanner = CommandScanner()
    for command in commands:
        passed = scanner.feed(command)
        while scanner.found is not None:
            passed += scanner.take() + scanner.feed(b"")
        assert passed == command
    return scanner


@pytest.mark.parametrize("count", [1, 2, 2_000_000_000])
def test_a_command_of_any_length_costs_nothing(count):
    scanner = mode_after(b"*%d\r\n$5\r\nMULTI\r\n" % count)
    assert scanner.mode.obstacle(1, pushes=True) == "it is inside MULTI"


def test_a_large_client_command_passes():
    command = encode((b"CLIENT", b"SETNAME", b"x" * 100_000))
    assert mode_after(command).mode.obstacle(1, pushes=False) is None


@pytest.mark.parametrize("command", [(b"SYNC",), (b"psync", b"?", b"-1")])
def test_a_replica_is_asked_nothing(command):
    mode = mode_after(encode(command), encode((b"REPLCONF", b"ACK", b"0")), encode((b"RESET",))).mode
    assert mode.obstacle(3, pushes=True) == "it is a replica (SYNC)"
    assert mode.listens


def plain_after(*commands):
    return mode_after(*(encode(command.encode().split()) for command in commands)).mode.is_plain


@pytest.mark.parametrize(
    "commands",
    [
        [], ["GET k"], ["MULTI", "GET k", "EXEC"], ["MULTI", "DISCARD"], ["WATCH k", "UNWATCH"], ["WATCH k", "MULTI", "EXEC"],
        ["BLPOP k 0"], ["CLIENT ID"], ["CLIENT LIST"], ["HELLO"],  ["EVAL x 0"], ["CONFIG GET x"],
    ],
)  # fmt: skip
def test_a_connection_that_is_like_a_fresh_one(commands):
    assert plain_after(*commands)


@pytest.mark.parametrize(
    "commands",
    [
        ["MULTI"], ["MULTI", "EXEC", "MULTI"], ["WATCH k"], ["WATCH k", "EXEC"], ["WATCH k", "DISCARD"], ["SELECT 1"],
        ["WATCH k", "MULTI x", "EXEC"], ["WATCH k", "UNWATCH x"], ["SELECT 1", "SELECT 0"], ["SUBSCRIBE c"],
        ["SUBSCRIBE c", "UNSUBSCRIBE c"], ["MONITOR"], ["CLIENT REPLY OFF"], ["CLIENT SETNAME x"], ["CLIENT TRACKING on"],
        ["CLIENT NO-TOUCH on"], ["CLIENT TRACKING on BCAST"], ["HELLO 3"], ["HELLO 3 SETNAME x"], ["AUTH app x"], ["RESET"], ["READONLY"], ["PSYNC ? -1"], ["REPLCONF x y"],
    ],
)  # fmt: skip
def test_a_connection_that_something_tells_from_a_fresh_one(commands):
    assert not plain_after(*commands)


def test_what_needs_an_own_connection_is_remembered_by_its_number():
    assert mode_after(encode((b"GET", b"k")), encode((b"MULTI",)), encode((b"GET", b"k"))).mode.own_at == 2
