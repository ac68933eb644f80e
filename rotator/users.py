"""Database users: what they are now, and setting their passwords."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from pydantic import SecretStr

from discovery.aws import Session
from discovery.errors import AwsError, NotFoundError
from discovery.model import UserState
from discovery.sources.users import user_state

__all__ = ["ElastiCacheUsers", "MemoryDBUsers", "SharedReads", "UserApi"]


class UserApi(Protocol):
    """One service's users in one account and region."""

    async def describe(self, user_id: str) -> UserState | None:
        """One user; None where it is gone."""

    async def describe_all(self) -> Mapping[str, UserState]:
        """Every user, by id, in one paged call."""

    async def set_passwords(self, user_id: str, passwords: tuple[SecretStr, ...]) -> None:
        """Replace the whole list of passwords: one or two. Sent once."""


class ElastiCacheUsers:
    """ElastiCache users, through DescribeUsers and ModifyUser."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def describe(self, user_id: str) -> UserState | None:
        """See `UserApi`."""
        try:
            answer = await self._session.call("elasticache", "describe_users", UserId=user_id)
        except NotFoundError:
            return None
        return next((user_state(item) for item in answer["Users"]), None)

    async def describe_all(self) -> Mapping[str, UserState]:
        """See `UserApi`."""
        items = await self._session.pages("elasticache", "describe_users", "Users")
        return {item["UserId"]: state for item in items if (state := user_state(item)) is not None}

    async def set_passwords(self, user_id: str, passwords: tuple[SecretStr, ...]) -> None:
        """See `UserApi`."""
        await self._session.mutate(
            "elasticache",
            "modify_user",
            UserId=user_id,
            Passwords=[password.get_secret_value() for password in passwords],
        )


class MemoryDBUsers:
    """MemoryDB users, whose name is their id, through DescribeUsers and UpdateUser."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def describe(self, user_id: str) -> UserState | None:
        """See `UserApi`."""
        try:
            answer = await self._session.call("memorydb", "describe_users", UserName=user_id)
        except NotFoundError:
            return None
        return next((user_state(item) for item in answer["Users"]), None)

    async def describe_all(self) -> Mapping[str, UserState]:
        """See `UserApi`."""
        items = await self._session.pages("memorydb", "describe_users", "Users")
        return {item["Name"]: state for item in items if (state := user_state(item)) is not None}

    async def set_passwords(self, user_id: str, passwords: tuple[SecretStr, ...]) -> None:
        """See `UserApi`."""
        await self._session.mutate(
            "memorydb",
            "update_user",
            UserName=user_id,
            AuthenticationMode={
                "Type": "password",
                "Passwords": [password.get_secret_value() for password in passwords],
            },
        )


class _Ticket:
    """One question, answered by the next reading."""

    __slots__ = ("answered", "error", "state", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.answered = False
        self.state: UserState | None = None
        self.error: AwsError | None = None


class SharedReads:
    """Reads users for many waiters with few calls.

    An answer always comes from a call that began after it was asked for. Who asks while a call is in the air shares
    the next one, which lists all users as soon as two are asked for.
    """

    def __init__(self, api: UserApi) -> None:
        self._api = api
        self._asked: list[_Ticket] = []
        self._reading = asyncio.Lock()

    async def read(self, user_id: str) -> UserState | None:
        """What a user is now; None where it is gone.

        Raises:
            AwsError: as `Session.call`.
        """
        ticket = _Ticket(user_id)
        self._asked.append(ticket)
        async with self._reading:
            if not ticket.answered:
                await self._answer()
        if ticket.error is not None:
            raise ticket.error
        return ticket.state

    async def _answer(self) -> None:
        asked, self._asked = self._asked, []
        user_ids = {ticket.user_id for ticket in asked}
        try:
            if len(user_ids) == 1:
                (user_id,) = user_ids
                states: Mapping[str, UserState | None] = {user_id: await self._api.describe(user_id)}
            else:
                states = await self._api.describe_all()
        except AwsError as error:
            for ticket in asked:
                ticket.answered, ticket.error = True, error
        except BaseException:
            self._asked = asked + self._asked  # cancelled: whoever else waits asks again
            raise
        else:
            for ticket in asked:
                ticket.answered, ticket.state = True, states.get(ticket.user_id)
