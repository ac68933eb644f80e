"""ElastiCache as one backend for moto."""

from deploy.sandbox.elasticache.replication_groups import ReplicationGroupCalls
from deploy.sandbox.elasticache.serverless import ServerlessCalls
from deploy.sandbox.elasticache.users import UserCalls

__all__ = ["ElastiCache"]


class ElastiCache(UserCalls, ReplicationGroupCalls, ServerlessCalls):
    """Users, user groups, replication groups and serverless caches as AWS has them; the rest is moto's."""
