"""One account and region: reads and changes through boto3, off the event loop.

Reads go through botocore's standard retries. Changes (`Session.mutate`) make one HTTP attempt: whoever repeats a change
has to look first at what became of the last one.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar

import boto3
import botocore.exceptions
import structlog
from botocore.config import Config
from pydantic import SecretStr

from discovery.clock import RemoteClock
from discovery.limiter import Limiter
from discovery.model import Place, Role
from discovery.resources import resource_of
from discovery.translation import BOTOCORE_ERRORS, action_name, is_throttle, translate

__all__ = ["READS", "THREADS", "AwsCredentials", "OnRequest", "Session"]

_log = structlog.get_logger(__name__)

_Answer = TypeVar("_Answer")

OnRequest = Callable[[Place | None, str, str], None]
"""Told of every call that ended: the place (None until it is known), the action, and `OK` or the error code."""

THREADS = 8
"""Of each session: boto3 calls wait, they hardly compute."""

_TIMEOUTS: Mapping[str, Any] = {"connect_timeout": 5, "read_timeout": 15}
READS = Config(
    **_TIMEOUTS, retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=THREADS
)
"""How reads are made."""
_CHANGES = Config(**_TIMEOUTS, retries={"total_max_attempts": 1}, max_pool_connections=THREADS)


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """What a session signs with at this moment."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None
    expires_at: datetime | None  # None: they do not expire by themselves


class Session:
    """One account and region, through which everything there is read and changed.

    Calls run in a small thread pool of the session's own, so that trouble in one place never takes another's threads.

    Args:
        session: whose credentials sign, refreshed by botocore before they end.
        place: the account they belong to, and the region.
        threads: where calls run; closed with the session.
        role: the role that was assumed; None: Valkeeper's own credentials.
        on_request: told of every call.
    """

    def __init__(
        self,
        session: boto3.Session,
        place: Place,
        threads: ThreadPoolExecutor,
        *,
        role: Role | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        self.place = place
        self.role = role
        self._session = session
        self._threads = threads
        self._on_request = on_request
        self._clients: dict[tuple[str, bool], Any] = {}
        self._making_clients = threading.Lock()
        self._clock = RemoteClock()
        self._limiters: dict[str, Limiter] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def limiters(self) -> Mapping[str, Limiter]:
        """What paces the calls to each service, by boto3's name of it."""
        return self._limiters

    def now(self) -> datetime:
        """The time by AWS's clock, as its answers tell it."""
        return self._clock.at(time.time())

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """A read: `operation` is boto3's name of it, such as `describe_users`.

        Raises:
            AwsError: one of its types; retries have been made where they made sense.
        """
        return await self._run(service, operation, _call, parameters, changes=False)

    async def pages(self, service: str, operation: str, result_key: str, **parameters: Any) -> list[Any]:
        """All items of all pages of a read.

        Raises:
            AwsError: as `call`; nothing is returned of a listing that broke off.
        """

        def run(client: Any, name: str, arguments: Mapping[str, Any]) -> list[Any]:
            items: list[Any] = []
            sent = time.time()
            for page in client.get_paginator(name).paginate(**arguments):
                self._note_date(page, sent)
                items.extend(page.get(result_key) or ())
                sent = time.time()
            return items

        return await self._run(service, operation, run, parameters, changes=False)

    async def mutate(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """A change, sent once. No answer does not mean that it had no effect.

        Raises:
            AwsError: one of its types.
        """
        return await self._run(service, operation, _call, parameters, changes=True)

    async def credentials(self) -> AwsCredentials:
        """What the session signs with now, refreshed first where that is due.

        Raises:
            AwsError: there are none, or they could not be refreshed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read_credentials)

    def _read_credentials(self) -> AwsCredentials:
        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise botocore.exceptions.NoCredentialsError
            while True:
                frozen = credentials.get_frozen_credentials()
                # botocore tells the expiry nowhere else; absent where credentials do not expire.
                expires_at: datetime | None = getattr(credentials, "_expiry_time", None)
                if getattr(credentials, "_frozen_credentials", frozen) is frozen:
                    break  # else another thread refreshed them in between, and the expiry is of others
            if frozen.access_key is None or frozen.secret_key is None:
                raise botocore.exceptions.NoCredentialsError
        except BOTOCORE_ERRORS as error:
            raise translate(error, action="sts:GetCallerIdentity", place=self.place, role=self.role) from None
        return AwsCredentials(
            access_key_id=frozen.access_key,
            secret_access_key=SecretStr(frozen.secret_key),
            session_token=SecretStr(frozen.token) if frozen.token else None,
            expires_at=expires_at,
        )

    def close(self) -> None:
        """Let the threads go; calls in the air end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(
        self,
        service: str,
        operation: str,
        function: Callable[[Any, str, Mapping[str, Any]], _Answer],
        parameters: Mapping[str, Any],
        *,
        changes: bool,
    ) -> _Answer:
        action = action_name(service, operation)

        def work() -> _Answer:
            sent = time.time()
            try:
                answer = function(self._client(service, changes=changes), operation, parameters)
            except BOTOCORE_ERRORS as error:
                ours = translate(
                    error,
                    action=action,
                    place=self.place,
                    role=self.role,
                    resource=resource_of(service, parameters, self.place),
                )
                self._count(action, ours.code)
                raise ours from None  # botocore's own would carry the request along
            self._count(action, "OK")
            if isinstance(answer, dict):
                self._note_date(answer, sent)
            return answer

        self._loop = asyncio.get_running_loop()
        # Before a thread is taken: whoever waits for its turn at one service must not keep others from theirs.
        await self._limiters.setdefault(service, Limiter()).turn()
        return await self._loop.run_in_executor(self._threads, work)

    def _client(self, service: str, *, changes: bool) -> Any:
        with self._making_clients:  # a boto3 session may not be used by two threads at once; its clients may
            client = self._clients.get((service, changes))
            if client is None:
                config = _CHANGES if changes else READS
                make: Callable[..., Any] = self._session.client
                client = make(service, region_name=self.place.region, config=config)
                client.meta.events.register("response-received", partial(self._heard, service))
                self._clients[service, changes] = client
            return client

    def _heard(self, service: str, parsed_response: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Botocore's hook for every attempt, those included that it repeats by itself; runs in the attempt's thread."""
        if parsed_response is not None and self._loop is not None:
            throttled = is_throttle(parsed_response.get("Error", {}).get("Code", ""))
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody is paced any longer
                self._loop.call_soon_threadsafe(self._pace, service, throttled)

    def _pace(self, service: str, throttled: bool) -> None:
        limiter = self._limiters.setdefault(service, Limiter())
        was_free = limiter.rate is None
        limiter.ended(throttled=throttled)
        if was_free and limiter.rate is not None:
            _log.warning(
                "aws_throttled",
                place=str(self.place),
                service=service,
                calls_per_second=round(limiter.rate, 2),
            )
        elif not was_free and limiter.rate is None:
            _log.info("aws_not_throttled_any_longer", place=str(self.place), service=service)

    def _count(self, action: str, code: str) -> None:
        if self._on_request is not None:
            self._on_request(self.place, action, code)

    def _note_date(self, answer: Mapping[str, Any], sent: float) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._clock.note(parsedate_to_datetime(date), sent=sent, received=time.time())


def _call(client: Any, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(client, operation)(**parameters)
    return answer
