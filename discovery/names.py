"""What databases are called: `[a-z0-9-]`, at most 63 characters, unique, and the same on every instance."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from discovery.tags import Tags

__all__ = ["MAX_LENGTH", "NAME", "Claim", "database_name", "resolve"]

MAX_LENGTH = 63  # a DNS label's, so that a name can stand in a TLS server name
NAME = re.compile(rf"[a-z0-9-]{{1,{MAX_LENGTH}}}")

_OVERRIDE_TAGS = ("teleport.dev/database_name", "TeleportDatabaseName")  # Teleport's, the newer one first
_DIGEST_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """A database's wish for a name.

    Attributes:
        key: what makes it the same database in every scan and on every instance, such as an ARN.
        wanted: the name that it gets where nobody else wants it.
        suffix: what is added on a clash, such as `-elasticache-us-east-1-123456789012`.
        fixed: True for names that an operator wrote down: they never give way.
    """

    key: str
    wanted: str
    suffix: str = ""
    fixed: bool = False


def database_name(resource_id: str, tags: Tags, ending: str = "") -> str:
    """The name that an AWS resource wants: its id, unless a tag overrides it, and an ending such as `-reader`."""
    overrides = (_sanitised(tags.get(tag, "")) for tag in _OVERRIDE_TAGS)
    stem = next((name for name in overrides if name), None) or _sanitised(resource_id)
    return _fitted(stem + ending)


def resolve(claims: Iterable[Claim]) -> dict[str, str]:
    """A name for every claim's key.

    All that want the same name get their suffix, so the order does not matter; those that still clash (one account, one
    region, one override tag) get a digest of their key as well. Fixed names keep theirs, and must be unique already.
    """
    every = {claim.key: claim for claim in claims}
    attempts = dict.fromkeys(every, 0)
    while True:
        names = {key: _attempt(claim, attempts[key]) for key, claim in every.items()}
        wanted_by = Counter(names.values())
        clashing = [key for key, name in names.items() if wanted_by[name] > 1 and not every[key].fixed]
        if not clashing:
            return names
        for key in clashing:
            attempts[key] += 1


def _attempt(claim: Claim, attempt: int) -> str:
    if claim.fixed or attempt == 0:
        return claim.wanted
    if attempt == 1:
        return _fitted(claim.wanted + claim.suffix)
    # Each further attempt tells more of the digest, so that different keys get different names in the end.
    return _fitted(f"{claim.wanted}-{_digest(claim.key, _DIGEST_LENGTH * (attempt - 1))}")


def _sanitised(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")


def _fitted(name: str) -> str:
    """A name that is too long keeps its beginning, and a digest of the whole keeps it apart from its like."""
    if len(name) <= MAX_LENGTH:
        return name
    return f"{name[: MAX_LENGTH - _DIGEST_LENGTH - 1]}-{_digest(name, _DIGEST_LENGTH)}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
