"""Tags of many resources at once, whichever way IAM allows."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from discovery.aws import Session
from discovery.errors import AccessDeniedError, AwsError, NotFoundError
from discovery.tags import Tags
from discovery.tasks import all_or_error

__all__ = ["TagReader", "as_tags"]

_log = structlog.get_logger(__name__)

_AT_ONCE = 4  # of the session's threads: the rest stay free for rotation
_PAGE = 100  # the most that GetResources gives; its default is less


class TagReader:
    """Reads tags with one paged GetResources, and one by one where that is denied or finds nothing at all.

    Args:
        types: what GetResources calls the resources, such as `elasticache:user`.
        list_one: the service's own call for the `TagList` of one ARN.
    """

    def __init__(
        self, types: Sequence[str], list_one: Callable[[Session, str], Awaitable[Sequence[Any]]]
    ) -> None:
        self._types = list(types)
        self._list_one = list_one
        self._denied = False
        self._last: dict[str, Tags] = {}

    async def read_all(self, session: Session) -> dict[str, Tags] | None:
        """Tags of all resources of the types, by ARN; None: they have to be read one by one.

        Raises:
            AwsError: anything but a denial.
        """
        try:
            found = await session.pages(
                "resourcegroupstaggingapi",
                "get_resources",
                "ResourceTagMappingList",
                ResourceTypeFilters=self._types,
                PaginationConfig={"PageSize": _PAGE},
            )
        except AccessDeniedError:
            if not self._denied:  # once, not at every pass
                _log.warning("tags_read_one_by_one", place=str(session.place), allow="tag:GetResources")
            self._denied = True
            return None
        self._denied = False
        tags = {one["ResourceARN"]: as_tags(one.get("Tags", ())) for one in found}
        # Nothing may mean that nothing is tagged, or that the index does not know these resources: the service does.
        return tags if any(tags.values()) else None

    async def read_each(self, session: Session, arns: Iterable[str]) -> dict[str, Tags]:
        """Tags of these resources, by ARN, a few calls at a time. What has just been deleted has none.

        Raises:
            AwsError: any of the calls failed; some tags without the others would release users that are still tagged.
        """
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(arn: str) -> tuple[str, Tags]:
            async with limit:
                return arn, await self._read_one(session, arn)

        async with all_or_error() as calls:
            tasks = [calls.create_task(one(arn)) for arn in arns]
        self._last = dict(task.result() for task in tasks)
        return self._last

    async def _read_one(self, session: Session, arn: str) -> Tags:
        try:
            return as_tags(await self._list_one(session, arn))
        except NotFoundError:
            return {}
        except AwsError as error:
            # ElastiCache does not tell the tags of a group while it is being modified or snapshotted.
            if "State" in error.code and arn in self._last:
                return self._last[arn]
            raise


def as_tags(raw: Iterable[Any]) -> Tags:
    """AWS's list of `Key` and `Value` as a mapping. A missing value is the empty one."""
    return {tag["Key"]: tag.get("Value") or "" for tag in raw}
