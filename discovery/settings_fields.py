"""What several sections of the configuration share: their base, and the forms of AWS's names."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from discovery.model import DatabaseKind, Role

__all__ = ["AwsKind", "ExternalId", "Region", "RoleArn", "Section", "role_of", "without_role"]

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_ROLE_ARN = re.compile(r"arn:aws(-[a-z]+)*:iam::\d{12}:role/[\w+=,.@/-]{1,576}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")


class Section(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _kind(value: Any) -> Any:
    kinds = [kind.value for kind in DatabaseKind if kind is not DatabaseKind.STATIC]
    if value not in kinds:
        raise ValueError(f"allowed are {', '.join(kinds)}")
    return value


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("expected an AWS region, such as us-east-1")
    return value


def _role_arn(value: str) -> str:
    if not _ROLE_ARN.fullmatch(value):
        raise ValueError("expected a role's ARN, such as arn:aws:iam::123456789012:role/valkeeper")
    return value


def _external_id(value: str) -> str:
    if not _EXTERNAL_ID.fullmatch(value):
        raise ValueError("an ExternalId has 2 to 1224 characters, of letters, digits and _+=,.@:/-")
    return value


AwsKind = Annotated[DatabaseKind, BeforeValidator(_kind)]
"""A kind of database that AWS hosts."""
Region = Annotated[str, AfterValidator(_region)]
RoleArn = Annotated[str, AfterValidator(_role_arn)]
ExternalId = Annotated[str, AfterValidator(_external_id)]


def without_role(values: Any) -> Any:
    """Refuse an `external_id` that no role is assumed with; for validators before the fields' own.

    Raises:
        ValueError: there is one.
    """
    if isinstance(values, Mapping) and values.get("external_id") and not values.get("assume_role_arn"):
        raise ValueError("external_id is only for a role: set assume_role_arn, or leave both out")
    return values


def role_of(arn: str | None, external_id: str | None) -> Role | None:
    """The role to assume; None: Valkeeper's own credentials do."""
    return Role(arn, external_id) if arn is not None else None
