"""A replication group, and how the API shows it and the cache clusters that it is made of."""

from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.fleet import Deployment
from deploy.sandbox.redis_nodes import HOST, Node

__all__ = ["ReplicationGroup", "endpoint"]


@dataclass
class ReplicationGroup:
    """A replication group; without in-transit encryption it is only a record, with no servers."""

    arn: str
    replication_group_id: str
    description: str
    engine: str
    engine_version: str
    cluster_enabled: bool
    user_group_ids: list[str]
    auth_token: str | None
    deployment: Deployment | None
    status: str = "creating"
    adding: list[str] = field(default_factory=list)
    removing: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Return the API's `ReplicationGroup`, which has no endpoint as long as it is being created."""
        encrypted = self.deployment is not None
        nodes = self._nodes
        shown: dict[str, Any] = {
            "ReplicationGroupId": self.replication_group_id,
            "Description": self.description,
            "Status": self.status,
            "Engine": self.engine,
            "MemberClusters": self.member_ids(),
            "AutomaticFailover": "enabled" if len(nodes) > 1 else "disabled",
            "MultiAZ": "disabled",
            "SnapshotRetentionLimit": 0,
            "ClusterEnabled": self.cluster_enabled,
            "ClusterMode": "enabled" if self.cluster_enabled else "disabled",
            "CacheNodeType": "cache.t4g.micro",
            "AuthTokenEnabled": self.auth_token is not None,
            "TransitEncryptionEnabled": encrypted,
            "AtRestEncryptionEnabled": False,
            "UserGroupIds": self.user_group_ids,
            "ARN": self.arn,
        }
        if encrypted:
            shown["TransitEncryptionMode"] = "required"
        if self.adding or self.removing:
            shown["PendingModifiedValues"] = {
                "UserGroups": {"UserGroupIdsToAdd": self.adding, "UserGroupIdsToRemove": self.removing}
            }
        if self.status not in ("creating", "create-failed"):
            shown |= self._endpoints(nodes)
        return shown

    def member_ids(self) -> list[str]:
        """Return the ids of its cache clusters, which is what AWS calls a node here."""
        shard = f"{self.replication_group_id}-0001" if self.cluster_enabled else self.replication_group_id
        return [f"{shard}-{index + 1:03}" for index in range(len(self._nodes))]

    def members_shown(self, *, node_info: bool) -> list[dict[str, Any]]:
        """Return the API's `CacheCluster` of each node: the only place where AWS tells engine versions."""
        return [
            self._member_shown(member_id, node, node_info=node_info)
            for member_id, node in zip(self.member_ids(), self._nodes, strict=True)
        ]

    @property
    def _nodes(self) -> list[Node]:
        return self.deployment.nodes if self.deployment else []

    def _member_shown(self, member_id: str, node: Node, *, node_info: bool) -> dict[str, Any]:
        status = "creating" if self.status == "creating" else "available"
        shown: dict[str, Any] = {
            "CacheClusterId": member_id,
            "ReplicationGroupId": self.replication_group_id,
            "CacheClusterStatus": status,
            "Engine": self.engine,
            "EngineVersion": self.engine_version,
            "CacheNodeType": "cache.t4g.micro",
            "NumCacheNodes": 1,
            "AuthTokenEnabled": self.auth_token is not None,
            "TransitEncryptionEnabled": True,
            "AtRestEncryptionEnabled": False,
            "ARN": self.arn.replace(
                f":replicationgroup:{self.replication_group_id}", f":cluster:{member_id}"
            ),
        }
        if node_info:
            cache_node: dict[str, Any] = {"CacheNodeId": "0001", "CacheNodeStatus": status}
            if status == "available":
                cache_node["Endpoint"] = endpoint(node)
            shown["CacheNodes"] = [cache_node]
        return shown

    def _endpoints(self, nodes: list[Node]) -> dict[str, Any]:
        node_group: dict[str, Any] = {"NodeGroupId": "0001", "Status": "available"}
        members = [{"CacheClusterId": member_id, "CacheNodeId": "0001"} for member_id in self.member_ids()]
        node_group["NodeGroupMembers"] = members
        if not nodes:
            name = f"{self.replication_group_id}.sandbox.ng.0001.use1.cache.amazonaws.com"
            node_group["PrimaryEndpoint"] = {"Address": name, "Port": 6379}
            return {"NodeGroups": [node_group]}
        if self.cluster_enabled:
            node_group["Slots"] = "0-16383"
            return {"ConfigurationEndpoint": endpoint(nodes[0]), "NodeGroups": [node_group]}
        node_group["PrimaryEndpoint"] = endpoint(nodes[0])
        # As on AWS, the reader endpoint leads to the primary where there is no replica.
        node_group["ReaderEndpoint"] = endpoint(nodes[1] if len(nodes) > 1 else nodes[0])
        for member, node in zip(members, nodes, strict=True):
            member["CurrentRole"] = node.role
            member["ReadEndpoint"] = endpoint(node)  # type: ignore[assignment]
        return {"NodeGroups": [node_group]}


def endpoint(node: Node) -> dict[str, Any]:
    """Return the API's `Endpoint` of a server."""
    return {"Address": HOST, "Port": node.port}
