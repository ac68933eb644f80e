"""What stands on the screen: rich renderables from records. Pure but for rich."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.demo.state import SERVICES, Counts, State, UserRow, names_by_service
from deploy.demo.story import Line
from deploy.demo.verdict import Check
from rotator.tables import age, state_text

__all__ = ["line_text", "screen", "summary", "try_it"]

_BAR = 12
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "yellow")}
_ROOMY = 34  # lines: from here on there is room for headings and for what to try
_WIDE = 100  # columns
_STEPS = {
    "seed": "seeding",
    "stage": "staging",
    "apply": "applying",
    "settle": "settling",
    "promote": "promoting",
    "heal": "healing",
    "retire": "retiring",
}
_STATE = len("promoting")
_CARES = ("managed", "iam", "released", "passed-through")
_WHO, _WHAT = 14, 8


def screen(
    state: State, counts: Counts, hints: Sequence[tuple[str, str]], now: float, *, width: int, height: int
) -> RenderableType:
    """The whole screen of so many columns and lines, `now` seconds after the start of the command."""
    roomy, wide = height >= _ROOMY, width >= _WIDE
    databases, users, left_alone = (
        _databases(state, wide),
        _users(state, counts, now, wide),
        _left_alone(state),
    )
    client = _client(counts)
    parts: list[tuple[RenderableType, int | None]] = [(_header(state, now), 2)]
    sections = (
        ("Databases", "found in the account", databases, databases.row_count + 1),
        (
            "Users",
            "those tagged teleport.dev/managed get new passwords, IAM users get tokens",
            Group(users, left_alone),
            users.row_count + 2,
        ),
        ("A client", "a new connection each time, and any password", client, 4 if counts.failures else 1),
    )
    for title, remark, body, size in sections:
        parts.append((_section(title, remark, body), size + 2) if roomy else (body, size + 1))
    latest = _Latest(state.lines, taken=2 if roomy else 0)
    if roomy:
        parts.append((_section("What happens", "seconds since the start of the command", latest), None))
        # They were printed before; where there is no room for both, what happens is worth more.
        parts.append((try_it(hints), len(hints)))
    else:
        parts.append((latest, None))
    layout = Layout()
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

    def __init__(self, lines: Sequence[Line], taken: int) -> None:
        self._lines = lines
        self._taken = taken  # lines for a heading and the space below

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, (options.height or options.max_height) - self._taken)
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


def _databases(state: State, wide: bool) -> Table:
    table = _table("database", "kind", "endpoint", "address", *(["engine"] if wide else []), "serves users")
    for one in state.databases:
        users = ", ".join(one.users) or Text("nobody yet", "dim")
        table.add_row(one.name, one.kind, one.role, one.endpoint, *([one.engine] if wide else []), users)
    return table


def _users(state: State, counts: Counts, now: float, wide: bool) -> Table:
    """Those that Valkeeper logs in, or did."""
    table = _table("user", "service", "state", "logged in with")
    if wide:
        table.add_column("", no_wrap=True, min_width=_BAR)
        table.add_column("next", no_wrap=True, min_width=len("in 15 s"))
    for column in ("rotated", "commands"):
        table.add_column(column, no_wrap=True, justify="right")
    shown = (user for user in state.users if user.care != "passed-through")
    for user in sorted(shown, key=lambda one: (one.service, _rank(one.care), one.id)):
        service = SERVICES.get(user.service, user.service)
        rotated = str(len(state.story(user.key).rotated_at)) if user.care == "managed" else ""
        bar_and_next = _bar_and_next(state, user) if wide else ()
        standing = _standing(state, user)
        table.add_row(
            user.id,
            service,
            standing,
            _logged_in_with(state, user, now),
            *bar_and_next,
            rotated,
            f"{counts.of(user):,}",
        )
    return table


def _rank(care: str) -> int:
    return _CARES.index(care) if care in _CARES else len(_CARES)


def _standing(state: State, user: UserRow) -> Text:
    step = state.story(user.key).step
    standing = Text(_STEPS.get(step, step), "cyan") if step else state_text(user.state)
    # As wide as its longest word, so that nothing moves to and fro with the steps.
    standing.pad_right(max(0, _STATE - len(standing)))
    return standing


def _logged_in_with(state: State, user: UserRow, now: float) -> Text:
    if user.care != "iam":
        return (
            Text(f"password, {_length(user.age)} old") if user.age is not None else Text("nothing yet", "dim")
        )
    if user.token_ends_at is None:
        return Text("no token", "dim")
    return Text(f"token, {_length(user.token_ends_at - state.started_at - now)} left")


def _length(seconds: float) -> str:
    """Short, and so never wider than the column: `59 s`, `14 min`, `9 h`."""
    if seconds < 60:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 3600 else f"{seconds // 3600:.0f} h"


def _bar_and_next(state: State, user: UserRow) -> tuple[RenderableType, str]:
    if user.care != "managed":
        return "", ""
    old = min(user.age or 0.0, state.interval)
    bar = ProgressBar(
        state.interval, old, _BAR, style="bright_black", complete_style="green", finished_style="cyan"
    )
    return bar, "-" if user.due_in is None else f"in {age(user.due_in)}" if user.due_in >= 1 else "now"


def _left_alone(state: State) -> Text:
    names = names_by_service((user.service, user.id) for user in state.users if user.care == "passed-through")
    text = f"left alone: {names}" if names else ""
    return Text(text, "dim", no_wrap=True, overflow="ellipsis")


def _client(counts: Counts) -> RenderableType:
    good = counts.commands - counts.failures
    line = Text.assemble(
        (f"{good:,} commands succeeded", "green" if good else "dim"),
        (f" on {counts.connections:,} connections without a password   ", "dim"),
        (f"{counts.failures:,} failed", "bold red" if counts.failures else "dim"),
        no_wrap=True,
    )
    if not counts.failures:
        return line
    return Group(line, Text(counts.last_failure, "red"))
