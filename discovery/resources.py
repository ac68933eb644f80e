"""Which resource a call was about, by its ARN (pure): for denials where AWS does not tell it."""

from collections.abc import Mapping
from typing import Any

from discovery.model import Place

__all__ = ["resource_of"]

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
"""By how regions' names begin; all others are in `aws`."""


def resource_of(service: str, parameters: Mapping[str, Any], place: Place) -> str:
    """What a policy has to name to allow a call: an ARN, or `*` where the call is about no single resource.

    Args:
        service: boto3's name of it, such as `secretsmanager`.
        parameters: what the call is made with, of which only names and ARNs are read.
        place: the account and region that are called.
    """
    match service, parameters:
        case _, {"ResourceArn": str(arn)} | {"ResourceName": str(arn)}:
            return arn
        case "secretsmanager", {"SecretId": str(secret)} if secret.startswith("arn:"):
            return secret
        case "secretsmanager", {"SecretId": str(name)} | {"Name": str(name)}:
            return _arn(service, place, f"secret:{name}-??????")  # AWS ends a secret's ARN in six characters
        case "elasticache", {"UserId": str(user)}:
            return _arn(service, place, f"user:{user}")
        case "memorydb", {"UserName": str(user)}:
            return _arn(service, place, f"user/{user}")
        case _:
            return "*"


def _arn(service: str, place: Place, rest: str) -> str:
    partition = next((name for start, name in _PARTITIONS.items() if place.region.startswith(start)), "aws")
    return f"arn:{partition}:{service}:{place.region}:{place.account}:{rest}"
