"""ElastiCache's serverless caches to records (pure). Shapes are those of its API, version 2015-02-02."""

import re
from collections.abc import Mapping
from typing import Any

from discovery.model import DatabaseKind
from discovery.source import Skipped
from discovery.sources.listing import Candidate, Door, endpoint_of, unfit

__all__ = ["serverless_cache"]

_VERSION = re.compile(r"\d+(\.\d+)*")


def serverless_cache(raw: Mapping[str, Any]) -> Candidate | Skipped:
    """One of `ServerlessCaches` of DescribeServerlessCaches: TLS and the cluster protocol always, one user group at most.

    Behind its endpoint and its reader endpoint AWS keeps nodes of its own, which nobody can address.
    """
    name = raw["ServerlessCacheName"]
    resource = f"serverless cache {name}"
    reason = unfit(resource, raw, encrypted=True)
    if reason is not None:
        return reason
    primary, reader = endpoint_of(raw.get("Endpoint")), endpoint_of(raw.get("ReaderEndpoint"))
    if primary is None:
        return Skipped(resource, "it has no endpoint yet", passing=True)
    door = Door("primary", primary)
    return Candidate(
        kind=DatabaseKind.SERVERLESS,
        id=name,
        arn=raw["ARN"],
        groups=(raw["UserGroupId"],) if raw.get("UserGroupId") else (),
        doors=(door,) if reader is None else (door, Door("reader", reader, ending="-reader")),
        cluster_mode=True,
        engine=str(raw.get("Engine") or "redis").lower(),
        engine_version=_version(raw),
        description=raw.get("Description", ""),
    )


def _version(raw: Mapping[str, Any]) -> str | None:
    """The number in the full version, which is documented with the engine's name before it, and is `unknown` at first."""
    for field in ("FullEngineVersion", "MajorEngineVersion"):
        if found := _VERSION.search(str(raw.get(field) or "")):
            return found[0]
    return None
