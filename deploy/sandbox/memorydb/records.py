"""What a MemoryDB account holds, and how the API shows it."""

from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.acl import Login
from deploy.sandbox.fleet import Deployment
from deploy.sandbox.redis_nodes import HOST

__all__ = ["AccessControlList", "Cluster", "User"]

_MINIMUM_ENGINE_VERSION = {"iam": "7.0"}


@dataclass
class User:
    """A user; `login` is what was asked for last, `in_force` what the servers let in, `changes` all that was asked for."""

    arn: str
    name: str
    login: Login
    in_force: Login
    status: str = "active"
    changes: list[Login] = field(default_factory=list)

    def shown(self, acl_names: list[str]) -> dict[str, Any]:
        """Return the API's `User`. No answer of AWS ever has a password in it."""
        authentication: dict[str, Any] = {"Type": self.login.authentication}
        if self.login.authentication == "password":
            authentication["PasswordCount"] = len(self.login.passwords)
        return {
            "Name": self.name,
            "Status": self.status,
            "AccessString": self.login.access_string,
            "ACLNames": acl_names,
            "MinimumEngineVersion": _MINIMUM_ENGINE_VERSION.get(self.login.authentication, "6.2"),
            "Authentication": authentication,
            "ARN": self.arn,
        }


@dataclass
class AccessControlList:
    """An ACL; members change when the change is through, until then it is pending."""

    arn: str
    name: str
    user_names: list[str]
    status: str = "active"
    adding: list[str] = field(default_factory=list)
    removing: list[str] = field(default_factory=list)

    def shown(self, cluster_names: list[str]) -> dict[str, Any]:
        """Return the API's `ACL`."""
        shown: dict[str, Any] = {
            "Name": self.name,
            "Status": self.status,
            "UserNames": self.user_names,
            "MinimumEngineVersion": "6.2",
            "Clusters": cluster_names,
            "ARN": self.arn,
        }
        if self.adding or self.removing:
            shown["PendingChanges"] = {"UserNamesToAdd": self.adding, "UserNamesToRemove": self.removing}
        return shown


@dataclass
class Cluster:
    """A cluster of one shard; without TLS it is only a record, with no servers."""

    arn: str
    name: str
    description: str
    engine: str
    engine_version: str
    acl_name: str
    replicas: int
    deployment: Deployment | None
    status: str = "creating"
    acl_to_apply: str | None = None

    def shown(self, *, shards: bool = False) -> dict[str, Any]:
        """Return the API's `Cluster`, which has no endpoint as long as it is being created."""
        shown: dict[str, Any] = {
            "Name": self.name,
            "Description": self.description,
            "Status": self.status,
            "NumberOfShards": 1,
            "AvailabilityMode": "multiaz" if self.replicas else "singleaz",
            "NodeType": "db.t4g.small",
            "Engine": self.engine,
            "EngineVersion": self.engine_version,
            "EnginePatchVersion": _patch(self.engine_version),
            "TLSEnabled": self.deployment is not None,
            "ARN": self.arn,
            "SnapshotRetentionLimit": 0,
            "ACLName": self.acl_name,
            "AutoMinorVersionUpgrade": True,
            "DataTiering": "false",
        }
        if self.acl_to_apply is not None:
            shown["PendingUpdates"] = {"ACLs": {"ACLToApply": self.acl_to_apply}}
        there = self.status not in ("creating", "create-failed")
        if there:
            shown["ClusterEndpoint"] = self._endpoint(0)
        if shards:
            shown["Shards"] = [self._shard(there=there)]
        return shown

    def _shard(self, *, there: bool) -> dict[str, Any]:
        nodes = []
        for index in range(1 + self.replicas):
            node: dict[str, Any] = {
                "Name": f"{self.name}-0001-{index + 1:03}",
                "Status": "available" if there else "creating",
                "AvailabilityZone": f"us-east-1{'abcdef'[index]}",
            }
            if there:
                node["Endpoint"] = self._endpoint(index)
            nodes.append(node)
        return {
            "Name": "0001",
            "Status": "available" if there else "creating",
            "Slots": "0-16383",
            "Nodes": nodes,
            "NumberOfNodes": len(nodes),
        }

    def _endpoint(self, index: int) -> dict[str, Any]:
        if self.deployment is None:
            return {"Address": f"{self.name}.sandbox.memorydb.us-east-1.amazonaws.com", "Port": 6379}
        return {"Address": HOST, "Port": self.deployment.nodes[index].port}


def _patch(engine_version: str) -> str:
    return f"{engine_version}.6" if engine_version.count(".") == 1 else engine_version
