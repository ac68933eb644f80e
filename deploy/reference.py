"""Writes the parts of the README that are the code's: `make docs`. A test checks that they are up to date."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from discovery.duration import format_duration
from discovery.model import Inventory
from proxy.counters import Counters
from rotator.config import Settings
from rotator.metrics import Metrics, State

README = Path(__file__).parent.parent / "README.md"


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
        found, _ = _model_in(inner)
        if found is not None:
            return found, True
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
    text = Metrics(lambda: State(Inventory(), (), (), Counters(), 0, lambda _: now, now, 0.0)).render().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    rows = ["| metric | type | what it says |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {kinds[name]} | {help_} |"
        for name, help_ in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE)
    ]
    return "\n".join(rows)


def written(readme: str) -> str:
    """The README with its generated parts made anew."""
    for name, table in (("settings", settings_table()), ("metrics", metrics_table())):
        readme = re.sub(
            f"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
            readme,
            flags=re.DOTALL,
        )
    return readme


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
