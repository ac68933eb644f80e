"""The ElastiCache calls that moto lacks or answers differently from AWS."""

from collections.abc import Callable, Iterable
from typing import Any

from moto.core.responses import ActionResult
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.responses import ElastiCacheResponse as MotoResponse

from deploy.sandbox.elasticache.backend import ElastiCache
from deploy.sandbox.elasticache.records import User
from deploy.sandbox.paging import page

__all__ = ["ElastiCacheResponse"]

_MAX_RECORDS = 100
_MAX_SERVERLESS = 50
_USER_FILTERS: dict[str, Callable[[User], str]] = {
    "user-id": lambda user: user.user_id,
    "user-name": lambda user: user.user_name,
    "engine": lambda user: user.engine,
    "status": lambda user: user.status,
}


class ElastiCacheResponse(MotoResponse):
    """One method per operation, found by moto by its name."""

    @property
    def _account(self) -> ElastiCache:
        return self.elasticache_backend  # type: ignore[return-value]

    def create_user(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.create_account_user(self.params))

    def modify_user(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.modify_account_user(self.params))

    def delete_user(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.delete_account_user(self.params["UserId"]))

    def describe_users(self) -> ActionResult:  # noqa: D102
        account, params = self._account, self.params
        users = [account.user(params["UserId"])] if params.get("UserId") else account.account_users.values()
        for given in params.get("Filters") or ():
            value = _USER_FILTERS.get(given["Name"].lower())
            if value is None:
                raise ElastiCacheException("InvalidParameterValue", f"Unknown filter {given['Name']}.")
            users = [user for user in users if value(user) in given["Values"]]
        users = [user for user in users if user.engine == params.get("Engine", user.engine).lower()]
        return self._page("Users", users, lambda user: user.user_id, account.show_user)

    def create_user_group(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.create_user_group(self.params))

    def modify_user_group(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.modify_user_group(self.params))

    def delete_user_group(self) -> ActionResult:  # noqa: D102
        return ActionResult(self._account.delete_user_group(self.params["UserGroupId"]))

    def describe_user_groups(self) -> ActionResult:  # noqa: D102
        account, group_id = self._account, self.params.get("UserGroupId")
        groups = [account.group(group_id)] if group_id else account.groups.values()
        return self._page("UserGroups", groups, lambda group: group.user_group_id, account.show_group)

    def create_replication_group(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ReplicationGroup": self._account.create_database(self.params)})

    def modify_replication_group(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ReplicationGroup": self._account.modify_database(self.params)})

    def delete_replication_group(self) -> ActionResult:  # noqa: D102
        return ActionResult(
            {"ReplicationGroup": self._account.delete_database(self.params["ReplicationGroupId"])}
        )

    def describe_replication_groups(self) -> ActionResult:  # noqa: D102
        account, group_id = self._account, self.params.get("ReplicationGroupId")
        databases = [account.database(group_id)] if group_id else account.databases.values()
        return self._page(
            "ReplicationGroups",
            databases,
            lambda database: database.replication_group_id,
            lambda database: database.shown(),
        )

    def describe_cache_clusters(self) -> ActionResult:  # noqa: D102
        account, params = self._account, self.params
        flag = params.get("ShowCacheClustersNotInReplicationGroups")
        # There are none but those of replication groups.
        databases = () if _true(flag) else account.databases.values()
        node_info = _true(params.get("ShowCacheNodeInfo"))
        members = [one for database in databases for one in database.members_shown(node_info=node_info)]
        wanted = params.get("CacheClusterId")
        if wanted:
            members = [one for one in members if one["CacheClusterId"] == wanted.lower()]
            if not members:
                raise ElastiCacheException("CacheClusterNotFound", f"CacheCluster {wanted} not found.")
        return self._page("CacheClusters", members, lambda one: one["CacheClusterId"], lambda one: one)

    def create_serverless_cache(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ServerlessCache": self._account.create_serverless(self.params)})

    def modify_serverless_cache(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ServerlessCache": self._account.modify_serverless(self.params)})

    def delete_serverless_cache(self) -> ActionResult:  # noqa: D102
        name = self.params["ServerlessCacheName"]
        return ActionResult({"ServerlessCache": self._account.delete_serverless(name)})

    def describe_serverless_caches(self) -> ActionResult:  # noqa: D102
        account, params = self._account, self.params
        name = params.get("ServerlessCacheName")
        caches = [account.serverless_cache(name)] if name else account.serverless.values()
        size = int(params.get("MaxResults") or _MAX_SERVERLESS)
        found, token = _cut(caches, lambda cache: cache.name, size, _MAX_SERVERLESS, params.get("NextToken"))
        result: dict[str, Any] = {"ServerlessCaches": [cache.shown() for cache in found]}
        if token:
            result["NextToken"] = token
        return ActionResult(result)

    def list_tags_for_resource(self) -> ActionResult:  # noqa: D102
        return self._tag_list(self._account.tags_of(self.params["ResourceName"]))

    def add_tags_to_resource(self) -> ActionResult:  # noqa: D102
        tags = self._account.tags_of(self.params["ResourceName"])
        tags.update({tag["Key"]: tag.get("Value", "") for tag in self.params["Tags"]})
        return self._tag_list(tags)

    def remove_tags_from_resource(self) -> ActionResult:  # noqa: D102
        tags = self._account.tags_of(self.params["ResourceName"])
        for key in self.params["TagKeys"]:
            if tags.pop(key, None) is None:
                raise ElastiCacheException("TagNotFound", f"Tag {key} not found.")
        return self._tag_list(tags)

    def _tag_list(self, tags: dict[str, str]) -> ActionResult:
        return ActionResult({"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def _page(
        self,
        name: str,
        records: Iterable[Any],
        key: Callable[[Any], str],
        show: Callable[[Any], dict[str, Any]],
    ) -> ActionResult:
        size = int(self.params.get("MaxRecords") or _MAX_RECORDS)
        found, marker = _cut(records, key, size, _MAX_RECORDS, self.params.get("Marker"))
        result: dict[str, Any] = {name: [show(record) for record in found]}
        if marker:
            result["Marker"] = marker
        return ActionResult(result)


def _cut(
    records: Iterable[Any], key: Callable[[Any], str], size: int, most: int, marker: str | None
) -> tuple[list[Any], str | None]:
    if not 1 <= size <= most:
        raise ElastiCacheException("InvalidParameterValue", f"A page has between 1 and {most} records.")
    try:
        return page(records, key, size, marker)
    except ValueError:
        raise ElastiCacheException("InvalidParameterValue", "The marker is invalid.") from None


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
