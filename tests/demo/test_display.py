"""What stands on the screen, and what comes out of a pipe."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from deploy.demo.display import display_for
from deploy.demo.state import Counts
from deploy.demo.view import screen
from tests.demo.records import APP, event, rotation, state

HINTS = (("by hand", "redis-cli -s /tmp/vk-demo-12345678/orders.sock --user app --pass x"),)
COUNTS = Counts(connections=1_234, commands=2_000)
STEP = event("rotation_step", 20, user=APP, step="promote")


def drawn(known, counts=COUNTS, *, width=80, height=40):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(screen(known, counts, HINTS, 30.0, height))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_everything_has_its_place_at_common_widths(width):
    text = drawn(state(rotation("adopted", 6), rotation("rotated", 19), STEP), width=width)
    for part in (
        "ready, 25 of 45 s",
        "127.0.0.1:1",
        "rotating: promote",
        "rotated",
        "left alone",
        "2,000 commands succeeded on 1,234 connections",
        "0 failed",
        "it logs in everywhere: now AWSCURRENT",
        HINTS[0][1],
    ):
        assert part in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_small_screen_keeps_what_happens():
    text = drawn(state(rotation("adopted", 6), STEP), height=24)
    assert "now AWSCURRENT" in text
    assert "redis-cli" not in text
    assert len(text.splitlines()) == 24


def test_the_last_failure_is_on_the_screen():
    text = drawn(state(), replace(COUNTS, failures=3, last_failure="app on orders: WRONGPASS"))
    assert "1,997 commands succeeded" in text
    assert "3 failed" in text
    assert "app on orders: WRONGPASS" in text


def test_a_pipe_gets_each_event_once_and_the_counts_every_five_seconds():
    console = Console(file=io.StringIO(), width=80)
    known = state(rotation("adopted", 6))
    with display_for(console, HINTS) as display:
        for tenths in range(50, 160):
            if tenths == 120:
                known = known.take_event(STEP)
            display.show(known, COUNTS, tenths / 10)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[2:4] for line in lines if line.endswith(("password", "AWSCURRENT"))] == [
        ["app", "adopted"],
        ["app", "promote"],
    ]
    counts = [line for line in lines if " counts " in line]
    assert [line.split()[0] for line in counts] == ["10.0", "15.0"]
    assert counts[0].endswith("2,000 commands on 1,234 connections, 0 failed; rotated: app 0")
    assert sum(HINTS[0][1] in line for line in lines) == 1
