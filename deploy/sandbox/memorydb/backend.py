"""MemoryDB as one backend for moto."""

from deploy.sandbox.memorydb.clusters import ClusterCalls
from deploy.sandbox.memorydb.users import UserCalls

__all__ = ["MemoryDB"]


class MemoryDB(UserCalls, ClusterCalls):
    """Users, ACLs and clusters as AWS has them; the rest is moto's."""
