"""MemoryDB: users, ACLs and clusters as AWS has them, with real servers behind them."""

from moto.memorydb.models import memorydb_backends

from deploy.sandbox.memorydb.backend import MemoryDB
from deploy.sandbox.world import World

__all__ = ["MemoryDB", "install"]


def install(world: World) -> None:
    """Put this MemoryDB in moto's place; to be called before the first request."""
    MemoryDB.world = world
    memorydb_backends.backend = MemoryDB
