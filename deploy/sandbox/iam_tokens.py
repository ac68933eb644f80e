"""Checks a token with which an IAM user logs in to a database: pure.

See "Authenticating with IAM" of ElastiCache's and MemoryDB's user guides.
"""

from collections.abc import Iterator
from urllib.parse import parse_qs

from deploy.sandbox.cache import Cache
from deploy.sandbox.keys import KeyRing
from deploy.sandbox.signatures import SignatureError, verify_query

__all__ = ["TokenRefused", "check_token"]

_LONGEST_LIFE = 900


class TokenRefused(Exception):  # noqa: N818 - an answer, not a failure
    """A token does not let its bearer in; the message says why, and has no secret in it."""


def check_token(token: str, *, cache: Cache, user_name: str, keys: KeyRing, now: float) -> None:
    """Check the token that somebody gives as the password of an IAM user.

    Args:
        token: `cache-name/?Action=connect&User=…&X-Amz-…`.
        cache: The database that it is given to.
        user_name: The name in AUTH or HELLO.
        keys: The access keys that there are.
        now: Seconds since the epoch.

    Raises:
        TokenRefused: AWS would not let this in.
    """
    host, separator, query = token.partition("/?")
    if not separator:
        raise TokenRefused("this is no token, which is a cache's name, '/?' and a query")
    if problem := next(_problems(host, parse_qs(query, keep_blank_values=True), cache, user_name), None):
        raise TokenRefused(problem)
    try:
        key = verify_query(
            "GET", f"http://{token}", service=cache.service, region=cache.region, keys=keys, now=now
        )
    except SignatureError as error:
        raise TokenRefused(str(error)) from None
    if key.account != cache.account:
        raise TokenRefused(f"it is signed by account {key.account}, and the cache is of {cache.account}")


def _problems(host: str, query: dict[str, list[str]], cache: Cache, user_name: str) -> Iterator[str]:
    # ElastiCache keeps user ids in lower case; a MemoryDB user's name is its id.
    user_id = user_name.lower() if cache.service == "elasticache" else user_name
    if host != cache.name:
        yield f"it is for the cache {host!r}, and this is {cache.name!r}"
    if query.get("Action") != ["connect"]:
        yield "its Action is not connect"
    if query.get("User") != [user_id]:
        yield f"it is for the user {query.get('User')}, and this is {user_id!r}"
    if query.get("ResourceType") != (["ServerlessCache"] if cache.serverless else None):
        yield f"its ResourceType is {query.get('ResourceType')}: ServerlessCache is for serverless caches alone"
    (life,) = query.get("X-Amz-Expires", ["0"])[:1]
    if not (life.isascii() and life.isdigit() and 0 < int(life[:9]) <= _LONGEST_LIFE):
        yield f"its X-Amz-Expires is {life}: it has to be at most {_LONGEST_LIFE} seconds"
