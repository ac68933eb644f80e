"""ElastiCache replication groups and their users: the calls. What they mean is in `elasticache_records`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import structlog

from discovery.aws import Session
from discovery.errors import AwsError
from discovery.source import Skipped
from discovery.sources.elasticache_records import Member, members, replication_group
from discovery.sources.listing import Candidate
from discovery.sources.regional import RegionalSource
from discovery.sources.users import ELASTICACHE_USERS
from discovery.tags import EVERYTHING, MANAGED_TAG, Selector
from discovery.tasks import all_or_error

__all__ = ["ElastiCacheRegion", "ElastiCacheSource"]

_log = structlog.get_logger(__name__)


class ElastiCacheRegion(RegionalSource):
    """What replication groups and serverless caches share: users, user groups and tags.

    DescribeUsers names each user's groups, so DescribeUserGroups is not needed.
    """

    user_fields = ELASTICACHE_USERS

    async def _list_users(self, session: Session) -> Sequence[Mapping[str, Any]]:
        return await session.pages("elasticache", "describe_users", "Users")

    async def _list_tags(self, session: Session, arn: str) -> Sequence[Any]:
        answer = await session.call("elasticache", "list_tags_for_resource", ResourceName=arn)
        tags: Sequence[Any] = answer.get("TagList", ())
        return tags


class ElastiCacheSource(ElastiCacheRegion):
    """One region's replication groups.

    A pass makes four calls for each hundred of what they list: DescribeReplicationGroups, DescribeCacheClusters (for
    engine versions and, with cluster mode on, for the nodes' addresses), DescribeUsers and GetResources; without any
    replication group, the first two. Arguments are those of `RegionalSource`.
    """

    tagged: ClassVar[Sequence[str]] = ("elasticache:user", "elasticache:replicationgroup")

    def __init__(
        self,
        name: str,
        open_session: Callable[[], Awaitable[Session]],
        *,
        selector: Selector = EVERYTHING,
        managed_tag: str = MANAGED_TAG,
    ) -> None:
        super().__init__(name, open_session, selector=selector, managed_tag=managed_tag)
        self._nodes: Mapping[str, Member] = {}
        self._nodes_failed = False

    async def _list_resources(self, session: Session) -> Iterable[Candidate | Skipped]:
        async with all_or_error() as calls:
            groups = calls.create_task(
                session.pages("elasticache", "describe_replication_groups", "ReplicationGroups")
            )
            nodes = calls.create_task(self._list_nodes(session))
        return [replication_group(raw, nodes.result()) for raw in groups.result()]

    async def _list_nodes(self, session: Session) -> Mapping[str, Member]:
        """Nodes by cache cluster id; where they can't be read the last ones, as far as they still belong to a group.

        A rotation does without them: no database needs its engine version, and one with cluster mode on has its logins
        verified where they are known, and else at the configuration endpoint alone.
        """
        try:
            found = await session.pages(
                "elasticache", "describe_cache_clusters", "CacheClusters", ShowCacheNodeInfo=True
            )
        except AwsError as error:
            say = _log.debug if self._nodes_failed else _log.warning  # once, not at every pass
            say("nodes_not_read", source=self.name, error=str(error))
            self._nodes_failed = True
        else:
            self._nodes, self._nodes_failed = members(found), False
        return self._nodes
