"""What the account holds when nobody says otherwise: one database, and users of every kind.

It is set up through the API, as anybody sets up an account.
"""

import secrets
import string
from collections.abc import Callable
from typing import Any

__all__ = ["MANAGED_TAG", "new_password", "set_up"]

MANAGED_TAG = {"Key": "teleport.dev/managed", "Value": "true"}
_EVERYTHING = "on ~* &* +@all"


def new_password() -> str:
    """Make a password that AWS accepts anywhere."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))


def set_up(client: Callable[[str], Any]) -> None:
    """Create the users, their group, and the replication group `orders`; `client` makes a boto3 client."""
    elasticache = client("elasticache")
    elasticache.create_user(
        UserId="orders-default",
        UserName="default",
        Engine="redis",
        AccessString="off -@all",
        NoPasswordRequired=True,
    )
    for user_id, tags in (("app", [MANAGED_TAG]), ("batch", [MANAGED_TAG]), ("legacy", [])):
        elasticache.create_user(
            UserId=user_id,
            UserName=user_id,
            Engine="redis",
            AccessString=_EVERYTHING,
            Passwords=[new_password()],
            Tags=tags,
        )
    elasticache.create_user_group(
        UserGroupId="orders-users", Engine="redis", UserIds=["orders-default", "app", "batch", "legacy"]
    )
    elasticache.create_replication_group(
        ReplicationGroupId="orders",
        ReplicationGroupDescription="Orders",
        Engine="redis",
        NumCacheClusters=2,
        TransitEncryptionEnabled=True,
        UserGroupIds=["orders-users"],
    )
