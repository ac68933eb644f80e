"""What the host names of ElastiCache and MemoryDB say (pure).

Shapes: AWS's "Finding connection endpoints", for ElastiCache and for MemoryDB. ElastiCache writes short region names into
them, for which AWS has no table; that these follow one rule is what its regions show.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from discovery.model import DatabaseKind

__all__ = ["AwsHost", "aws_host", "long_region"]

_DOMAIN = re.compile(r"(?P<rest>[\w-]+(?:\.[\w-]+)+)\.amazonaws\.com(?:\.cn)?")
_DIRECTIONS = {
    "n": "north",
    "ne": "northeast",
    "e": "east",
    "se": "southeast",
    "s": "south",
    "sw": "southwest",
    "w": "west",
    "nw": "northwest",
    "c": "central",
}
_SHORT = re.compile(rf"(?P<area>us?g|[a-z]{{2}})(?P<direction>{'|'.join(_DIRECTIONS)})(?P<number>\d+)")
_GOVCLOUD = {"usg", "ug"}
_SHARD = re.compile(r"\d{4}")
_NODE = re.compile(r"(?:-ro|(?:-\d{4})?-\d{3})$")


@dataclass(frozen=True, slots=True)
class AwsHost:
    """What a host name tells.

    Attributes:
        kind: what it is an endpoint of.
        region: where that is; None where the short region in the name is not known.
        resource_id: replication group id, serverless cache name or MemoryDB cluster name.
    """

    kind: DatabaseKind
    region: str | None
    resource_id: str


def aws_host(host: str) -> AwsHost | None:
    """What a host name of ElastiCache or MemoryDB tells; None: it is not one.

    A node's name tells the same as its replication group's or cluster's.
    """
    found = _DOMAIN.fullmatch(host.strip().lower().removesuffix("."))
    match found["rest"].split(".") if found else []:
        case [cache, "serverless", region, "cache"] if "-" in cache:
            return AwsHost(DatabaseKind.SERVERLESS, long_region(region), cache.rpartition("-")[0])
        case [*labels, region, "cache"] if (resource := _resource(labels)) is not None:
            return AwsHost(DatabaseKind.ELASTICACHE, long_region(region), resource)
        case [*labels, "memorydb", region] if (resource := _resource(labels)) is not None:
            return AwsHost(DatabaseKind.MEMORYDB, region, resource)
    return None


def _resource(labels: Sequence[str]) -> str | None:
    """The id in what stands before region and service; None: it has no shape that AWS gives."""
    match labels:
        case [resource, _, "clustercfg"]:
            return resource
        case [node, _, "ng", "0001"]:
            return _NODE.sub("", node)
        case [node, _, shard] if _SHARD.fullmatch(shard):
            return _NODE.sub("", node)
        case [
            _,
            resource,
            _,
        ]:  # with TLS: `clustercfg`, `master`, `replica` or a node's name stands before the id
            return resource
    return None


def long_region(short: str) -> str | None:
    """`use1` → `us-east-1`; None: it follows no rule that is known."""
    found = _SHORT.fullmatch(short)
    if found is None:
        return None
    area = "us-gov" if found["area"] in _GOVCLOUD else found["area"]
    direction = _DIRECTIONS[found["direction"]]
    if area == "cn" and direction == "west":  # as `cnw1` stands for cn-northwest-1
        direction = "northwest"
    return f"{area}-{direction}-{found['number']}"
