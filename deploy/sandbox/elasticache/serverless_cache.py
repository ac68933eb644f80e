"""A serverless cache, and how the API shows it."""

from dataclasses import dataclass
from typing import Any

from deploy.sandbox.elasticache.replication_group import endpoint
from deploy.sandbox.fleet import Deployment

__all__ = ["ServerlessCache"]

_FULL_VERSIONS = {"redis": {"7": "7.1"}, "valkey": {"7": "7.2", "8": "8.1"}, "memcached": {"1": "1.6"}}


@dataclass
class ServerlessCache:
    """A serverless cache; a memcached one is only a record, with no servers."""

    arn: str
    name: str
    description: str
    engine: str
    major_engine_version: str
    user_group_ids: list[str]
    """The one user group, or none."""
    deployment: Deployment | None
    status: str = "creating"

    def shown(self) -> dict[str, Any]:
        """Return the API's `ServerlessCache`, which has no endpoint as long as it is being created."""
        versions = _FULL_VERSIONS[self.engine]
        shown: dict[str, Any] = {
            "ServerlessCacheName": self.name,
            "Description": self.description,
            "Status": self.status,
            "Engine": self.engine,
            "MajorEngineVersion": self.major_engine_version,
            "FullEngineVersion": versions.get(self.major_engine_version, self.major_engine_version),
            "SnapshotRetentionLimit": 0,
            "ARN": self.arn,
        }
        if self.user_group_ids:
            shown["UserGroupId"] = self.user_group_ids[0]
        if self.status not in ("creating", "create-failed"):
            if self.deployment is None:
                address = f"{self.name}-sandbox.serverless.use1.cache.amazonaws.com"
                shown["Endpoint"] = {"Address": address, "Port": 11211}
            else:
                shown["Endpoint"] = endpoint(self.deployment.nodes[0])
                shown["ReaderEndpoint"] = endpoint(self.deployment.nodes[-1])
        return shown
