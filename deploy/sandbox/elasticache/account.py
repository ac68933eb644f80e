"""What one account holds of ElastiCache in one region: look-up, tags, and who reaches what."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from moto.core.resource_tagging import TaggedResource
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import ElastiCacheBackend as MotoBackend

from deploy.sandbox.acl import DEFAULT_USER, EVERYTHING, Login, Logins
from deploy.sandbox.cache import Cache
from deploy.sandbox.elasticache.records import User, UserGroup
from deploy.sandbox.elasticache.replication_group import ReplicationGroup
from deploy.sandbox.elasticache.serverless_cache import ServerlessCache
from deploy.sandbox.world import World

__all__ = ["Account", "Database", "engine_of", "reconcile"]

Database = ReplicationGroup | ServerlessCache

_ENGINES = ("redis", "valkey")


class Account(MotoBackend):
    """The records; what moto holds of users and replication groups is not used."""

    world: ClassVar[World]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        # AWS's own default user, which no group is obliged to take.
        default = Login("on ~* +@all", "no-password")
        self.account_users = {
            DEFAULT_USER: User(
                self.arn("user", DEFAULT_USER), DEFAULT_USER, DEFAULT_USER, "redis", default, default
            )
        }
        self.groups: dict[str, UserGroup] = {}
        self.databases: dict[str, ReplicationGroup] = {}
        self.serverless: dict[str, ServerlessCache] = {}
        self.tags: dict[str, dict[str, str]] = {}

    @property
    def _url_module(self) -> Any:
        from deploy.sandbox.elasticache import urls  # noqa: PLC0415 - urls needs this module first

        return urls

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

    def serverless_cache(self, name: str) -> ServerlessCache:
        """Return a serverless cache by its name, or raise ServerlessCacheNotFoundFault."""
        try:
            return self.serverless[name.lower()]
        except KeyError:
            message = f"Serverless cache {name} not found."
            raise ElastiCacheException("ServerlessCacheNotFoundFault", message) from None

    def attachable(self, group_id: str) -> str:
        """Return the id of a user group that is active, so that a database can take it."""
        group = self.group(group_id)
        if group.status != "active":
            raise ElastiCacheException(
                "InvalidUserGroupState", f"User group {group.user_group_id} is {group.status}."
            )
        return group.user_group_id

    def show_user(self, user: User) -> dict[str, Any]:
        """Return the API's `User`."""
        group_ids = [group.user_group_id for group in self.groups.values() if user.user_id in group.user_ids]
        return user.shown(group_ids)

    def show_group(self, group: UserGroup) -> dict[str, Any]:
        """Return the API's `UserGroup`."""
        reached = self.reached_by(group_ids=[group.user_group_id])
        return group.shown(
            [one.replication_group_id for one in reached if isinstance(one, ReplicationGroup)],
            [one.name for one in reached if isinstance(one, ServerlessCache)],
        )

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource, to be changed in place, or raise its kind of not found."""
        parts = arn.split(":")
        if len(parts) != 7 or parts[2] != "elasticache":
            raise ElastiCacheException("InvalidARN", f"ARN {arn} is invalid.")
        kind, name = parts[5:]
        find = {
            "user": self.user,
            "usergroup": self.group,
            "replicationgroup": self.database,
            "serverlesscache": self.serverless_cache,
        }.get(kind)
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

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of something here."""
        return f"arn:{self.partition}:elasticache:{self.region_name}:{self.account_id}:{kind}:{name}"

    def cache(self, name: str, *, serverless: bool = False) -> Cache:
        """Return the name under which a database's servers are known."""
        return Cache("elasticache", self.account_id, self.region_name, name, serverless)

    def tag_new(self, arn: str, params: Mapping[str, Any]) -> None:
        """Take the tags that a call which creates something brings along."""
        if params.get("Tags"):
            self.tags[arn] = {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}

    def reached_by(self, user_ids: Iterable[str] = (), group_ids: Iterable[str] = ()) -> list[Database]:
        """Return the databases that users, or the members of groups, reach."""
        wanted = set(group_ids)
        wanted |= {
            group.user_group_id for group in self.groups.values() if set(user_ids) & set(group.user_ids)
        }
        databases = (*self.databases.values(), *self.serverless.values())
        return [database for database in databases if wanted & set(database.user_group_ids)]

    def logins_of(self, database: Database) -> Logins:
        """Return the users that a database's servers should let in now."""
        with self.world.lock:
            logins = {}
            for group_id in database.user_group_ids:
                for user_id in self.groups[group_id].user_ids:
                    user = self.account_users[user_id]
                    logins[user.user_name] = user.in_force
            if isinstance(database, ReplicationGroup) and database.auth_token is not None:
                logins[DEFAULT_USER] = Login(EVERYTHING, "password", (database.auth_token,))
            return logins


def reconcile(databases: Iterable[Database]) -> None:
    """Give the servers of databases the users that the account says now."""
    for database in databases:
        # Servers that are not up yet get their users when they start.
        if database.deployment is not None:
            database.deployment.reconcile()


def engine_of(params: Mapping[str, Any]) -> str:
    """Return the engine that a call names, in lower case."""
    engine = params.get("Engine", "redis").lower()
    if engine not in _ENGINES:
        raise ElastiCacheException(
            "InvalidParameterValue", f"Unknown engine {engine}, must be one of {_ENGINES}."
        )
    return engine
