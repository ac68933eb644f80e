"""The configuration's section `discovery:`."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from discovery.duration import Duration
from discovery.model import DatabaseKind, Role
from discovery.settings_fields import (
    AwsKind,
    ExternalId,
    Region,
    RoleArn,
    Section,
    role_of,
    without_role,
)
from discovery.tags import EVERYTHING, Selector, parse_selector

__all__ = ["DiscoverySettings", "SourceSettings"]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("has to be more than nothing, such as 5m")
    return value


class SourceSettings(Section):
    """One of `discovery.sources`: where to look, and what to take."""

    types: tuple[AwsKind, ...] = Field(
        (DatabaseKind.ELASTICACHE, DatabaseKind.SERVERLESS, DatabaseKind.MEMORYDB),
        min_length=1,
        description="What to discover: elasticache (replication groups), elasticache-serverless, memorydb.",
    )
    regions: tuple[Region, ...] = Field(
        (), description="AWS regions; none: the one that AWS's own settings name."
    )
    tags: Annotated[Selector, BeforeValidator(parse_selector)] = Field(
        EVERYTHING,
        description="Labels a database needs: key to a value or a list; * and ^regular expressions$.",
    )
    assume_role_arn: RoleArn | None = Field(
        None, description="The role to assume, in this account or another; none: Valkeeper's own credentials."
    )
    external_id: ExternalId | None = Field(None, description="What the role's trust policy asks for.")

    @model_validator(mode="before")
    @classmethod
    def _external_id_needs_a_role(cls, values: Any) -> Any:
        return without_role(values)

    @property
    def role(self) -> Role | None:
        """The role to assume; None: Valkeeper's own credentials do."""
        return role_of(self.assume_role_arn, self.external_id)


class DiscoverySettings(Section):
    """The section `discovery:`."""

    interval: Annotated[Duration, AfterValidator(_positive)] = Field(
        timedelta(minutes=5), description="How often AWS is read."
    )
    sources: tuple[SourceSettings, ...] = Field(
        (SourceSettings(),), description="Where databases are looked for; an empty list: nowhere in AWS."
    )
