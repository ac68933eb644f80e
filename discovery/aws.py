"""The only door to boto3: sessions by account and region, paging, and the translation of errors.

Reads go through botocore's standard retries. Changes (`Session.mutate`) make one HTTP attempt: whoever repeats a change
has to look first at what became of the last one.
"""

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import boto3
import botocore.exceptions
from botocore.config import Config
from pydantic import SecretStr

from discovery.errors import (
    AccessDeniedError,
    AwsError,
    ConfigurationError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    PermanentError,
    RetryableError,
    ThrottledError,
)
from discovery.model import Place, Role

__all__ = ["AwsCredentials", "OnRequest", "Session", "Sessions", "translate"]

_Answer = TypeVar("_Answer")

OnRequest = Callable[[Place | None, str, str], None]
"""Told of every call that ended: the place (None until it is known), the action, and `OK` or the error code."""

_THREADS = 8  # for each account and region: boto3 calls wait, they hardly compute
_TIMEOUTS: Mapping[str, Any] = {"connect_timeout": 5, "read_timeout": 15}
_READS = Config(
    **_TIMEOUTS, retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=_THREADS
)
_CHANGES = Config(**_TIMEOUTS, retries={"total_max_attempts": 1}, max_pool_connections=_THREADS)

_THROTTLES = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
}
_DENIALS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NOT_FOUND = {
    "ResourceNotFoundException",
    "UserNotFound",
    "UserNotFoundFault",
    "UserGroupNotFound",
    "UserGroupNotFoundFault",
    "ReplicationGroupNotFoundFault",
    "ACLNotFoundFault",
    "ClusterNotFoundFault",
    "ServerlessCacheNotFoundFault",
}
_CONFLICTS = {"ResourceExistsException", "InvalidUserState", "InvalidUserStateFault"}
_ACTION = re.compile(r"not authorized to perform:? ([a-z-]+:\w+)(?: on resource:? (\S+))?")


def translate(error: Exception, *, service: str, operation: str, place: Place | None) -> AwsError:
    """The error of ours that stands for one of botocore's; `operation` is AWS's name of it, as `PutSecretValue`."""
    action = f"{_IAM_NAMES.get(service, service)}:{operation}"
    where = f" in {place}" if place else ""
    if isinstance(error, botocore.exceptions.ClientError):
        return _translate_answer(error, action, where)
    name = type(error).__name__
    if isinstance(
        error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError
    ):
        return CredentialsError(
            "no AWS credentials found: give this machine an instance profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
            " and AWS_SECRET_ACCESS_KEY",
            operation=action,
            code=name,
        )
    if isinstance(
        error, botocore.exceptions.CredentialRetrievalError | botocore.exceptions.TokenRetrievalError
    ):
        return CredentialsError(f"AWS credentials could not be read: {error}", operation=action, code=name)
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return PermanentError(
            f"{action}{where} was not sent: its parameters are not valid", operation=action, code=name
        )
    # What is left of botocore's errors is about reaching AWS: no connection, no answer, a broken one.
    return RetryableError(f"{action}{where} got no answer: {error}", operation=action, code=name)


