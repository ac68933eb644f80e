"""IAM authentication tokens: who can have one, how it is signed, and when it is to be succeeded. No network.

A token is a presigned SigV4 request without its scheme, whose host is the cache's name; see AWS's "Authenticating with IAM"
for ElastiCache and MemoryDB.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import SecretStr

from discovery.aws import AwsCredentials
from discovery.model import Database, DatabaseKind, Service, User, UserKey

__all__ = ["LIFETIME", "Grant", "Token", "grant", "sign", "why_no_token"]

LIFETIME = timedelta(minutes=15)
"""AWS's, from the signature on; the end of the signing session ends it earlier."""

_RENEWED_AFTER = 1 / 3  # of its life: what is left is for the time that AWS or this service may be away
_LEAST_ENGINE = {
    (Service.ELASTICACHE, "valkey"): (7, 2),
    (Service.ELASTICACHE, "redis"): (7, 0),
    (Service.MEMORYDB, "valkey"): (7, 0),
    (Service.MEMORYDB, "redis"): (7, 0),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is for: one user of one cache."""

    user: UserKey
    cache: str  # replication group id, serverless cache name or MemoryDB cluster name
    serverless: bool = False

    @property
    def key(self) -> str:
        """Of its credential in the directory."""
        return f"{self.user}/{'serverless-cache' if self.serverless else 'cache'}/{self.cache}"


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token, and what it hangs on."""

    version: str  # names it, and says nothing of its value
    value: SecretStr
    signed_at: datetime
    expires_at: datetime
    signed_with: AwsCredentials

    def is_to_be_renewed(self, credentials: AwsCredentials, now: datetime) -> bool:
        """Whether another is to take its place: its time has come, or the session signs with other credentials now."""
        return credentials != self.signed_with or now >= self.renew_at

    @property
    def renew_at(self) -> datetime:
        """When another is to take its place at the latest."""
        return self.signed_at + (self.expires_at - self.signed_at) * _RENEWED_AFTER


def why_no_token(user: User, database: Database) -> str | None:
    """Why an IAM user can't log in to a database with a token, and what to do; None: it can.

    An engine version that is not known counts as new enough: the database itself will say.
    """
    if database.resource_id is None:
        return "it is not known which ElastiCache or MemoryDB resource this is: see `aws` of the database"
    if not user.enabled:
        return "its access string says off"
    if user.key.service is Service.ELASTICACHE and user.name.lower() != user.key.id.lower():
        return (
            f"its user id {user.key.id!r} and its user name {user.name!r} differ, and ElastiCache's IAM authentication"
            " needs them to be the same: make it a new user"
        )
    least = _LEAST_ENGINE.get((user.key.service, database.engine))
    version = _parsed(database.engine_version)
    if least is not None and version and version < least[: len(version)]:
        needed = ".".join(map(str, least))
        return (
            f"{database.engine} {database.engine_version} is too old for IAM authentication: upgrade it to {needed}"
            " or later"
        )
    return None


def _parsed(version: str | None) -> tuple[int, ...]:
    """The leading numbers of a version: `7.1.0` is (7, 1, 0), and `6.x` is (6,)."""
    numbers = []
    for part in (version or "").split("."):
        if not re.fullmatch(r"\d+", part):
            break
        numbers.append(int(part))
    return tuple(numbers)


def grant(user: User, database: Database) -> Grant | None:
    """What an IAM user's token for a database is for; None: see `why_no_token`.

    Endpoints of one cache share it, and so its key.
    """
    if why_no_token(user, database) is not None or database.resource_id is None:
        return None
    return Grant(user.key, database.resource_id, serverless=database.kind is DatabaseKind.SERVERLESS)


def sign(wanted: Grant, credentials: AwsCredentials, now: datetime, *, number: int = 0) -> Token:
    """A token for a user, signed now.

    Args:
        wanted: who for, and where.
        credentials: what to sign with.
        now: the machine's clock, which botocore reads by itself for the signature.
        number: tells tokens of the same moment apart.
    """
    parameters = {"Action": "connect", "User": wanted.user.id}
    if wanted.serverless:
        parameters["ResourceType"] = "ServerlessCache"
    request = AWSRequest("GET", f"http://{wanted.cache.lower()}/?{urlencode(parameters)}")
    session_token = credentials.session_token
    signer = SigV4QueryAuth(
        Credentials(
            credentials.access_key_id,
            credentials.secret_access_key.get_secret_value(),
            session_token.get_secret_value() if session_token is not None else None,
        ),
        wanted.user.service,
        wanted.user.region,
        expires=int(LIFETIME.total_seconds()),
    )
    signer.add_auth(request)
    ends = [now + LIFETIME, *([credentials.expires_at] if credentials.expires_at is not None else [])]
    return Token(
        version=f"{now:%Y%m%dT%H%M%S.%fZ}-{number}",
        value=SecretStr(str(request.url).removeprefix("http://")),
        signed_at=now,
        expires_at=min(ends),
        signed_with=credentials,
    )
