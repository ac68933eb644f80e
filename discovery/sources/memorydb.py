"""MemoryDB clusters and their users: the calls. What they mean is in `memorydb_records`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from discovery.aws import Session
from discovery.source import Skipped
from discovery.sources.listing import Candidate
from discovery.sources.memorydb_records import cluster
from discovery.sources.regional import RegionalSource
from discovery.sources.users import MEMORYDB_USERS

__all__ = ["MemoryDBSource"]


class MemoryDBSource(RegionalSource):
    """One region's MemoryDB clusters.

    A pass makes three calls for each hundred of what they list: DescribeClusters, DescribeUsers (which names each
    user's ACLs, so DescribeACLs is not needed) and GetResources; without any cluster, the first one. Arguments are those
    of `RegionalSource`.
    """

    user_fields = MEMORYDB_USERS
    tagged: ClassVar[Sequence[str]] = ("memorydb:user", "memorydb:cluster")

    async def _list_resources(self, session: Session) -> Iterable[Candidate | Skipped]:
        clusters = await session.pages("memorydb", "describe_clusters", "Clusters", ShowShardDetails=True)
        return [cluster(raw) for raw in clusters]

    async def _list_users(self, session: Session) -> Sequence[Mapping[str, Any]]:
        return await session.pages("memorydb", "describe_users", "Users")

    async def _list_tags(self, session: Session, arn: str) -> Sequence[Any]:
        answer = await session.call("memorydb", "list_tags", ResourceArn=arn)
        tags: Sequence[Any] = answer.get("TagList", ())
        return tags
