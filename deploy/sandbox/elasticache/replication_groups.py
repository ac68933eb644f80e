"""The calls that change replication groups, and the real servers behind these."""

from collections.abc import Mapping
from typing import Any

from moto.elasticache.exceptions import ElastiCacheException

from deploy.sandbox.elasticache.account import Account, engine_of, reconcile
from deploy.sandbox.elasticache.replication_group import ReplicationGroup

__all__ = ["ReplicationGroupCalls"]

_MAX_REPLICAS = 5
_NEWEST = {"redis": "7.1.0", "valkey": "8.1.0"}


class ReplicationGroupCalls(Account):
    """Replication groups: with in-transit encryption, each has servers of its own."""

    def create_database(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateReplicationGroup: real servers, which are there when the status is `available`."""
        group_id, engine = params["ReplicationGroupId"].lower(), engine_of(params)
        if group_id in self.databases:
            raise ElastiCacheException(
                "ReplicationGroupAlreadyExists", f"Replication group {group_id} already exists."
            )
        encrypted = bool(params.get("TransitEncryptionEnabled"))
        user_group_ids = [
            self.attachable(user_group_id) for user_group_id in params.get("UserGroupIds") or ()
        ]
        token = params.get("AuthToken")
        if (user_group_ids or token) and not encrypted:
            raise ElastiCacheException(
                "InvalidParameterCombination", "User groups and AUTH tokens need in-transit encryption."
            )
        if user_group_ids and token:
            raise ElastiCacheException(
                "InvalidParameterCombination", "User groups and an AUTH token exclude each other."
            )
        cluster = params.get("ClusterMode") == "enabled" or int(params.get("NumNodeGroups") or 1) > 1
        replicas = min(_replicas(params), _MAX_REPLICAS)
        database = ReplicationGroup(
            arn=self.arn("replicationgroup", group_id),
            replication_group_id=group_id,
            description=params.get("ReplicationGroupDescription", ""),
            engine=engine,
            engine_version=_full_version(engine, params.get("EngineVersion")),
            cluster_enabled=cluster,
            user_group_ids=user_group_ids,
            auth_token=token,
            deployment=None,
        )
        if encrypted:
            database.deployment = self.world.fleet.deploy(
                self.cache(group_id),
                replicas,
                lambda: self.logins_of(database),
                keys=self.world.keys,
                cluster=cluster,
            )
        self.databases[group_id] = database
        self.tag_new(database.arn, params)

        def take_effect() -> None:
            status = "create-failed"
            try:
                if database.deployment is not None:
                    database.deployment.start()
                status = "available"
            finally:
                with self.world.lock:
                    database.status = status

        self.world.timeline.aside(take_effect)
        return database.shown()

    def modify_database(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ModifyReplicationGroup: description, and which user groups reach it."""
        database = self._available_database(params["ReplicationGroupId"])
        adding = [self.attachable(group_id) for group_id in params.get("UserGroupIdsToAdd") or ()]
        removing = [group_id.lower() for group_id in params.get("UserGroupIdsToRemove") or ()]
        if params.get("RemoveUserGroups"):
            removing = list(database.user_group_ids)
        if adding and database.deployment is None:
            raise ElastiCacheException(
                "InvalidParameterCombination", "User groups need in-transit encryption."
            )
        for group_id in removing:
            if group_id not in database.user_group_ids:
                raise ElastiCacheException("UserGroupNotFound", f"User group {group_id} is not attached.")
        database.description = params.get("ReplicationGroupDescription") or database.description
        if not adding and not removing:
            return database.shown()
        database.status, database.adding, database.removing = "modifying", adding, removing

        def take_effect() -> None:
            with self.world.lock:
                kept = [group_id for group_id in database.user_group_ids if group_id not in removing]
                database.user_group_ids = list(dict.fromkeys([*kept, *adding]))
            reconcile([database])
            with self.world.lock:
                database.status, database.adding, database.removing = "available", [], []

        self.world.timeline.later(take_effect)
        return database.shown()

    def delete_database(self, group_id: str) -> dict[str, Any]:
        """DeleteReplicationGroup: ends its servers."""
        database = self._available_database(group_id)
        database.status = "deleting"

        def take_effect() -> None:
            if database.deployment is not None:
                self.world.fleet.retire(database.deployment)
            with self.world.lock:
                del self.databases[database.replication_group_id]
                self.tags.pop(database.arn, None)

        self.world.timeline.aside(take_effect)
        return database.shown()

    def _available_database(self, group_id: str) -> ReplicationGroup:
        database = self.database(group_id)
        if database.status != "available":
            message = f"Replication group {database.replication_group_id} is {database.status}."
            raise ElastiCacheException("InvalidReplicationGroupState", message)
        return database


def _replicas(params: Mapping[str, Any]) -> int:
    if params.get("NumCacheClusters"):
        return int(params["NumCacheClusters"]) - 1
    if params.get("ReplicasPerNodeGroup") is not None:
        return int(params["ReplicasPerNodeGroup"])
    return 1


def _full_version(engine: str, asked: str | None) -> str:
    # AWS takes "7.1" and shows "7.1.0".
    return _NEWEST[engine] if asked is None else ".".join((*asked.split("."), "0", "0")[:3])
