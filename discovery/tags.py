"""What tags mean: the one that opts a user in, and the selectors that choose databases."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["EVERYTHING", "MANAGED_TAG", "Selector", "Tags", "opts_in", "parse_selector", "selects"]

Tags = Mapping[str, str]

Selector = Mapping[str, tuple[str, ...]]
"""For each key the values that are let in; a database has to satisfy every key."""

MANAGED_TAG = "teleport.dev/managed"
"""The tag that opts a user in unless `rotation.managed_tag` names another."""

_WILDCARD = "*"
EVERYTHING: Selector = {_WILDCARD: (_WILDCARD,)}

_REFUSALS = {"false", "no", "disable", "disabled"}


def opts_in(tags: Tags, managed_tag: str = MANAGED_TAG) -> bool:
    """Whether a user's tags ask for its password to be rotated.

    Any value does, the empty one too, except `false`, `no`, `disable` and `disabled` in any case: as in Teleport.
    """
    value = tags.get(managed_tag)
    return value is not None and value.strip().lower() not in _REFUSALS


def parse_selector(value: Any) -> Selector:
    """The selector that a configuration's `tags` stand for: key to a value or a list of values.

    A value may hold `*` for any text, or be a regular expression between `^` and `$`.

    Raises:
        ValueError: it is something else, or can never select anything; the message says what is allowed.
    """
    if not isinstance(value, Mapping):
        raise ValueError('expected keys with a value or a list of values, such as {"env": ["prod", "test"]}')  # noqa: TRY004  pydantic reads ValueError only
    if not value:
        raise ValueError('an empty selector selects nothing; {"*": "*"} selects every database')
    selector = {str(key): _values(str(key), values) for key, values in value.items()}
    if _WILDCARD in selector and _WILDCARD not in selector[_WILDCARD]:
        raise ValueError('the key "*" stands for every database, and its only value is "*"')
    return selector


def _values(key: str, values: Any) -> tuple[str, ...]:
    listed = [values] if isinstance(values, str) else values
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(one, str) for one in listed):
        raise ValueError(
            f"{key!r} needs a text or a list of texts; put quotes around numbers and true or false"
        )
    for one in listed:
        try:
            _pattern(one)
        except re.error as error:
            raise ValueError(f"{one!r} for {key!r} is not a regular expression: {error}") from None
    return tuple(listed)


def selects(selector: Selector, labels: Tags) -> bool:
    """Whether a database with these labels is chosen.

    Every key of the selector has to be there, with one of its values. `{"*": ("*",)}` chooses everything, whatever
    else stands beside it; the empty selector chooses nothing.
    """
    if _WILDCARD in selector.get(_WILDCARD, ()):
        return True
    return bool(selector) and all(
        key in labels and any(_pattern(value).fullmatch(labels[key]) for value in values)
        for key, values in selector.items()
    )


def _pattern(value: str) -> re.Pattern[str]:
    if value.startswith("^") and value.endswith("$"):
        return re.compile(value, re.DOTALL)
    return re.compile(".*".join(re.escape(part) for part in value.split(_WILDCARD)), re.DOTALL)
