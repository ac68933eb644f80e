"""ElastiCache: moto's, corrected where the product depends on it, with real servers behind it."""

from moto.elasticache.models import elasticache_backends

from deploy.sandbox.elasticache.backend import ElastiCache
from deploy.sandbox.world import World

__all__ = ["ElastiCache", "install"]


def install(world: World) -> None:
    """Put this ElastiCache in moto's place; to be called before the first request."""
    ElastiCache.world = world
    elasticache_backends.backend = ElastiCache