def _translate_answer(error: botocore.exceptions.ClientError, action: str, where: str) -> AwsError:
    details = error.response.get("Error", {})
    code = details.get("Code", "Unknown")
    text = details.get("Message", "") or code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLES:
        return ThrottledError(f"{action}{where} was throttled", operation=action, code=code)
    if code in _DENIALS:
        found = _ACTION.search(text)
        missing = found[1] if found else action
        resource = f" on {found[2]}" if found and found[2] else ""
        return AccessDeniedError(
            f"IAM does not allow {missing}{resource}{where}: add it to Valkeeper's policy",
            operation=missing,
            code=code,
        )
    if code in _BAD_CREDENTIALS:
        return CredentialsError(
            f"AWS refuses Valkeeper's credentials: {text} ({code})", operation=action, code=code
        )
    kind = (
        NotFoundError
        if code in _NOT_FOUND
        else ConflictError
        if code in _CONFLICTS
        else RetryableError
        if status >= 500  # noqa: PLR2004  HTTP's own line between the caller's faults and the server's
        else PermanentError
    )
    return kind(f"{action}{where} failed: {text} ({code})", operation=action, code=code)


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
    """

    def __init__(self, session: boto3.Session, place: Place, on_request: OnRequest | None = None) -> None:
        self.place = place
        self._session = session
        self._on_request = on_request
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"aws-{place.account}-{place.region}")
        self._clients: dict[tuple[str, bool], Any] = {}
        self._making_clients = threading.Lock()
        self._clock_offset = 0.0

    def now(self) -> datetime:
        """The time by AWS's clock, as its last answer told it."""
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self._clock_offset, UTC)

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
            for page in client.get_paginator(name).paginate(**arguments):
                items.extend(page[result_key])
                self._note_date(page)
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
            frozen = credentials.get_frozen_credentials()
            if frozen.access_key is None or frozen.secret_key is None:
                raise botocore.exceptions.NoCredentialsError
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise translate(error, service="sts", operation="AssumeRole", place=self.place) from None
        return AwsCredentials(
            access_key_id=frozen.access_key,
            secret_access_key=SecretStr(frozen.secret_key),
            session_token=SecretStr(frozen.token) if frozen.token else None,
            # botocore tells it nowhere else; absent where credentials do not expire.
            expires_at=getattr(credentials, "_expiry_time", None),
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
        name = _api_name(operation)

        def work() -> _Answer:
            try:
                answer = function(self._client(service, changes=changes), operation, parameters)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                ours = translate(error, service=service, operation=name, place=self.place)
                self._count(f"{service}:{name}", ours.code)
                raise ours from None  # botocore's own would carry the request along
            self._count(f"{service}:{name}", "OK")
            if isinstance(answer, dict):
                self._note_date(answer)
            return answer

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _client(self, service: str, *, changes: bool) -> Any:
        with self._making_clients:  # a boto3 session may not be used by two threads at once; its clients may
            client = self._clients.get((service, changes))
            if client is None:
                config = _CHANGES if changes else _READS
                make: Callable[..., Any] = self._session.client
                client = make(service, region_name=self.place.region, config=config)
                self._clients[service, changes] = client
            return client

    def _count(self, action: str, code: str) -> None:
        if self._on_request is not None:
            self._on_request(self.place, action, code)

    def _note_date(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._clock_offset = parsedate_to_datetime(date).timestamp() - datetime.now(UTC).timestamp()


class Sessions:
    """Opens sessions, and keeps one for each account and region."""

    def __init__(self, on_request: OnRequest | None = None) -> None:
        self._on_request = on_request
        self._opened: dict[str, Session] = {}
        # One lock for each region: where STS hangs, the others go on.
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @staticmethod
    def default_region() -> str | None:
        """The region that AWS's own settings name, if any."""
        return boto3.Session().region_name

    async def open(self, region: str, role: Role | None = None) -> Session:
        """The session for a region. Its account is asked of STS once.

        Raises:
            AwsError: no credentials, or STS did not answer.
            ConfigurationError: roles are asked for, which this version can't assume.
        """
        if role is not None:
            raise ConfigurationError("assume_role_arn and external_id are not supported yet")
        async with self._opening[region]:
            session = self._opened.get(region)
            if session is None:
                raw = await asyncio.to_thread(boto3.Session, region_name=region)
                account = await asyncio.to_thread(_account_of, raw)
                session = Session(raw, Place(account, region), self._on_request)
                self._opened[region] = session
            return session

    def at(self, place: Place) -> Session | None:
        """The session that is open for a place."""
        return next((session for session in self._opened.values() if session.place == place), None)

    def close(self) -> None:
        """Let all threads go."""
        for session in self._opened.values():
            session.close()


def _account_of(session: boto3.Session) -> str:
    try:
        return str(session.client("sts", config=_READS).get_caller_identity()["Account"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise translate(error, service="sts", operation="GetCallerIdentity", place=None) from None


def _call(client: Any, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(client, operation)(**parameters)
    return answer


_IAM_NAMES = {"resourcegroupstaggingapi": "tag"}
"""Services whose actions IAM calls by another name than boto3."""


def _api_name(operation: str) -> str:
    """`put_secret_value` → `PutSecretValue`, AWS's own and IAM's name."""
    return "".join(word.capitalize() for word in operation.split("_"))
