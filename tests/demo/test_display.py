"""What stands on the screen, and what comes out of a pipe."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from deploy.demo.display import display_for
from deploy.demo.state import Counts
from deploy.demo.view import screen
from tests.demo.records import APP, DATABASES, event, rotation, state, user

HINTS = (("by hand", "redis-cli -s /tmp/vk-demo-12345678/orders.sock --user app --pass x"),)
COUNTS = Counts(
    connections=1_234,
    commands=2_000,
    by_target={("orders", "app"): 20, ("orders-reader", "app"): 10, ("sessions", "session-audit"): 7},
)
STEP = event("rotation_step", 20, user=APP, step="promote")


def drawn(known, counts=COUNTS, *, width=80, height=40):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(screen(known, counts, HINTS, 30.0, width=width, height=height))
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (120, 24), (120, 40)])
def test_everything_has_its_place_on_common_screens(width, height):
    text = drawn(state(rotation("adopted", 6), rotation("rotated", 19), STEP), width=width, height=height)
    for part in (
        "ready, 25 of 45 s",
        "127.0.0.1:41297",
        "app, reporting",
        "ElastiCache",
        "MemoryDB",
        "promoting",
        "password, 3 s old",
        "token, 14 min left",
        "left alone: ElastiCache's legacy; MemoryDB's ops",
        "2,000 commands succeeded on 1,234 connections without a password",
        "0 failed",
        "it logs in everywhere: now AWSCURRENT",
    ):
        assert part in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) == height


def test_each_user_has_a_line_with_its_rotations_and_commands():
    text = drawn(state(rotation("adopted", 6), rotation("rotated", 19)), width=80, height=24)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["app"][-2:] == ["1", "30"]
    assert rows["session-audit"][-4:] == ["14", "min", "left", "7"]


def test_a_small_screen_keeps_what_happens_and_a_tall_one_what_to_try():
    assert "redis-cli" not in drawn(state(STEP), height=24)
    assert HINTS[0][1] in drawn(state(STEP), height=40)


def test_an_iam_user_without_a_token_says_so():
    known = state().take_answers(DATABASES, [user("reporting", "iam", token_ends=None)], 20.0)
    assert "no token" in drawn(known)


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
    assert counts[0].endswith(
        "2,000 commands on 1,234 connections, 0 failed; rotated: app 0, web 0; "
        "with tokens: reporting 0, session-audit 7"
    )
    assert sum(HINTS[0][1] in line for line in lines) == 1
