"""Lengths of time as people write them in a configuration: `15m`, `5s`, `1h30m`, `250ms`, or plain seconds."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


def parse_duration(value: Any) -> timedelta:
    """The length of time that a text or a number of seconds stands for.

    Raises:
        ValueError: it is neither, or negative; the message says what is allowed.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip())
    ):
        seconds = float(value)
    elif isinstance(value, str) and re.fullmatch(f"({_PART.pattern})+", value.strip()):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    else:
        raise ValueError(
            f"{value!r} is not a length of time; write one like 15m, 5s, 1h30m or a number of seconds"
        )
    if not 0 <= seconds <= 86_400 * 365:
        raise ValueError(f"{value!r} is out of range; a length of time is between 0 and 365 days")
    return timedelta(seconds=seconds)


def format_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, such as `1h30m`."""
    rest = round(length.total_seconds() * 1000)
    parts = []
    for unit, seconds in _UNITS.items():
        number, rest = divmod(rest, round(seconds * 1000))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""A `timedelta` field that reads `15m` and the like."""
