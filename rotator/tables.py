"""How the command line shows things to people."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = [
    "age",
    "databases_table",
    "rotations_table",
    "sessions_table",
    "state_text",
    "status_lines",
    "users_table",
]

_KILO, _TEN = 1000, 10

_COLOURS = {
    "fresh": "green",
    "rotating": "cyan",
    "adopting": "cyan",
    "new": "cyan",
    "released": "yellow",
    "blocked": "red",
    "failing": "red",
    "rotated": "green",
    "adopted": "green",
    "failed": "red",
    "left": "red",
    "waiting": "yellow",
    "open": "green",
    "greeting": "yellow",
    "connecting": "cyan",
    "ending": "yellow",
}


def state_text(state: str) -> Text:
    """A state or result in its colour."""
    return Text(state, style=_COLOURS.get(state, ""))


def age(seconds: float | None) -> str:
    """A length of time as a person says it: `4 s`, `3 min 20 s`, `2 h 5 min`; `-` for none."""
    if seconds is None:
        return "-"
    whole = timedelta(seconds=round(abs(seconds)))
    minutes, rest = divmod(whole.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if whole.days:
        text = f"{whole.days} d {hours} h"
    elif hours:
        text = f"{hours} h {minutes} min"
    elif minutes:
        text = f"{minutes} min {rest} s"
    else:
        text = f"{rest} s"
    return text


def size(number: int) -> str:
    """A number of bytes as a person says it: `512 B`, `1.5 kB`, `20 MB`."""
    if number < _KILO:
        return f"{number} B"
    amount = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= _KILO
        if round(amount) < _KILO or unit == "TB":
            break
    return f"{amount:.1f} {unit}" if round(amount, 1) < _TEN else f"{amount:.0f} {unit}"


def _due(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"in {age(seconds)}" if seconds >= 0 else f"{age(seconds)} ago"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def databases_table(databases: Sequence[Mapping[str, Any]]) -> Table:
    """The databases, with where to connect."""
    table = _table("DATABASE", "KIND", "ENDPOINT", "USERS", "SOCKET")
    for one in databases:
        table.add_row(
            one["name"], one["kind"], one["endpoint"], ", ".join(one["users"]) or "-", one["socket"] or "-"
        )
    return table


def users_table(users: Sequence[Mapping[str, Any]]) -> Table:
    """The users, with how each stands. What is the same for all, or nobody needs to hear, gets no column."""
    several_places = len({(one["service"], one["account"], one["region"]) for one in users}) > 1
    troubled = any(one["reason"] for one in users)
    table = _table(
        "USER",
        *(["WHERE"] if several_places else []),
        "DATABASES",
        "STATE",
        "LOGGED IN WITH",
        "NEXT ROTATION",
    )
    if troubled:
        table.add_column("WHAT IS WRONG", overflow="fold", ratio=1)
    for one in users:
        cells: list[str | Text] = [one["id"] if one["id"] == one["name"] else f"{one['id']} ({one['name']})"]
        if several_places:
            cells.append(f"{one['service']} {one['account']}/{one['region']}" if one["service"] else "static")
        cells += [
            ", ".join(one["databases"]),
            state_text(one["state"]),
            _credential(one),
            _due(one["due_in_seconds"]),
        ]
        table.add_row(*cells, *([one["reason"]] if troubled else []))
    return table


def _credential(user: Mapping[str, Any]) -> str:
    """What a user is logged in with, and how old it is or how long it lives."""
    if user["care"] == "handed-on":
        return str(user["source"])
    if user["token_life_seconds"] is not None:
        return f"token, ends in {age(user['token_life_seconds'])}"
    if user["care"] in {"managed", "released"} and user["password_age_seconds"] is not None:
        return f"password, {age(user['password_age_seconds'])} old"
    return "-"


def rotations_table(rotations: Sequence[Mapping[str, Any]]) -> Table:
    """How rotations ended."""
    troubled = any(one["reason"] for one in rotations)
    table = _table("USER", "RESULT", "TOOK", "VERSION", *(["WHY"] if troubled else []))
    for one in rotations:
        seconds = one["seconds"]
        took = f"{seconds:.1f} s" if seconds is not None else "-"
        cells = (one["user"].rpartition("/")[2], state_text(one["result"]), took, one["version"] or "-")
        table.add_row(*cells, *([one["reason"]] if troubled else []))
    return table


def sessions_table(sessions: Sequence[Mapping[str, Any]]) -> Table:
    """Clients' sessions. How far one is shows only where one is not simply open."""
    unsettled = any(one["state"] != "open" for one in sessions)
    table = _table(
        "SESSION",
        "WHO",
        "DATABASE",
        "USER",
        *(["STATE"] if unsettled else []),
        "OPEN FOR",
        "COMMANDS",
        "IN",
        "OUT",
    )
    for one in sessions:
        # As text: a client may name a user that reads like the table's own markup.
        table.add_row(
            Text(one["id"]),
            Text(one["who"] if one["pid"] is None else f"{one['who']} (pid {one['pid']})"),
            Text(one["database"] or "-"),
            Text(one["user"] or "-"),
            *([state_text(one["state"])] if unsettled else []),
            age(one["open_seconds"]),
            f"{one['commands']:,}",
            size(one["bytes_from_client"]),
            size(one["bytes_from_database"]),
        )
    return table


def status_lines(status: Mapping[str, Any]) -> list[Text]:
    """The service in a few lines."""
    users = ", ".join(f"{number} {state}" for state, number in sorted(status["users"].items())) or "none"
    lines = [
        Text(f"Valkeeper {status['version']}: ")
        + (Text("ready", "green") if status["ready"] else Text(f"not ready: {status['reason']}", "yellow")),
        Text(f"databases    {status['databases']}"),
        Text(f"users        {users}"),
        Text(f"overdue      {status['overdue']}", "red" if status["overdue"] else ""),
        Text(f"proxies      {status['proxies']}", "" if status["proxies"] else "red"),
        Text(f"connections  {status['connections_open']} open"),
    ]
    for source in status["sources"]:
        if source["error"]:
            stale = ", showing its last good answer" if source["stale"] else ""
            lines.append(Text(f"source       {source['name']} fails{stale}: {source['error']}", "red"))
        else:
            lines.append(Text(f"source       {source['name']} read at {source['read_at']}"))
    return lines
