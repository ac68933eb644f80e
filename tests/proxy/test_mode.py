"""What a client's commands make of its connection."""

import pytest

from proxy.resp import encode
from proxy.scanner import CommandScanner


def mode_after(*commands):
    scanner = CommandScanner()
    for command in commands:
        assert scanner.feed(command) == command
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
