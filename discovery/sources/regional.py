"""What all of AWS's sources do: list one region's resources, then their users and tags."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from discovery.aws import Session
from discovery.source import Answer, Skipped
from discovery.sources.listing import Candidate, Listing
from discovery.sources.tagging import TagReader
from discovery.sources.users import UserFields
from discovery.tags import EVERYTHING, MANAGED_TAG, Selector
from discovery.tasks import all_or_error

__all__ = ["RegionalSource"]


class RegionalSource(ABC):
    """One region's resources of one kind, read through one session; each kind says how they are listed.

    Where there is nothing to serve, only the listing is asked for; users are, where a resource has a user group or ACL.

    Args:
        name: unique among the sources of a scanner.
        open_session: opens the session, which is kept by whoever offers it.
        selector: which databases to take, by their labels.
        managed_tag: the tag that opts a user in.
    """

    user_fields: ClassVar[UserFields]
    """How the service tells users."""
    tagged: ClassVar[Sequence[str]]
    """What GetResources calls the resources and the users."""

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
        self._tags = TagReader(self.tagged, self._list_tags)

    async def read(self) -> Answer:
        """Everything that exists now.

        Raises:
            DiscoveryError: no session, or one of the calls failed.
        """
        session = await self._open_session()
        listing = Listing.of(self.user_fields, await self._list_resources(session))
        if not listing.candidates:
            return Answer(skipped=listing.skipped)
        async with all_or_error() as calls:
            users = calls.create_task(self._list_users(session)) if listing.has_groups else None
            reading = calls.create_task(self._tags.read_all(session))
        if users is not None:
            listing = replace(listing, users=tuple(users.result()))
        tags = reading.result()
        if tags is None:
            tags = await self._tags.read_each(session, listing.arns_of_interest())
        return listing.answer(
            tags, place=session.place, selector=self._selector, managed_tag=self._managed_tag
        )

    @abstractmethod
    async def _list_resources(self, session: Session) -> Iterable[Candidate | Skipped]:
        """All resources of the kind, those included that can't be served."""

    @abstractmethod
    async def _list_users(self, session: Session) -> Sequence[Mapping[str, Any]]:
        """All users of the service, whoever they reach."""

    @abstractmethod
    async def _list_tags(self, session: Session, arn: str) -> Sequence[Any]:
        """The `TagList` of one resource or user."""
