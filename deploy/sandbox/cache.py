"""The name under which everything in the sandbox knows a database."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Cache"]


@dataclass(frozen=True, slots=True)
class Cache:
    """Which database servers are of."""

    service: Literal["elasticache", "memorydb"]
    account: str
    region: str
    name: str
    """Replication group id, serverless cache name or MemoryDB cluster name: in lower case."""
    serverless: bool = False
