"""The only door to boto3: sessions by account, region and role.

What a session does is in `discovery.session`, what it signs with in `discovery.roles`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.credentials import Credentials

from discovery.limiter import Limiter
from discovery.model import Place, Role
from discovery.roles import OwnCredentials, RoleCredentials, session_with
from discovery.session import READS, THREADS, AwsCredentials, OnRequest, Session
from discovery.translation import BOTOCORE_ERRORS, translate

__all__ = ["AwsCredentials", "OnRequest", "Session", "Sessions"]

_GET_CALLER_IDENTITY = "sts:GetCallerIdentity"


class Sessions:
    """Opens sessions, and keeps one for each region and role. A role's credentials are shared by all its regions."""

    def __init__(self, on_request: OnRequest | None = None) -> None:
        self._on_request = on_request
        self._own = OwnCredentials()
        self._roles: dict[Role, RoleCredentials] = {}
        self._threads: dict[tuple[str, Role | None], ThreadPoolExecutor] = {}
        self._opened: dict[tuple[str, Role | None], Session] = {}
        # One lock for each: where STS hangs, the others go on.
        self._opening: defaultdict[tuple[str, Role | None], asyncio.Lock] = defaultdict(asyncio.Lock)

    @staticmethod
    def default_region() -> str | None:
        """The region that AWS's own settings name, if any."""
        return boto3.Session().region_name

    async def open(self, region: str, role: Role | None = None) -> Session:
        """The session for a region, of an assumed role or with Valkeeper's own credentials.

        Its account is asked of STS once, with the credentials that it will use.

        Raises:
            AwsError: no credentials, the role can't be assumed, or STS did not answer.
        """
        key = region, role
        async with self._opening[key]:
            session = self._opened.get(key)
            if session is None:
                threads = self._threads.get(key)
                if threads is None:
                    threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"aws-{region}")
                    self._threads[key] = threads
                credentials = None if role is None else self._of(role, region)
                session = await asyncio.get_running_loop().run_in_executor(
                    threads, self._open, region, role, credentials, threads
                )
                self._opened[key] = session
            return session

    def at(self, place: Place) -> Session | None:
        """The session that is open for a place; of several (other roles, the same account) the one opened first."""
        return next((session for session in self._opened.values() if session.place == place), None)

    def paces(self) -> Iterator[tuple[Place, str, Limiter]]:
        """What paces the calls to each service of each place, of every session there."""
        for session in self._opened.values():
            for service, limiter in session.limiters.items():
                yield session.place, service, limiter

    def close(self) -> None:
        """Let all threads go."""
        for session in self._opened.values():
            session.close()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def _of(self, role: Role, region: str) -> RoleCredentials:
        credentials = self._roles.get(role)
        if credentials is None:
            credentials = RoleCredentials(role, self._own.find, region, self._assumed)
            self._roles[role] = credentials
        return credentials

    def _assumed(self, code: str) -> None:
        if self._on_request is not None:
            self._on_request(None, "sts:AssumeRole", code)

    def _open(
        self, region: str, role: Role | None, credentials: Credentials | None, threads: ThreadPoolExecutor
    ) -> Session:
        try:
            raw = session_with(self._own.find() if credentials is None else credentials, region)
            answer = raw.client("sts", config=READS).get_caller_identity()
        except BOTOCORE_ERRORS as error:
            ours = translate(error, action=_GET_CALLER_IDENTITY, role=role)
            self._count(None, ours.code)
            raise ours from None  # botocore's own would carry the request along
        place = Place(str(answer["Account"]), region)
        self._count(place, "OK")
        return Session(raw, place, threads, role=role, on_request=self._on_request)

    def _count(self, place: Place | None, code: str) -> None:
        if self._on_request is not None:
            self._on_request(place, _GET_CALLER_IDENTITY, code)
