"""What one account holds of MemoryDB in one region: look-up, tags, and who reaches what."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.memorydb.models import MemoryDBBackend as MotoBackend

from deploy.sandbox.acl import DEFAULT_USER, EVERYTHING, Login
from deploy.sandbox.cache import Cache
from deploy.sandbox.memorydb.records import AccessControlList, Cluster, User
from deploy.sandbox.world import World

__all__ = ["OPEN_ACCESS", "Account", "MemoryDBError", "reconcile"]

OPEN_ACCESS = "open-access"


class MemoryDBError(ServiceException):
    """A call that MemoryDB refuses, with AWS's error code."""


class Account(MotoBackend, TaggableResourcesMixin):
    """The records; what moto holds of users and clusters is not used."""

    SERVICE_NAMESPACE = "memorydb"
    world: ClassVar[World]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        # AWS's own: an ACL with which everybody is let in, without saying who they are.
        anybody = Login(EVERYTHING, "no-password")
        self.account_users = {
            DEFAULT_USER: User(self.arn("user", DEFAULT_USER), DEFAULT_USER, anybody, anybody)
        }
        self.acls = {
            OPEN_ACCESS: AccessControlList(self.arn("acl", OPEN_ACCESS), OPEN_ACCESS, [DEFAULT_USER])
        }
        self.databases: dict[str, Cluster] = {}
        self.tags: dict[str, dict[str, str]] = {}

    @property
    def _url_module(self) -> Any:
        from deploy.sandbox.memorydb import urls  # noqa: PLC0415 - urls needs this module first

        return urls

    def user(self, name: str) -> User:
        """Return a user, or raise UserNotFoundFault."""
        try:
            return self.account_users[name]
        except KeyError:
            raise MemoryDBError("UserNotFoundFault", f"User {name} not found.") from None

    def acl(self, name: str) -> AccessControlList:
        """Return an ACL, or raise ACLNotFoundFault."""
        try:
            return self.acls[name.lower()]
        except KeyError:
            raise MemoryDBError("ACLNotFoundFault", f"ACL {name} not found.") from None

    def database(self, name: str) -> Cluster:
        """Return a cluster, or raise ClusterNotFoundFault."""
        try:
            return self.databases[name.lower()]
        except KeyError:
            raise MemoryDBError("ClusterNotFoundFault", f"Cluster {name} not found.") from None

    def show_user(self, user: User) -> dict[str, Any]:
        """Return the API's `User`."""
        return user.shown([acl.name for acl in self.acls.values() if user.name in acl.user_names])

    def show_acl(self, acl: AccessControlList) -> dict[str, Any]:
        """Return the API's `ACL`."""
        return acl.shown([cluster.name for cluster in self.reached_by(acl_names=[acl.name])])

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource, to be changed in place, or raise its kind of not found."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        find = {"user": self.user, "acl": self.acl, "cluster": self.database}.get(kind)
        if find is None or self.arn(kind, name) != arn:
            raise MemoryDBError("InvalidARNFault", f"ARN {arn} is invalid.")
        return self.tags.setdefault(find(name).arn, {})

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield what has, or once had, tags: as the Resource Groups Tagging API shows it."""
        for arn, tags in self.tags.items():
            kind = arn.rpartition(":")[2].partition("/")[0]
            yield TaggedResource(arn, dict(tags), f"memorydb:{kind}", {"include_untagged": True})

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:  # type: ignore[override]
        """TagResources of the Resource Groups Tagging API."""
        self.tags_of(arn).update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:  # type: ignore[override]
        """UntagResources of the Resource Groups Tagging API."""
        tags = self.tags_of(arn)
        for key in tag_keys:
            tags.pop(key, None)

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of something here: with a slash, unlike ElastiCache's."""
        return f"arn:{self.partition}:memorydb:{self.region_name}:{self.account_id}:{kind}/{name}"

    def cache(self, name: str) -> Cache:
        """Return the name under which a database's servers are known."""
        return Cache("memorydb", self.account_id, self.region_name, name)

    def tag_new(self, arn: str, params: Mapping[str, Any]) -> None:
        """Take the tags that a call which creates something brings along."""
        if params.get("Tags"):
            self.tags[arn] = {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}

    def reached_by(self, user_names: Iterable[str] = (), acl_names: Iterable[str] = ()) -> list[Cluster]:
        """Return the clusters that users, or the members of ACLs, reach."""
        wanted, users = set(acl_names), set(user_names)
        wanted |= {acl.name for acl in self.acls.values() if users & set(acl.user_names)}
        return [cluster for cluster in self.databases.values() if cluster.acl_name in wanted]


def reconcile(clusters: Iterable[Cluster]) -> None:
    """Give the servers of clusters the users that the account says now."""
    for cluster in clusters:
        # Servers that are not up yet get their users when they start.
        if cluster.deployment is not None:
            cluster.deployment.reconcile()
