"""One account's ElastiCache in one region: its records, and what a change of them sets going."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from moto.core.resource_tagging import TaggedResource
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import ElastiCacheBackend as MotoBackend

from deploy.sandbox.acl import DEFAULT_USER, Acl, Login, rules
from deploy.sandbox.elasticache.logins import asked_login
from deploy.sandbox.elasticache.records import ReplicationGroup, User, UserGroup
from deploy.sandbox.world import World

__all__ = ["ElastiCache"]

_ENGINES = ("redis", "valkey")
_MAX_REPLICAS = 5


class ElastiCache(MotoBackend):
    """Users, user groups and replication groups as AWS has them; the rest is moto's."""

    world: ClassVar[World]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        # AWS's own default user, which no group is obliged to take.
        default = Login("on ~* +@all", "no-password")
        self.account_users = {
            DEFAULT_USER: User(
                self._arn("user", DEFAULT_USER), DEFAULT_USER, DEFAULT_USER, "redis", default, default
            )
        }
        self.groups: dict[str, UserGroup] = {}
        self.databases: dict[str, ReplicationGroup] = {}
        self.tags: dict[str, dict[str, str]] = {}

    @property
    def _url_module(self) -> Any:
        from deploy.sandbox.elasticache import urls  # noqa: PLC0415 - urls needs this module first

        return urls

    def create_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateUser."""
        user_id, user_name, engine = params["UserId"].lower(), params["UserName"], _engine(params)
        if user_id in self.account_users:
            raise ElastiCacheException("UserAlreadyExists", f"User {user_id} already exists.")
        login = asked_login(params, None, user_id=user_id, user_name=user_name)
        user = User(self._arn("user", user_id), user_id, user_name, engine, login, login)
        self.account_users[user_id] = user
        self._tag_new(user.arn, params)
        return self.show_user(user)

    def modify_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ModifyUser: the servers keep the old login until the user is active again."""
        user = self._active_user(params["UserId"])
        user.login = asked_login(params, user.login, user_id=user.user_id, user_name=user.user_name)
        if "Engine" in params:
            user.engine = _engine(params)
        user.status = "modifying"

        def take_effect() -> None:
            with self.world.lock:
                user.in_force = user.login
                reached = self._reached_by([user.user_id])
            _reconcile(reached)
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
                reached = self._reached_by([user.user_id])
                for group in self.groups.values():
                    group.user_ids = [member for member in group.user_ids if member != user.user_id]
                del self.account_users[user.user_id]
                self.tags.pop(user.arn, None)
            _reconcile(reached)

        self.world.timeline.later(take_effect)
        return self.show_user(user)

    def create_user_group(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateUserGroup."""
        group_id, engine = params["UserGroupId"].lower(), _engine(params)
        if group_id in self.groups:
            raise ElastiCacheException("UserGroupAlreadyExists", f"User group {group_id} already exists.")
        user_ids = [user_id.lower() for user_id in params.get("UserIds") or ()]
        self._check_members(engine, user_ids)
        group = UserGroup(self._arn("usergroup", group_id), group_id, engine, user_ids)
        self.groups[group_id] = group
        self._tag_new(group.arn, params)
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
                reached = self._reached_by(group_ids=[group.user_group_id])
            _reconcile(reached)
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
                reached = self._reached_by(group_ids=[group.user_group_id])
                for database in reached:
                    database.user_group_ids.remove(group.user_group_id)
                del self.groups[group.user_group_id]
                self.tags.pop(group.arn, None)
            _reconcile(reached)

        self.world.timeline.later(take_effect)
        return self.show_group(group)

    def create_database(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateReplicationGroup: real servers, which are there when the status is `available`."""
        group_id, engine = params["ReplicationGroupId"].lower(), _engine(params)
        if group_id in self.databases:
            raise ElastiCacheException(
                "ReplicationGroupAlreadyExists", f"Replication group {group_id} already exists."
            )
        encrypted = bool(params.get("TransitEncryptionEnabled"))
        user_group_ids = [
            self._attachable(user_group_id) for user_group_id in params.get("UserGroupIds") or ()
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
            arn=self._arn("replicationgroup", group_id),
            replication_group_id=group_id,
            description=params.get("ReplicationGroupDescription", ""),
            engine=engine,
            cluster_enabled=cluster,
            user_group_ids=user_group_ids,
            auth_token=token,
            deployment=None,
        )
        if encrypted:
            database.deployment = self.world.fleet.deploy(
                group_id, replicas, lambda: self.acl_of(database), cluster=cluster
            )
        self.databases[group_id] = database
        self._tag_new(database.arn, params)

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
        adding = [self._attachable(group_id) for group_id in params.get("UserGroupIdsToAdd") or ()]
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
            _reconcile([database])
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

    def acl_of(self, database: ReplicationGroup) -> Acl:
        """Return the users that a database's servers should hold now."""
        with self.world.lock:
            acl = {}
            for group_id in database.user_group_ids:
                for user_id in self.groups[group_id].user_ids:
                    user = self.account_users[user_id]
                    acl[user.user_name] = rules(user.user_name, user.in_force)
            if database.auth_token is not None:
                shared = Login("on ~* &* +@all", "password", (database.auth_token,))
                acl[DEFAULT_USER] = rules(DEFAULT_USER, shared)
            return acl

    def user(self, user_id: str) -> User:
        """Return a user by its id, or raise UserNotFound."""
        try:
            return self.account_users[user_id.lower()]
        except KeyError:
            raise ElastiCacheException("UserNotFound", f"User {user_id} not found.") from None

    def group(self, group_id: str) -> UserGroup:
        """Return a user group by its id, or raise UserGroupNotFound."""
        try:
            return self.groups[group_id.lower()]
        except KeyError:
            raise ElastiCacheException("UserGroupNotFound", f"User group {group_id} not found.") from None

    def database(self, group_id: str) -> ReplicationGroup:
        """Return a replication group by its id, or raise ReplicationGroupNotFoundFault."""
        try:
            return self.databases[group_id.lower()]
        except KeyError:
            message = f"ReplicationGroup {group_id} not found."
            raise ElastiCacheException("ReplicationGroupNotFoundFault", message) from None

    def show_user(self, user: User) -> dict[str, Any]:
        """Return the API's `User`."""
        group_ids = [group.user_group_id for group in self.groups.values() if user.user_id in group.user_ids]
        return user.shown(group_ids)

    def show_group(self, group: UserGroup) -> dict[str, Any]:
        """Return the API's `UserGroup`."""
        attached = [
            database.replication_group_id
            for database in self.databases.values()
            if group.user_group_id in database.user_group_ids
        ]
        return group.shown(attached)

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource, to be changed in place, or raise its kind of not found."""
        parts = arn.split(":")
        if len(parts) != 7 or parts[2] != "elasticache":
            raise ElastiCacheException("InvalidARN", f"ARN {arn} is invalid.")
        kind, name = parts[5:]
        find = {"user": self.user, "usergroup": self.group, "replicationgroup": self.database}.get(kind)
        if find is None or find(name).arn != arn:
            raise ElastiCacheException("InvalidARN", f"ARN {arn} is invalid.")
        return self.tags.setdefault(arn, {})

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield what has, or once had, tags: as the Resource Groups Tagging API shows it."""
        for arn, tags in self.tags.items():
            kind = arn.split(":")[5]
            yield TaggedResource(arn, dict(tags), f"elasticache:{kind}", {"include_untagged": True})

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        """TagResources of the Resource Groups Tagging API."""
        self.tags_of(arn).update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        """UntagResources of the Resource Groups Tagging API."""
        tags = self.tags_of(arn)
        for key in tag_keys:
            tags.pop(key, None)

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:{self.partition}:elasticache:{self.region_name}:{self.account_id}:{kind}:{name}"

    def _tag_new(self, arn: str, params: Mapping[str, Any]) -> None:
        if params.get("Tags"):
            self.tags[arn] = {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}

    def _active_user(self, user_id: str) -> User:
        user = self.user(user_id)
        if user.user_id == DEFAULT_USER:
            raise ElastiCacheException("InvalidParameterValue", "The user default cannot be changed.")
        if user.status != "active":
            raise ElastiCacheException(
                "InvalidUserState", f"User {user.user_id} is {user.status}, not active."
            )
        return user

    def _available_database(self, group_id: str) -> ReplicationGroup:
        database = self.database(group_id)
        if database.status != "available":
            message = f"Replication group {database.replication_group_id} is {database.status}."
            raise ElastiCacheException("InvalidReplicationGroupState", message)
        return database

    def _attachable(self, group_id: str) -> str:
        group = self.group(group_id)
        if group.status != "active":
            raise ElastiCacheException(
                "InvalidUserGroupState", f"User group {group.user_group_id} is {group.status}."
            )
        return group.user_group_id

    def _check_members(self, engine: str, user_ids: list[str]) -> None:
        users = [self.user(user_id) for user_id in user_ids]
        names = [user.user_name for user in users]
        if len(set(names)) < len(names):
            raise ElastiCacheException("DuplicateUserName", "User names are unique within a user group.")
        if engine == "redis" and DEFAULT_USER not in names:
            raise ElastiCacheException(
                "DefaultUserRequired", "A user group for Redis needs a user named default."
            )

    def _reached_by(
        self, user_ids: Iterable[str] = (), group_ids: Iterable[str] = ()
    ) -> list[ReplicationGroup]:
        wanted = set(group_ids)
        wanted |= {
            group.user_group_id for group in self.groups.values() if set(user_ids) & set(group.user_ids)
        }
        return [database for database in self.databases.values() if wanted & set(database.user_group_ids)]


def _reconcile(databases: Iterable[ReplicationGroup]) -> None:
    for database in databases:
        # Servers that are not up yet get their users when they start.
        if database.deployment is not None:
            database.deployment.reconcile()


def _engine(params: Mapping[str, Any]) -> str:
    engine = params.get("Engine", "redis").lower()
    if engine not in _ENGINES:
        raise ElastiCacheException(
            "InvalidParameterValue", f"Unknown engine {engine}, must be one of {_ENGINES}."
        )
    return engine


def _replicas(params: Mapping[str, Any]) -> int:
    if params.get("NumCacheClusters"):
        return int(params["NumCacheClusters"]) - 1
    if params.get("ReplicasPerNodeGroup") is not None:
        return int(params["ReplicasPerNodeGroup"])
    return 1
