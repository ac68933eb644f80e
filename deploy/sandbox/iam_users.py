"""IAM's users as callers: who an access key that IAM holds is, and the user that an account is reached through."""

import re
from typing import Any

from moto.iam.models import iam_backends

from deploy.sandbox.keys import AccessKey

__all__ = ["USER_NAME", "find_key", "open_account"]

USER_NAME = "valkeeper"
_PARTITION = "aws"


def find_key(access_key_id: str) -> AccessKey | None:
    """The active key of a user of any account, made by CreateAccessKey or by `open_account`."""
    for account, partitions in list(iam_backends.items()):
        iam = partitions[_PARTITION]
        held = iam.access_keys.get(access_key_id)
        user = iam.users.get(held.user_name) if held else None
        if held is not None and user is not None and held.status == "Active":
            return _key(account, user, held)
    return None


def open_account(
    account: str, *, access_key_id: str | None = None, secret_access_key: str | None = None
) -> AccessKey:
    """Return the key of the user `valkeeper` of an account, which starts to exist with it.

    Args:
        account: Its number.
        access_key_id: What the key shall be, twenty capitals and digits; by default as IAM makes them.
        secret_access_key: What it shall sign with; by default as IAM makes them.

    Raises:
        ValueError: this is no account number.
    """
    if not re.fullmatch(r"\d{12}", account):
        raise ValueError(f"an account number has twelve digits: {account!r}")
    iam = iam_backends[account][_PARTITION]
    user = iam.users.get(USER_NAME) or iam.create_user("us-east-1", USER_NAME)
    if not user.access_keys:
        held = user.create_access_key(prefix="AKIA")
        held.access_key_id = access_key_id or held.access_key_id
        held.secret_access_key = secret_access_key or held.secret_access_key
        iam.access_keys[held.access_key_id] = held
    return _key(account, user, user.access_keys[0])


def _key(account: str, user: Any, held: Any) -> AccessKey:
    return AccessKey(held.access_key_id, held.secret_access_key, account, user.arn, user_id=user.id)
