"""The sources that a configuration asks for."""

from collections.abc import Mapping, Sequence
from functools import partial

from discovery.aws import Sessions
from discovery.errors import ConfigurationError
from discovery.model import DatabaseKind
from discovery.settings import DiscoverySettings, SourceSettings
from discovery.source import Source
from discovery.sources.elasticache import ElastiCacheSource
from discovery.sources.memorydb import MemoryDBSource
from discovery.sources.regional import RegionalSource
from discovery.sources.serverless import ServerlessSource
from discovery.sources.static import StaticSource
from discovery.static_settings import StaticDatabaseSettings
from discovery.tags import MANAGED_TAG

__all__ = ["REGIONAL_SOURCES", "configured_sources"]

REGIONAL_SOURCES: Mapping[DatabaseKind, type[RegionalSource]] = {
    DatabaseKind.ELASTICACHE: ElastiCacheSource,
    DatabaseKind.SERVERLESS: ServerlessSource,
    DatabaseKind.MEMORYDB: MemoryDBSource,
}
"""What reads each kind that `discovery.sources[].types` may name."""


def configured_sources(
    settings: DiscoverySettings,
    databases: Sequence[StaticDatabaseSettings],
    sessions: Sessions,
    *,
    default_region: str | None,
    managed_tag: str = MANAGED_TAG,
) -> list[Source]:
    """One source for each type, region and entry of `discovery.sources`, and one for the static databases, if any.

    Args:
        settings: the section `discovery:`.
        databases: the section `databases:`.
        sessions: what opens sessions; nothing is opened before the first reading.
        default_region: the region of entries that name none (`Sessions.default_region()`).
        managed_tag: the tag that opts a user in.

    Raises:
        ConfigurationError: an entry names no region, and there is no default one.
    """
    sources: list[Source] = [StaticSource(databases)] if databases else []
    names: set[str] = set()
    for position, entry in enumerate(settings.sources):
        for region in _regions(entry, position, default_region):
            for kind in dict.fromkeys(entry.types):
                name = f"{kind}/{region}"
                if name in names:  # two entries may look at one region, by different tags
                    name = f"{name}/{position}"
                names.add(name)
                opening = partial(sessions.open, region, entry.role)
                regional = REGIONAL_SOURCES[kind]
                sources.append(regional(name, opening, selector=entry.tags, managed_tag=managed_tag))
    return sources


def _regions(entry: SourceSettings, position: int, default_region: str | None) -> tuple[str, ...]:
    if entry.regions:
        return tuple(dict.fromkeys(entry.regions))
    if default_region is None:
        raise ConfigurationError(
            f"discovery.sources[{position}].regions: no region is named, and AWS's own settings name none either;"
            " set regions, or AWS_REGION, or run with discovery.sources: [] to do without AWS"
        )
    return (default_region,)
