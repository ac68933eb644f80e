"""ElastiCache's replication groups to records (pure). Shapes are those of its API, version 2015-02-02."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discovery.model import DatabaseKind, Endpoint
from discovery.source import Skipped
from discovery.sources.listing import Candidate, Door, endpoint_of, unfit

__all__ = ["Member", "members", "replication_group"]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a replication group, which ElastiCache calls a cache cluster: what only DescribeCacheClusters tells."""

    engine_version: str | None
    endpoint: Endpoint | None  # None: it is still being made


def members(cache_clusters: Iterable[Mapping[str, Any]]) -> dict[str, Member]:
    """`CacheClusters` of DescribeCacheClusters with ShowCacheNodeInfo, by id."""
    return {
        one["CacheClusterId"]: Member(
            one.get("EngineVersion") or None,
            # A node of Redis or Valkey is a cache cluster of its own.
            next(
                (found for node in one.get("CacheNodes", ()) if (found := endpoint_of(node.get("Endpoint")))),
                None,
            ),
        )
        for one in cache_clusters
    }


def replication_group(raw: Mapping[str, Any], known: Mapping[str, Member]) -> Candidate | Skipped:
    """One of `ReplicationGroups` of DescribeReplicationGroups.

    With cluster mode off it has a primary endpoint, with every node for verifying logins, and mostly a reader endpoint.
    With cluster mode on it has one configuration endpoint; its nodes' own addresses are only in `known`.

    Args:
        raw: the replication group.
        known: its nodes as far as they are known, by cache cluster id.
    """
    resource = f"replication group {raw['ReplicationGroupId']}"
    reason = unfit(resource, raw, encrypted=bool(raw.get("TransitEncryptionEnabled")))
    if reason is not None:
        return reason
    cluster_mode = bool(raw.get("ClusterEnabled") or raw.get("ConfigurationEndpoint"))
    doors = _configuration(raw, known) if cluster_mode else _primary_and_reader(raw)
    if not doors:
        return Skipped(resource, "it has no endpoint yet", passing=True)
    return Candidate(
        kind=DatabaseKind.ELASTICACHE,
        id=raw["ReplicationGroupId"],
        arn=raw["ARN"],
        groups=tuple(raw.get("UserGroupIds", ())),
        doors=doors,
        cluster_mode=cluster_mode,
        engine=str(raw.get("Engine") or "redis").lower(),
        engine_version=_version(raw, known),
        description=raw.get("Description", ""),
    )


def _configuration(raw: Mapping[str, Any], known: Mapping[str, Member]) -> tuple[Door, ...]:
    endpoint = endpoint_of(raw.get("ConfigurationEndpoint"))
    if endpoint is None:
        return ()
    # Nodes that are not known (see `ElastiCacheSource`) are left to the configuration endpoint, which leads to any of them.
    found = [known[one].endpoint for one in _member_ids(raw) if one in known]
    return (Door("configuration", endpoint, tuple(node for node in found if node is not None)),)


def _primary_and_reader(raw: Mapping[str, Any]) -> tuple[Door, ...]:
    for group in raw.get("NodeGroups", ()):  # with cluster mode off there is one, and it holds every node
        primary, reader = endpoint_of(group.get("PrimaryEndpoint")), endpoint_of(group.get("ReaderEndpoint"))
        if primary is None:
            continue
        nodes = [endpoint_of(member.get("ReadEndpoint")) for member in group.get("NodeGroupMembers", ())]
        door = Door("primary", primary, tuple(node for node in nodes if node is not None))
        return (door,) if reader is None else (door, Door("reader", reader, ending="-reader"))
    return ()


def _version(raw: Mapping[str, Any], known: Mapping[str, Member]) -> str | None:
    """The engine version of all nodes; there are two during an upgrade, and neither is the group's."""
    versions = {known[one].engine_version if one in known else None for one in _member_ids(raw)}
    return versions.pop() if len(versions) == 1 else None


def _member_ids(raw: Mapping[str, Any]) -> Sequence[str]:
    return [
        member.get("CacheClusterId", "")
        for group in raw.get("NodeGroups", ())
        for member in group.get("NodeGroupMembers", ())
    ]
