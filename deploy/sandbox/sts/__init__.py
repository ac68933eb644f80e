"""STS: sessions for those whom a role trusts, with AWS's checks, in the place of moto's."""

from moto.sts.models import sts_backends

from deploy.sandbox.sts.backend import SecurityTokens
from deploy.sandbox.world import World

__all__ = ["install"]


def install(world: World) -> None:
    """Put this STS in moto's place; to be called before the first request."""
    SecurityTokens.world = world
    sts_backends.backend = SecurityTokens
