"""Writes the parts of the README and the docs that are the code's: `make docs`. A test checks that they are up to date."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import BaseModel

from discovery.duration import format_duration
from discovery.model import Inventory
from proxy.counters import Counters
from rotator.config import Settings
from rotator.machine import ROWS
from rotator.metrics import Metrics, State

_ROOT = Path(__file__).parent.parent
README = _ROOT / "README.md"
ROTATION = _ROOT / "docs" / "rotation.md"


def settings_table() -> str:
    """Every key, with its default and what it is."""
    rows = ["| key | default | what it is |", "|---|---|---|"]
    rows += [f"| `{key}` | {default} | {text} |" for key, default, text in _settings("", Settings)]
    return "\n".join(rows)


def _settings(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        one, many = _model_in(field.annotation)
        if one is None:
            default = (
                "required"
                if field.is_required()
                else f"`{_shown(field.get_default(call_default_factory=True))}`"
            )
            yield key, default, (field.description or "").replace("|", "\\|")
        else:
            yield from _settings(f"{key}[]." if many else f"{key}.", one)


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in an annotation such as `Model` or `tuple[Model, ...]`, and whether there are many of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in getattr(annotation, "__args__", ()):
        found, many = _model_in(inner)
        if found is not None:
            return found, many or not isinstance(annotation, UnionType)
    return None, False


def _shown(value: Any) -> str:
    match value:
        case timedelta():
            return format_duration(value)
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case tuple() | list():
            return "[" + ", ".join(_shown(one) for one in value) + "]"
        case BaseModel():
            return "…"
    return str(value) if value != "" else '""'


def metrics_table() -> str:
    """Every metric, with its labels' meaning in its help text."""
    now = datetime.now(UTC)
    text = (
        Metrics(lambda: State(Inventory(), (), (), Counters(), (), 0, lambda _: now, now, 0.0))
        .render()
        .decode()
    )
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    rows = ["| metric | type | what it says |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {kinds[name]} | {help_} |"
        for name, help_ in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE)
    ]
    return "\n".join(rows)


def plan_diagram() -> str:
    """The rows of the rotation plan, in order, as a picture."""
    *rows, last = ROWS
    lines = ["```mermaid", "flowchart TD", "  observe([observe the user, its secret and its logins]) --> q0"]
    for number, row in enumerate(rows):
        lines.append(f'  q{number}{{{{"{row.asks}?"}}}} -- yes --> a{number}["{row.does}"]')
        lines.append(f"  q{number} -- no --> {f'q{number + 1}' if number + 1 < len(rows) else 'last'}")
    return "\n".join([*lines, f'  last["{last.does}"]', "```"])


def plan_table() -> str:
    """The same as a table."""
    rows = ["| # | row | if | then |", "|---|---|---|---|"]
    rows += [f"| {number} | {row.name} | {row.asks} | {row.does} |" for number, row in enumerate(ROWS, 1)]
    return "\n".join(rows)


PARTS: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: {"settings": settings_table, "metrics": metrics_table},
    ROTATION: {"plan-diagram": plan_diagram, "plan-table": plan_table},
}
"""Which file has which generated parts."""


def written(file: Path) -> str:
    """A file's text with its generated parts made anew."""
    text = file.read_text(encoding="utf-8")
    for name, part in PARTS[file].items():
        text = re.sub(
            f"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, part=part: f"{match[1]}{part()}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    for file in PARTS:
        file.write_text(written(file), encoding="utf-8")
