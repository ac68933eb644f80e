"""What stands on the screen: rich renderables from records. Pure but for rich."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.demo.state import Counts, State, UserRow
from deploy.demo.story import Line
from deploy.demo.verdict import Check
from rotator.tables import age, state_text

__all__ = ["line_text", "screen", "summary", "try_it"]

_BAR = 12
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "yellow")}
_ROOMY = 30  # lines
_STATE = len("rotating: promote")
_WHO, _WHAT = 14, 8


def screen(
    state: State, counts: Counts, hints: Sequence[tuple[str, str]], now: float, height: int
) -> RenderableType:
    """The whole screen, so many lines high, `now` seconds after the start of the command."""
    databases, users = _databases(state), _users(state)
    layout = Layout()
    parts = [
        (_header(state, now), 2),
        (_section("Databases", "found in the account", databases), databases.row_count + 3),
        (
            _section("Users", "those tagged teleport.dev/managed get new passwords", users),
            users.row_count + 3,
        ),
        (
            _section("A client without a password", "a new connection each time", _client(counts)),
            6 if counts.failures else 3,
        ),
        (_section("What happens", "seconds since the start of the command", _Latest(state.lines)), None),
    ]
    # They were printed before; where there is no room for both, what happens is worth more.
    if height >= _ROOMY:
        parts.append((try_it(hints), len(hints)))
    layout.split_column(*(Layout(Padding(part, (0, 1)), size=size) for part, size in parts))
    return layout


def try_it(hints: Sequence[tuple[str, str]]) -> RenderableType:
    """What to type in another terminal."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for purpose, command in hints:
        grid.add_row(purpose, Text(command, style="bold"))
    return grid


def summary(checks: Sequence[Check], facts: Sequence[tuple[str, str]]) -> RenderableType:
    """How it went."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for check in checks:
        mark, style = _MARKS[check.passed]
        grid.add_row(Text(mark, style), check.text, Text(check.detail, "" if check.passed else style))
    for name, value in facts:
        grid.add_row("", Text(name, "dim"), value)
    return grid


def line_text(line: Line) -> Text:
    """A thing that happened, in one line."""
    return Text.assemble(
        (f"{line.seconds:7.1f} s  ", "dim"),
        f"{line.who:<{_WHO}} ",
        (f"{line.what:<{_WHAT}} ", line.style),
        (line.text, "" if line.style in {"red", "yellow"} else "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


class _Latest:
    """As many of the latest lines as there is room for."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        # Two lines are the section's heading and the space below.
        room = max(1, (options.height or options.max_height) - 2)
        for line in self._lines[-room:]:
            yield line_text(line)


def _header(state: State, now: float) -> RenderableType:
    since = state.since_ready(now)
    if state.ready_at is None:
        progress = Text("starting …", "yellow")
    elif state.duration is None:
        progress = Text(f"ready for {age(int(since))}; Ctrl-C ends it", "green")
    else:
        progress = Text(f"ready, {min(since, state.duration):.0f} of {state.duration:g} s", "green")
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right")
    title = Text.assemble(("Valkeeper", "bold"), (f"  a rotation every {state.interval:g} s", "dim"))
    grid.add_row(title, progress)
    return grid


def _section(title: str, remark: str, body: RenderableType) -> RenderableType:
    return Group(Text.assemble((title, "bold"), ("  " if remark else "") + remark), body)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _databases(state: State) -> Table:
    table = _table("name", "endpoint", "address", "engine", "serves users")
    for one in state.databases:
        users = ", ".join(one.users) or Text("nobody yet", "dim")
        table.add_row(one.name, one.role, one.endpoint, one.engine, users)
    return table


def _users(state: State) -> Table:
    table = _table("name", "state", "password age", "", "next", "rotated")
    table.columns[3].min_width = 4
    table.columns[5].justify = "right"
    for user in sorted(state.users, key=lambda one: (one.care != "managed", one.id)):
        table.add_row(*(_managed(state, user) if user.care == "managed" else _other(user)))
    return table


def _managed(state: State, user: UserRow) -> tuple[RenderableType, ...]:
    story = state.story(user.key)
    standing = Text(f"rotating: {story.step}", "cyan") if story.step else state_text(user.state)
    # As wide as its longest word, so that nothing moves to and fro with the steps.
    standing.pad_right(max(0, _STATE - len(standing)))
    old = min(user.age or 0.0, state.interval)
    bar = ProgressBar(
        state.interval, old, _BAR, style="bright_black", complete_style="green", finished_style="cyan"
    )
    due = "-" if user.due_in is None else f"in {age(user.due_in)}" if user.due_in >= 1 else "now"
    return (user.id, standing, bar, age(user.age), due, str(len(story.rotated_at)))


def _other(user: UserRow) -> tuple[RenderableType, ...]:
    words = {"passed-through": "left alone", "released": "released"}.get(user.care, user.care)
    return (Text(user.id, "dim"), Text(words, "dim"), Text("without the tag", "dim"), "", "", "")


def _client(counts: Counts) -> RenderableType:
    good = counts.commands - counts.failures
    line = Text.assemble(
        (f"{good:,} commands succeeded", "green" if good else "dim"),
        (f" on {counts.connections:,} connections   ", "dim"),
        (f"{counts.failures:,} failed", "bold red" if counts.failures else "dim"),
    )
    if not counts.failures:
        return line
    return Group(line, Text(counts.last_failure, "red"))
