"""MemoryDB's clusters to records (pure). Shapes are those of its API, version 2021-01-01."""

from collections.abc import Mapping
from typing import Any

from discovery.model import DatabaseKind
from discovery.source import Skipped
from discovery.sources.listing import Candidate, Door, endpoint_of, unfit

__all__ = ["cluster"]

_OPEN_ACCESS = "open-access"


def cluster(raw: Mapping[str, Any]) -> Candidate | Skipped:
    """One of `Clusters` of DescribeClusters with ShowShardDetails: cluster mode always, one endpoint, every node.

    Its users are those of its ACL. The built-in ACL `open-access` is no list of users: it lets everybody in, whoever
    they say they are, so such a cluster is served and has none.
    """
    resource = f"MemoryDB cluster {raw['Name']}"
    reason = unfit(resource, raw, encrypted=bool(raw.get("TLSEnabled")))
    if reason is not None:
        return reason
    endpoint = endpoint_of(raw.get("ClusterEndpoint"))
    if endpoint is None:
        return Skipped(resource, "it has no endpoint yet", passing=True)
    nodes = [
        endpoint_of(node.get("Endpoint"))
        for shard in raw.get("Shards", ())
        for node in shard.get("Nodes", ())
    ]
    acl = raw.get("ACLName")
    return Candidate(
        kind=DatabaseKind.MEMORYDB,
        id=raw["Name"],
        arn=raw["ARN"],
        groups=() if acl in {None, "", _OPEN_ACCESS} else (acl,),
        doors=(Door("cluster", endpoint, tuple(node for node in nodes if node is not None)),),
        cluster_mode=True,
        engine=str(raw.get("Engine") or "redis").lower(),
        engine_version=raw.get("EngineVersion") or None,
        description=raw.get("Description", ""),
    )
