"""Where the demo is shown: on a terminal, which is drawn anew, or as lines for a pipe."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live

from deploy.demo.state import Counts, State
from deploy.demo.story import Line
from deploy.demo.view import line_text, screen, try_it

__all__ = ["Display", "display_for"]

_Hints = Sequence[tuple[str, str]]


class Display(Protocol):
    """What the runner tells."""

    def show(self, state: State, counts: Counts, now: float) -> None:
        """How things stand, `now` seconds after the start of the command; often."""


@contextmanager
def display_for(console: Console, hints: _Hints) -> Iterator[Display]:
    """The display that fits: a screen where somebody looks at one."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console, hints)
        return
    # So that the lines are still to be read and copied when the screen is gone.
    console.print(try_it(hints))
    console.print()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield _Screen(live, hints)


class _Screen:
    _EVERY = 0.2  # seconds: fluent to the eye, and next to nothing to the machine

    def __init__(self, live: Live, hints: _Hints) -> None:
        self._live = live
        self._hints = hints
        self._shown_at = 0.0

    def show(self, state: State, counts: Counts, now: float) -> None:
        if time.monotonic() - self._shown_at >= self._EVERY:
            self._shown_at = time.monotonic()
            width, height = self._live.console.size
            drawn = screen(state, counts, self._hints, now, width=width, height=height)
            self._live.update(drawn, refresh=True)


class _Lines:
    _COUNTS_EVERY = 5.0  # seconds

    def __init__(self, console: Console, hints: _Hints) -> None:
        self._console = console
        self._hints: _Hints = hints
        self._last: Line | None = None  # the last line that was shown
        self._counted_at = 0.0

    def show(self, state: State, counts: Counts, now: float) -> None:
        for line in _after(self._last, state):
            self._console.print(line_text(line).plain.rstrip(), soft_wrap=True, markup=False)
            self._last = line
        if state.ready_at is None:
            return
        if self._hints:
            for purpose, command in self._hints:
                self._console.print(f"{purpose:>9}    {command}", soft_wrap=True, markup=False)
            self._hints = ()
        if now - max(self._counted_at, state.ready_at) >= self._COUNTS_EVERY:
            self._counted_at = now
            self._console.print(_counts(state, counts, now), soft_wrap=True, markup=False)


def _after(last: Line | None, state: State) -> Iterator[Line]:
    known = next((number for number, line in enumerate(state.lines) if line is last), -1)
    yield from state.lines[known + 1 :]


def _counts(state: State, counts: Counts, now: float) -> str:
    words = f"{counts.commands:,} commands on {counts.connections:,} connections, {counts.failures:,} failed"
    rotated = ", ".join(
        f"{user.id} {len(state.story(user.key).rotated_at)}" for user in state.users if user.care == "managed"
    )
    by_token = ", ".join(f"{user.id} {counts.of(user):,}" for user in state.users if user.care == "iam")
    failure = f"; the last: {counts.last_failure}" if counts.last_failure else ""
    line = Line(now, "client", "counts", f"{words}{failure}; rotated: {rotated}; with tokens: {by_token}")
    return line_text(line).plain
