"""The calls that change users and user groups, and what they set going."""

from collections.abc import Mapping
from typing import Any

from moto.elasticache.exceptions import ElastiCacheException

from deploy.sandbox.acl import DEFAULT_USER
from deploy.sandbox.elasticache.account import Account, engine_of, reconcile
from deploy.sandbox.elasticache.logins import asked_login
from deploy.sandbox.elasticache.records import User, UserGroup

__all__ = ["UserCalls"]


class UserCalls(Account):
    """Users and user groups: a change holds once the record is active again."""

    def create_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateUser."""
        user_id, user_name, engine = params["UserId"].lower(), params["UserName"], engine_of(params)
        if user_id in self.account_users:
            raise ElastiCacheException("UserAlreadyExists", f"User {user_id} already exists.")
        login = asked_login(params, None, user_id=user_id, user_name=user_name)
        user = User(self.arn("user", user_id), user_id, user_name, engine, login, login)
        self.account_users[user_id] = user
        self.tag_new(user.arn, params)
        return self.show_user(user)

    def modify_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ModifyUser: the servers keep the old login until the user is active again."""
        user = self._active_user(params["UserId"])
        user.login = asked_login(params, user.login, user_id=user.user_id, user_name=user.user_name)
        if "Engine" in params:
            user.engine = engine_of(params)
        user.changes.append(user.login)
        user.status = "modifying"

        def take_effect() -> None:
            with self.world.lock:
                user.in_force = user.login
                reached = self.reached_by([user.user_id])
            reconcile(reached)
            with self.world.lock:
                user.status = "active"

        self.world.timeline.later(take_effect)
        return self.show_user(user)

    def delete_account_user(self, user_id: str) -> dict[str, Any]:
        """DeleteUser: takes the user out of its groups, too."""
        user = self._active_user(user_id)
        if user.user_name == DEFAULT_USER and any(
            user.user_id in group.user_ids for group in self.groups.values()
        ):
            raise ElastiCacheException(
                "DefaultUserAssociatedToUserGroup",
                f"User {user.user_id} is the default user of a user group.",
            )
        user.status = "deleting"

        def take_effect() -> None:
            with self.world.lock:
                reached = self.reached_by([user.user_id])
                for group in self.groups.values():
                    group.user_ids = [member for member in group.user_ids if member != user.user_id]
                del self.account_users[user.user_id]
                self.tags.pop(user.arn, None)
            reconcile(reached)

        self.world.timeline.later(take_effect)
        return self.show_user(user)

    def create_user_group(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateUserGroup."""
        group_id, engine = params["UserGroupId"].lower(), engine_of(params)
        if group_id in self.groups:
            raise ElastiCacheException("UserGroupAlreadyExists", f"User group {group_id} already exists.")
        user_ids = [user_id.lower() for user_id in params.get("UserIds") or ()]
        self._check_members(engine, user_ids)
        group = UserGroup(self.arn("usergroup", group_id), group_id, engine, user_ids)
        self.groups[group_id] = group
        self.tag_new(group.arn, params)
        return self.show_group(group)

    def modify_user_group(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ModifyUserGroup: a user that is taken out loses its connections when the change is through."""
        group = self.group(params["UserGroupId"])
        adding = [user_id.lower() for user_id in params.get("UserIdsToAdd") or ()]
        removing = [user_id.lower() for user_id in params.get("UserIdsToRemove") or ()]
        if not adding and not removing:
            raise ElastiCacheException("InvalidParameterCombination", "Nothing to add and nothing to remove.")
        if group.status != "active":
            raise ElastiCacheException(
                "InvalidUserGroupState", f"User group {group.user_group_id} is {group.status}."
            )
        if unknown := set(removing) - set(group.user_ids):
            raise ElastiCacheException("UserNotFound", f"User {min(unknown)} is not in the group.")
        if known := set(adding) & set(group.user_ids):
            raise ElastiCacheException("InvalidParameterValue", f"User {min(known)} is in the group already.")
        members = [user_id for user_id in group.user_ids if user_id not in removing] + adding
        self._check_members(group.engine, members)
        group.status, group.adding, group.removing = "modifying", adding, removing

        def take_effect() -> None:
            with self.world.lock:
                # A user may have been deleted meanwhile.
                group.user_ids = [user_id for user_id in members if user_id in self.account_users]
                reached = self.reached_by(group_ids=[group.user_group_id])
            reconcile(reached)
            with self.world.lock:
                group.status, group.adding, group.removing = "active", [], []

        self.world.timeline.later(take_effect)
        return self.show_group(group)

    def delete_user_group(self, group_id: str) -> dict[str, Any]:
        """DeleteUserGroup: its users can no longer reach the databases it was attached to."""
        group = self.group(group_id)
        if group.status != "active":
            raise ElastiCacheException(
                "InvalidUserGroupState", f"User group {group.user_group_id} is {group.status}."
            )
        group.status = "deleting"

        def take_effect() -> None:
            with self.world.lock:
                reached = self.reached_by(group_ids=[group.user_group_id])
                for database in reached:
                    database.user_group_ids.remove(group.user_group_id)
                del self.groups[group.user_group_id]
                self.tags.pop(group.arn, None)
            reconcile(reached)

        self.world.timeline.later(take_effect)
        return self.show_group(group)

    def _active_user(self, user_id: str) -> User:
        user = self.user(user_id)
        if user.user_id == DEFAULT_USER:
            raise ElastiCacheException("InvalidParameterValue", "The user default cannot be changed.")
        if user.status != "active":
            raise ElastiCacheException(
                "InvalidUserState", f"User {user.user_id} is {user.status}, not active."
            )
        return user

    def _check_members(self, engine: str, user_ids: list[str]) -> None:
        users = [self.user(user_id) for user_id in user_ids]
        names = [user.user_name for user in users]
        if len(set(names)) < len(names):
            raise ElastiCacheException("DuplicateUserName", "User names are unique within a user group.")
        if engine == "redis" and DEFAULT_USER not in names:
            raise ElastiCacheException(
                "DefaultUserRequired", "A user group for Redis needs a user named default."
            )
