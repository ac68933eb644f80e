"""What an ElastiCache account holds, and how the API shows it."""

from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.acl import Login
from deploy.sandbox.fleet import Deployment
from deploy.sandbox.redis_nodes import HOST, Node

__all__ = ["ReplicationGroup", "User", "UserGroup"]

_MINIMUM_ENGINE_VERSION = {"redis": "6.0", "valkey": "7.2"}


@dataclass
class User:
    """A user; `login` is what was asked for last, `in_force` what the servers let in."""

    arn: str
    user_id: str
    user_name: str
    engine: str
    login: Login
    in_force: Login
    status: str = "active"

    def shown(self, group_ids: list[str]) -> dict[str, Any]:
        """Return the API's `User`. No answer of AWS ever has a password in it."""
        authentication: dict[str, Any] = {"Type": self.login.authentication}
        if self.login.authentication == "password":
            authentication["PasswordCount"] = len(self.login.passwords)
        return {
            "UserId": self.user_id,
            "UserName": self.user_name,
            "Status": self.status,
            "Engine": self.engine,
            "MinimumEngineVersion": _MINIMUM_ENGINE_VERSION[self.engine],
            "AccessString": self.login.access_string,
            "UserGroupIds": group_ids,
            "Authentication": authentication,
            "ARN": self.arn,
        }


@dataclass
class UserGroup:
    """A user group; members change when the change is through, until then it is pending."""

    arn: str
    user_group_id: str
    engine: str
    user_ids: list[str]
    status: str = "active"
    adding: list[str] = field(default_factory=list)
    removing: list[str] = field(default_factory=list)

    def shown(self, replication_group_ids: list[str]) -> dict[str, Any]:
        """Return the API's `UserGroup`."""
        shown: dict[str, Any] = {
            "UserGroupId": self.user_group_id,
            "Status": self.status,
            "Engine": self.engine,
            "UserIds": self.user_ids,
            "MinimumEngineVersion": _MINIMUM_ENGINE_VERSION[self.engine],
            "ReplicationGroups": replication_group_ids,
            "ARN": self.arn,
        }
        if self.adding or self.removing:
            shown["PendingChanges"] = {"UserIdsToAdd": self.adding, "UserIdsToRemove": self.removing}
        return shown


@dataclass
class ReplicationGroup:
    """A replication group; without in-transit encryption it is only a record, with no servers."""

    arn: str
    replication_group_id: str
    description: str
    engine: str
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
        nodes = self.deployment.nodes if self.deployment else []
        shown: dict[str, Any] = {
            "ReplicationGroupId": self.replication_group_id,
            "Description": self.description,
            "Status": self.status,
            "Engine": self.engine,
            "MemberClusters": [f"{self.replication_group_id}-{index + 1:03}" for index in range(len(nodes))],
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

    def _endpoints(self, nodes: list[Node]) -> dict[str, Any]:
        node_group: dict[str, Any] = {"NodeGroupId": "0001", "Status": "available"}
        members = [
            {"CacheClusterId": f"{self.replication_group_id}-{index + 1:03}", "CacheNodeId": "0001"}
            for index in range(len(nodes))
        ]
        node_group["NodeGroupMembers"] = members
        if not nodes:
            name = f"{self.replication_group_id}.sandbox.ng.0001.use1.cache.amazonaws.com"
            node_group["PrimaryEndpoint"] = {"Address": name, "Port": 6379}
            return {"NodeGroups": [node_group]}
        if self.cluster_enabled:
            node_group["Slots"] = "0-16383"
            return {"ConfigurationEndpoint": _endpoint(nodes[0]), "NodeGroups": [node_group]}
        node_group["PrimaryEndpoint"] = _endpoint(nodes[0])
        # As on AWS, the reader endpoint leads to the primary where there is no replica.
        node_group["ReaderEndpoint"] = _endpoint(nodes[1] if len(nodes) > 1 else nodes[0])
        for member, node in zip(members, nodes, strict=True):
            member["CurrentRole"] = node.role
            member["ReadEndpoint"] = _endpoint(node)  # type: ignore[assignment]
        return {"NodeGroups": [node_group]}


def _endpoint(node: Node) -> dict[str, Any]:
    return {"Address": HOST, "Port": node.port}
