"""ElastiCache serverless caches: the calls. What they mean is in `serverless_records`."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from discovery.aws import Session
from discovery.source import Skipped
from discovery.sources.elasticache import ElastiCacheRegion
from discovery.sources.listing import Candidate
from discovery.sources.serverless_records import serverless_cache

__all__ = ["ServerlessSource"]


class ServerlessSource(ElastiCacheRegion):
    """One region's serverless caches. Their users are ElastiCache's, and may reach replication groups as well.

    A pass makes DescribeServerlessCaches for each fifty, and DescribeUsers and GetResources for each hundred; without
    any cache, the first one. Arguments are those of `RegionalSource`.
    """

    tagged: ClassVar[Sequence[str]] = ("elasticache:user", "elasticache:serverlesscache")

    async def _list_resources(self, session: Session) -> Iterable[Candidate | Skipped]:
        caches = await session.pages("elasticache", "describe_serverless_caches", "ServerlessCaches")
        return [serverless_cache(raw) for raw in caches]
