"""What sessions sign with: Valkeeper's own credentials, and those of roles that it assumes, refreshed before they end."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from discovery.errors import AwsError, CredentialsError
from discovery.model import Role
from discovery.translation import BOTOCORE_ERRORS, translate_assume_role

__all__ = ["OwnCredentials", "RoleCredentials", "session_with"]

_SESSION_NAME = "valkeeper"
# A refresh holds up the call that it was needed for.
_STS = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})


class OwnCredentials:
    """Valkeeper's own credentials, from boto3's chain; found once, and shared by all that sign with them."""

    def __init__(self) -> None:
        self._finding = threading.Lock()
        self._session: boto3.Session | None = None

    def find(self) -> Credentials:
        """The credentials, which botocore refreshes where they expire. Safe from any thread.

        Raises:
            NoCredentialsError, or another of botocore's errors: there are none, or they could not be read.
        """
        with self._finding:
            if self._session is None:
                self._session = boto3.Session()
            credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials


class RoleCredentials(DeferredRefreshableCredentials):
    """A role's session credentials: asked of STS when they are first needed, and again before they end.

    botocore refreshes inside whatever call needs them. What goes wrong there is raised as it is, an `AwsError` about
    `sts:AssumeRole`, and not as a failure of that call.

    Args:
        role: the role to assume.
        own: what STS is asked with.
        region: whose STS is asked.
        on_assumed: told how each attempt ended: `OK` or the error code.
    """

    # From 15 minutes before their end on, botocore tries to refresh; and in the last ones it would rather fail than
    # sign with what is still good. That leaves a few seconds for a slow clock and for the call itself.
    _mandatory_refresh_timeout = 30

    def __init__(
        self, role: Role, own: Callable[[], Credentials], region: str, on_assumed: Callable[[str], None]
    ) -> None:
        self._role = role
        self._own = own
        self._region = region
        self._on_assumed = on_assumed
        self._asking: boto3.Session | None = None
        super().__init__(self._assume, "assume-role")

    def _assume(self) -> dict[str, Any]:
        try:
            answer = self._ask()
            if datetime.fromisoformat(answer["expiry_time"]) <= datetime.now(UTC):
                raise CredentialsError(
                    f"the session of the role {self._role.arn} was over before it began: set this machine's clock",
                    operation="sts:AssumeRole",
                    code="ExpiredToken",
                )
        except AwsError as error:
            self._on_assumed(error.code)
            raise
        except BOTOCORE_ERRORS as error:
            ours = translate_assume_role(error, self._role)
            self._on_assumed(ours.code)
            raise ours from None  # botocore's own would carry the request along
        self._on_assumed("OK")
        return answer

    def _ask(self) -> dict[str, Any]:
        if self._asking is None:  # of its own, for a session may not be used by two threads at once
            self._asking = boto3.Session(region_name=self._region)
        external_id = {} if self._role.external_id is None else {"ExternalId": self._role.external_id}
        fetcher = AssumeRoleCredentialFetcher(
            self._client,
            self._own(),
            self._role.arn,
            extra_args={"RoleSessionName": _SESSION_NAME, **external_id},
        )
        answer: dict[str, Any] = fetcher.fetch_credentials()
        return answer

    def _client(self, service: str, **credentials: Any) -> Any:
        if self._asking is None:
            raise AssertionError
        make: Callable[..., Any] = self._asking.client
        return make(service, config=_STS, **credentials)


def session_with(credentials: Credentials, region: str) -> boto3.Session:
    """A boto3 session of a region that signs with credentials which others may share."""
    raw = botocore.session.get_session()
    raw.register_component("credential_provider", _Found(credentials))
    return boto3.Session(botocore_session=raw, region_name=region)


class _Found:
    """In place of botocore's chain of providers: one that has found its credentials already."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Credentials:
        return self._credentials
