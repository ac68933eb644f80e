"""The calls that change clusters, and the real servers behind these."""

from collections.abc import Mapping
from typing import Any

from deploy.sandbox.acl import DEFAULT_USER, EVERYTHING, Login, Logins
from deploy.sandbox.memorydb.account import OPEN_ACCESS, Account, MemoryDBError, reconcile
from deploy.sandbox.memorydb.records import Cluster

__all__ = ["ClusterCalls"]

_MAX_REPLICAS = 5
_ENGINE_VERSIONS = {"redis": "7.1", "valkey": "7.2"}


class ClusterCalls(Account):
    """Clusters: with TLS, each has servers of its own, which are one shard that owns all slots."""

    def create_database(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateCluster: real servers, which are there when the status is `available`."""
        name, engine = params["ClusterName"].lower(), params.get("Engine", "redis").lower()
        if name in self.databases:
            raise MemoryDBError("ClusterAlreadyExistsFault", f"Cluster {name} already exists.")
        if engine not in _ENGINE_VERSIONS:
            raise MemoryDBError("InvalidParameterValueException", f"Unknown engine {engine}.")
        acl_name, encrypted = self._usable(params["ACLName"]), params.get("TLSEnabled", True)
        if not encrypted and acl_name != OPEN_ACCESS:
            raise MemoryDBError(
                "InvalidParameterCombinationException", "Without TLS the ACL can only be open-access."
            )
        replicas = params.get("NumReplicasPerShard")
        cluster = Cluster(
            arn=self.arn("cluster", name),
            name=name,
            description=params.get("Description", ""),
            engine=engine,
            engine_version=params.get("EngineVersion") or _ENGINE_VERSIONS[engine],
            acl_name=acl_name,
            replicas=min(1 if replicas is None else replicas, _MAX_REPLICAS),
            deployment=None,
        )
        if encrypted:
            cluster.deployment = self.world.fleet.deploy(
                self.cache(name),
                cluster.replicas,
                lambda: self.logins_of(cluster),
                keys=self.world.keys,
                cluster=True,
            )
        self.databases[name] = cluster
        self.tag_new(cluster.arn, params)

        def take_effect() -> None:
            status = "create-failed"
            try:
                if cluster.deployment is not None:
                    cluster.deployment.start()
                status = "available"
            finally:
                with self.world.lock:
                    cluster.status = status

        self.world.timeline.aside(take_effect)
        return cluster.shown()

    def update_database(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateCluster: description, engine version, and which ACL says who reaches it."""
        cluster = self._available(params["ClusterName"])
        acl_name = self._usable(params["ACLName"]) if params.get("ACLName") else cluster.acl_name
        if acl_name != cluster.acl_name and cluster.deployment is None:
            raise MemoryDBError("InvalidParameterCombinationException", "Another ACL needs TLS.")
        cluster.description = params.get("Description", cluster.description)
        cluster.engine_version = params.get("EngineVersion") or cluster.engine_version
        if acl_name == cluster.acl_name:
            return cluster.shown()
        cluster.status, cluster.acl_to_apply = "updating", acl_name

        def take_effect() -> None:
            with self.world.lock:
                cluster.acl_name = acl_name
            reconcile([cluster])
            with self.world.lock:
                cluster.status, cluster.acl_to_apply = "available", None

        self.world.timeline.later(take_effect)
        return cluster.shown()

    def delete_database(self, name: str) -> dict[str, Any]:
        """DeleteCluster: ends its servers."""
        cluster = self._available(name)
        cluster.status = "deleting"

        def take_effect() -> None:
            if cluster.deployment is not None:
                self.world.fleet.retire(cluster.deployment)
            with self.world.lock:
                del self.databases[cluster.name]
                self.tags.pop(cluster.arn, None)

        self.world.timeline.aside(take_effect)
        return cluster.shown()

    def logins_of(self, cluster: Cluster) -> Logins:
        """Return the users that a cluster's servers should let in now."""
        with self.world.lock:
            if cluster.acl_name == OPEN_ACCESS:
                return {DEFAULT_USER: Login(EVERYTHING, "open-access")}
            return {
                name: self.account_users[name].in_force for name in self.acls[cluster.acl_name].user_names
            }

    def _usable(self, acl_name: str) -> str:
        acl = self.acl(acl_name)
        if acl.status != "active":
            raise MemoryDBError("InvalidACLStateFault", f"ACL {acl.name} is {acl.status}, not active.")
        return acl.name

    def _available(self, name: str) -> Cluster:
        cluster = self.database(name)
        if cluster.status != "available":
            raise MemoryDBError("InvalidClusterStateFault", f"Cluster {cluster.name} is {cluster.status}.")
        return cluster
