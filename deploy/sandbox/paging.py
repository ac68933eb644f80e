"""Pages of a listing, in the order of a key: pure."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["page"]

T = TypeVar("T")


def page(
    records: Iterable[T], key: Callable[[T], str], size: int, marker: str | None
) -> tuple[list[T], str | None]:
    """Return one page, and the marker of the next one, or None after the last.

    The marker names the last record shown, so that what is added or removed between two pages
    neither repeats nor hides another.

    Raises:
        ValueError: The marker is not one of ours.
    """
    after = _decode(marker) if marker else None
    rest = sorted((record for record in records if after is None or key(record) > after), key=key)
    shown = rest[:size]
    more = len(rest) > size
    return shown, base64.urlsafe_b64encode(key(shown[-1]).encode()).decode() if more else None


def _decode(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a marker") from error
