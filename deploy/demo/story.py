"""Tells the service's events in words. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Line", "moment", "tell", "tell_token"]

_Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    seconds: float
    """Since the start of the command."""
    who: str
    what: str
    text: str
    style: str = ""


_STEPS = {
    "seed": "its secret is created, without a password",
    "stage": "a new password is put as AWSPENDING",
    "apply": "{call} has been told the new password",
    "settle": "AWS has carried it to every node",
    "promote": "it logs in everywhere: now AWSCURRENT",
    "heal": "AWSCURRENT was rejected, and is set again",
    "retire": "the old password is dropped",
}
_CALLS = {"elasticache": "ModifyUser", "memorydb": "UpdateUser"}

_RESULTS = {
    "rotated": ("green", "clients use the new password"),
    "adopted": ("green", "Valkeeper keeps its password"),
    "healed": ("yellow", "its password works again"),
    "retired": ("green", "only the new password is left"),
}


def _step(event: _Event) -> tuple[str, str, str, str]:
    step, user = event.get("step", ""), event.get("user")
    call = _CALLS.get((user or "").partition("/")[0], "AWS")
    return _last(user), step, _STEPS.get(step, "").format(call=call), "cyan"


def _rotation(event: _Event) -> tuple[str, str, str, str]:
    result = event.get("result", "")
    style, text = _RESULTS.get(
        result, ("yellow" if result == "waiting" else "red", event.get("reason") or "")
    )
    if result in _RESULTS:
        text = f"in {event.get('seconds', 0):.1f} s; {text}"
    return _last(event.get("user")), result, text, style


def _database(what: str, style: str = "") -> Callable[[_Event], tuple[str, str, str, str]]:
    def words(event: _Event) -> tuple[str, str, str, str]:
        kind = (event.get("labels") or {}).get("endpoint-type", "")
        text = f"database at {event.get('endpoint')}" + (f", {kind}" if kind else "")
        return event.get("database", ""), what, text, style

    return words


def _user(what: str, style: str = "") -> Callable[[_Event], tuple[str, str, str, str]]:
    def words(event: _Event) -> tuple[str, str, str, str]:
        if event.get("authentication") == "iam":
            kind = "IAM user"
        else:
            kind = "managed user" if event.get("managed") else "untagged user"
        where = ", ".join(event.get("databases") or ())
        return _last(event.get("user")), what, kind + (f" of {where}" if where else ""), style

    return words


_WORDS: dict[str, Callable[[_Event], tuple[str, str, str, str]]] = {
    "rotation_step": _step,
    "rotation": _rotation,
    "database_found": _database("found"),
    "database_changed": _database("changed"),
    "database_gone": _database("gone", "yellow"),
    "user_found": _user("found"),
    "user_gone": _user("gone", "yellow"),
    "user_tagged": _user("tagged", "green"),
    "user_untagged": _user("untagged", "yellow"),
    "ready": lambda e: (
        "valkeeper",
        "ready",
        f"{e.get('databases')} databases and {e.get('users')} users published",
        "green",
    ),
    "proxy_connected": lambda _: ("valkeeper", "proxy", "serves what is published", ""),
    "proxy_disconnected": lambda _: ("valkeeper", "proxy", "has gone", "yellow"),
    "rotation_asked": lambda e: (
        _last(e.get("user")),
        "asked",
        f"a rotation was asked for by {e.get('asked_by')}",
        "",
    ),
    "service_stopping": lambda _: ("valkeeper", "stopping", "no new rotations", ""),
}
# What every event has, and what stands in columns of its own.
_COMMON = frozenset({"event", "level", "timestamp", "user", "exception"})


def tell(event: Mapping[str, Any], *, started_at: float) -> Line | None:
    """An event as a line; None for one that says nothing to whoever watches.

    Args:
        event: as `/v1/events` sends it.
        started_at: of the command, in seconds since the epoch.
    """
    name = str(event.get("event", ""))
    if name in _WORDS:
        who, what, text, style = _WORDS[name](event)
    elif event.get("level") in {"warning", "error"}:
        # A warning that this file does not know is told as it is, rather than kept from whoever watches.
        rest = ", ".join(f"{key}={value}" for key, value in event.items() if key not in _COMMON)
        who, what, text = (
            _last(event.get("user")) or "valkeeper",
            str(event["level"]),
            f"{name} {rest}".strip(),
        )
        style = "red" if event["level"] == "error" else "yellow"
    else:
        return None
    return Line(moment(event) - started_at, who, what, text, style)


def tell_token(user: str, databases: Sequence[str], lasts: float, now: float, *, renewed: bool) -> Line:
    """A fresh token as a line.

    Args:
        user: whose.
        databases: what it reaches.
        lasts: seconds until the token ends.
        now: seconds since the start of the command.
        renewed: it had one before.
    """
    where = ", ".join(databases)
    text = f"a token of {lasts / 60:.0f} min for {where}"
    return Line(now, user, "renewed" if renewed else "signed", text, "green")


def moment(event: Mapping[str, Any]) -> float:
    """When an event happened, in seconds since the epoch."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def _last(key: str | None) -> str:
    """The short name of a user: the end of its key."""
    return (key or "").rpartition("/")[2]
