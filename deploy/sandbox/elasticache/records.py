"""An ElastiCache account's users and user groups, and how the API shows them."""

from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.acl import Login

__all__ = ["User", "UserGroup"]

_MINIMUM_ENGINE_VERSION = {"redis": "6.0", "valkey": "7.2"}


@dataclass
class User:
    """A user; `login` is what was asked for last, `in_force` what the servers let in, `changes` all that was asked for."""

    arn: str
    user_id: str
    user_name: str
    engine: str
    login: Login
    in_force: Login
    status: str = "active"
    changes: list[Login] = field(default_factory=list)

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

    def shown(self, replication_group_ids: list[str], serverless_names: list[str]) -> dict[str, Any]:
        """Return the API's `UserGroup`."""
        shown: dict[str, Any] = {
            "UserGroupId": self.user_group_id,
            "Status": self.status,
            "Engine": self.engine,
            "UserIds": self.user_ids,
            "MinimumEngineVersion": _MINIMUM_ENGINE_VERSION[self.engine],
            "ReplicationGroups": replication_group_ids,
            "ServerlessCaches": serverless_names,
            "ARN": self.arn,
        }
        if self.adding or self.removing:
            shown["PendingChanges"] = {"UserIdsToAdd": self.adding, "UserIdsToRemove": self.removing}
        return shown
