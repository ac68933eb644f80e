"""What surrounds a secret's versions, its KMS key, description and tags, and what of it has to be changed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from discovery.model import User

__all__ = ["Amendment", "Attributes", "amendment", "attributes_of", "is_same_key"]

_OF_AWS = "alias/aws/secretsmanager"
_ARN_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Attributes:
    """A secret's own, as DescribeSecret tells them."""

    kms_key_id: str | None = None  # a key id, key ARN or alias ARN; None: AWS's own key
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be set; None, and a tag that is not named, stay as they are."""

    kms_key_id: str | None = None
    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


def attributes_of(user: User, kms_key_id: str | None) -> Attributes:
    """What the secret of a user has when Valkeeper makes it; without a key, AWS's own is taken."""
    return Attributes(
        kms_key_id,
        f"The password of {user.key.service} user {user.key.id}, kept fresh by Valkeeper",
        {"valkeeper:managed": "true", "valkeeper:user-arn": user.arn},
    )


def amendment(wanted: Attributes, found: Attributes) -> Amendment | None:
    """What has to be set so that what was found is as wanted; None: nothing.

    A key that is not configured, further tags, and a description that somebody wrote are left to whoever set them.
    """
    changes = Amendment(
        wanted.kms_key_id
        if wanted.kms_key_id and not is_same_key(wanted.kms_key_id, found.kms_key_id)
        else None,
        None if found.description else wanted.description,
        tuple((key, value) for key, value in wanted.tags.items() if found.tags.get(key) != value),
    )
    return changes if changes != Amendment() else None


def is_same_key(configured: str, found: str | None) -> bool:
    """Whether two names, each a key id, key ARN, alias or alias ARN, are known to mean the same KMS key.

    An id or alias alone means one in the secret's own account and region. Which key an alias stands for can't be told
    from the names, so an alias and a key are never known to be the same.
    """
    one, other = _key(configured), _key(found or _OF_AWS)
    return one[2] == other[2] and all(
        mine == theirs or "" in (mine, theirs) for mine, theirs in zip(one[:2], other[:2], strict=True)
    )


def _key(name: str) -> tuple[str, str, str]:
    """Region and account, empty where the name does not say, and `alias/…` or `key/…`."""
    parts = name.split(":", _ARN_FIELDS - 1)
    if len(parts) == _ARN_FIELDS:
        return parts[3], parts[4], parts[5]
    return "", "", name if name.startswith(("alias/", "key/")) else f"key/{name}"
