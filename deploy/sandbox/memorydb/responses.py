"""The MemoryDB calls that moto lacks or answers differently from AWS."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.responses import ActionResult
from moto.memorydb.responses import MemoryDBResponse as MotoResponse

from deploy.sandbox.memorydb.account import MemoryDBError
from deploy.sandbox.memorydb.backend import MemoryDB
from deploy.sandbox.memorydb.records import User
from deploy.sandbox.paging import page

__all__ = ["MemoryDBResponse"]

_MAX_RESULTS = 100
_USER_FILTERS: dict[str, Callable[[User], str]] = {
    "user-name": lambda user: user.name,
    "name": lambda user: user.name,
    "status": lambda user: user.status,
}


class MemoryDBResponse(MotoResponse):
    """One method per operation, found by moto by its name."""

    @property
    def _account(self) -> MemoryDB:
        return self.memorydb_backend  # type: ignore[return-value]

    @property
    def _params(self) -> dict[str, Any]:
        return json.loads(self.body or "{}")

    def create_user(self) -> ActionResult:  # noqa: D102
        return ActionResult({"User": self._account.create_account_user(self._params)})

    def update_user(self) -> ActionResult:  # noqa: D102
        return ActionResult({"User": self._account.update_account_user(self._params)})

    def delete_user(self) -> ActionResult:  # noqa: D102
        return ActionResult({"User": self._account.delete_account_user(self._params["UserName"])})

    def describe_users(self) -> ActionResult:  # noqa: D102
        account, params = self._account, self._params
        name = params.get("UserName")
        users: Iterable[User] = [account.user(name)] if name else account.account_users.values()
        for given in params.get("Filters") or ():
            value = _USER_FILTERS.get(given["Name"].lower())
            if value is None:
                raise MemoryDBError(
                    "InvalidParameterCombinationException", f"Unknown filter {given['Name']}."
                )
            users = [user for user in users if value(user) in given["Values"]]
        return self._page("Users", users, account.show_user)

    def create_acl(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ACL": self._account.create_acl(self._params)})

    def update_acl(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ACL": self._account.update_acl(self._params)})

    def delete_acl(self) -> ActionResult:  # noqa: D102
        return ActionResult({"ACL": self._account.delete_acl(self._params["ACLName"])})

    def describe_acls(self) -> ActionResult:  # noqa: D102
        account, name = self._account, self._params.get("ACLName")
        acls = [account.acl(name)] if name else account.acls.values()
        return self._page("ACLs", acls, account.show_acl)

    # What moto makes of the name DescribeACLs.
    describe_ac_ls = describe_acls

    def create_cluster(self) -> ActionResult:  # noqa: D102
        return ActionResult({"Cluster": self._account.create_database(self._params)})

    def update_cluster(self) -> ActionResult:  # noqa: D102
        return ActionResult({"Cluster": self._account.update_database(self._params)})

    def delete_cluster(self) -> ActionResult:  # noqa: D102
        return ActionResult({"Cluster": self._account.delete_database(self._params["ClusterName"])})

    def describe_clusters(self) -> ActionResult:  # noqa: D102
        account, params = self._account, self._params
        name, shards = params.get("ClusterName"), bool(params.get("ShowShardDetails"))
        clusters = [account.database(name)] if name else account.databases.values()
        return self._page("Clusters", clusters, lambda cluster: cluster.shown(shards=shards))

    def list_tags(self) -> ActionResult:  # noqa: D102
        return self._tag_list(self._account.tags_of(self._params["ResourceArn"]))

    def tag_resource(self) -> ActionResult:  # noqa: D102
        tags = self._account.tags_of(self._params["ResourceArn"])
        tags.update({tag["Key"]: tag.get("Value", "") for tag in self._params["Tags"]})
        return self._tag_list(tags)

    def untag_resource(self) -> ActionResult:  # noqa: D102
        tags = self._account.tags_of(self._params["ResourceArn"])
        for key in self._params["TagKeys"]:
            if tags.pop(key, None) is None:
                raise MemoryDBError("TagNotFoundFault", f"Tag {key} not found.")
        return self._tag_list(tags)

    def _tag_list(self, tags: dict[str, str]) -> ActionResult:
        return ActionResult({"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def _page(self, name: str, records: Iterable[Any], show: Callable[[Any], dict[str, Any]]) -> ActionResult:
        size = int(self._params.get("MaxResults") or _MAX_RESULTS)
        if not 1 <= size <= _MAX_RESULTS:
            raise MemoryDBError(
                "InvalidParameterCombinationException", f"MaxResults must be between 1 and {_MAX_RESULTS}."
            )
        try:
            found, token = page(records, lambda record: record.name, size, self._params.get("NextToken"))
        except ValueError:
            raise MemoryDBError(
                "InvalidParameterCombinationException", "The NextToken value is invalid."
            ) from None
        result: dict[str, Any] = {name: [show(record) for record in found]}
        if token:
            result["NextToken"] = token
        return ActionResult(result)
