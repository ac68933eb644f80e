"""ElastiCache replication groups and their users: the calls. What they mean is in `elasticache_records`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from discovery.aws import Session
from discovery.errors import AwsError
from discovery.source import Answer
from discovery.sources.elasticache_records import ElastiCacheAnswers, arns_of_interest, records
from discovery.sources.tagging import TagReader
from discovery.tags import EVERYTHING, MANAGED_TAG, Selector
from discovery.tasks import all_or_error

__all__ = ["ElastiCacheSource"]

_log = structlog.get_logger(__name__)


class ElastiCacheSource:
    """One region's replication groups, read through one session.

    A pass makes four calls for each hundred of what they list: DescribeReplicationGroups, DescribeUsers (which names
    each user's groups, so DescribeUserGroups is not needed), DescribeCacheClusters (for the engine version, which
    replication groups do not tell) and GetResources.

    Args:
        name: unique among the sources of a scanner.
        open_session: opens the session, which is kept by whoever offers it.
        selector: which databases to take, by their labels.
        managed_tag: the tag that opts a user in.
    """

    def __init__(
        self,
        name: str,
        open_session: Callable[[], Awaitable[Session]],
        *,
        selector: Selector = EVERYTHING,
        managed_tag: str = MANAGED_TAG,
    ) -> None:
        self.name = name
        self._open_session = open_session
        self._selector = selector
        self._managed_tag = managed_tag
        self._tags = TagReader(["elasticache:user", "elasticache:replicationgroup"], _list_tags)
        self._versions: dict[str, str] = {}

    async def read(self) -> Answer:
        """Everything that exists now.

        Raises:
            DiscoveryError: no session, or one of the calls failed.
        """
        session = await self._open_session()
        async with all_or_error() as calls:
            groups = calls.create_task(
                session.pages("elasticache", "describe_replication_groups", "ReplicationGroups")
            )
            users = calls.create_task(session.pages("elasticache", "describe_users", "Users"))
            versions = calls.create_task(self._read_versions(session))
            tags = calls.create_task(self._tags.read_all(session))
        answers = ElastiCacheAnswers(groups.result(), users.result(), versions.result())
        by_arn = tags.result()
        if by_arn is None:
            by_arn = await self._tags.read_each(session, arns_of_interest(answers))
        return records(
            replace(answers, tags=by_arn),
            place=session.place,
            selector=self._selector,
            managed_tag=self._managed_tag,
        )

    async def _read_versions(self, session: Session) -> dict[str, str]:
        """Engine versions by cache cluster id; where they can't be read the last ones, since no rotation needs them."""
        try:
            clusters = await session.pages("elasticache", "describe_cache_clusters", "CacheClusters")
        except AwsError as error:
            _log.debug("engine_versions_unknown", source=self.name, error=str(error))
        else:
            self._versions = {
                one["CacheClusterId"]: one["EngineVersion"] for one in clusters if one.get("EngineVersion")
            }
        return self._versions


async def _list_tags(session: Session, arn: str) -> Sequence[Any]:
    answer = await session.call("elasticache", "list_tags_for_resource", ResourceName=arn)
    tags: Sequence[Any] = answer.get("TagList", ())
    return tags
