"""The sources that a configuration asks for."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from discovery.aws import Session, Sessions
from discovery.errors import ConfigurationError
from discovery.model import DatabaseKind, Role
from discovery.settings import DiscoverySettings, SourceSettings
from discovery.source import Source
from discovery.sources.elasticache import ElastiCacheSource
from discovery.sources.memorydb import MemoryDBSource
from discovery.sources.regional import RegionalSource
from discovery.sources.serverless import ServerlessSource
from discovery.sources.stand_ins import Sought, StandInSource, sought
from discovery.sources.static import StaticSource
from discovery.static_settings import StaticDatabaseSettings
from discovery.tags import MANAGED_TAG, selects

__all__ = ["REGIONAL_SOURCES", "asks_aws", "configured_sources"]

REGIONAL_SOURCES: Mapping[DatabaseKind, type[RegionalSource]] = {
    DatabaseKind.ELASTICACHE: ElastiCacheSource,
    DatabaseKind.SERVERLESS: ServerlessSource,
    DatabaseKind.MEMORYDB: MemoryDBSource,
}
"""What reads each kind that `discovery.sources[].types` may name."""


def asks_aws(settings: DiscoverySettings, databases: Sequence[StaticDatabaseSettings]) -> bool:
    """Whether anything of this needs AWS, and so may need its default region."""
    return bool(settings.sources) or any(
        one.on_aws or any(user.secret is not None for user in one.users) for one in databases
    )


def configured_sources(
    settings: DiscoverySettings,
    databases: Sequence[StaticDatabaseSettings],
    sessions: Sessions,
    *,
    default_region: str | None,
    managed_tag: str = MANAGED_TAG,
) -> list[Source]:
    """One source for each type, region and entry of `discovery.sources`, and one for the static databases, if any.

    Static databases on AWS endpoints are recognised in a source that takes everything of their region with their role;
    where there is none, they get one of their own, such as `memorydb/us-east-1/static`.

    Args:
        settings: the section `discovery:`.
        databases: the section `databases:`.
        sessions: what opens sessions; nothing is opened before the first reading.
        default_region: the region of what names none (`Sessions.default_region()`).
        managed_tag: the tag that opts a user in.

    Raises:
        ConfigurationError: an entry, database or secret names no region, and there is no default one.
    """
    looks = _looks(databases, default_region)
    sought_in: dict[str, list[str]] = {}
    names: set[str] = set()
    sources: list[Source] = []

    def take(source: Source, wanted: Sequence[Sought], *, only: bool) -> None:
        names.add(source.name)
        sources.append(StandInSource(source, wanted, only=only) if wanted else source)
        for one in wanted:
            sought_in.setdefault(one.key, []).append(source.name)

    for position, entry in enumerate(settings.sources):
        for region in _regions(entry, position, default_region):
            for kind in dict.fromkeys(entry.types):
                name = f"{kind}/{region}"
                if name in names:  # two entries may look at one region, by different tags
                    name = f"{name}/{position}"
                opening = partial(sessions.open, region, entry.role)
                source = REGIONAL_SOURCES[kind](name, opening, selector=entry.tags, managed_tag=managed_tag)
                takes_everything = selects(entry.tags, {})
                look = _Look(kind, region, entry.role)
                take(source, looks.pop(look, ()) if takes_everything else (), only=False)
    for number, (look, wanted) in enumerate(looks.items()):
        name = f"{look.kind}/{look.region}/static"
        if name in names:  # another role's or account's
            name = f"{name}/{number}"
        opening = partial(_open, sessions, look)
        take(REGIONAL_SOURCES[look.kind](name, opening, managed_tag=managed_tag), wanted, only=True)
    if databases:
        sources.insert(0, StaticSource(databases, default_region=default_region, sought_in=sought_in))
    return sources


class _Look(NamedTuple):
    """What one source reads for static databases."""

    kind: DatabaseKind
    region: str
    role: Role | None
    account_id: str | None = None


def _looks(
    databases: Sequence[StaticDatabaseSettings], default_region: str | None
) -> dict[_Look, list[Sought]]:
    looks: dict[_Look, list[Sought]] = {}
    for position, settings in enumerate(databases):
        one = sought(settings, position, default_region)
        if one is not None:
            for kind in one.kinds:
                looks.setdefault(_Look(kind, one.region, one.role, one.account_id), []).append(one)
    return looks


async def _open(sessions: Sessions, look: _Look) -> Session:
    session = await sessions.open(look.region, look.role)
    if look.account_id is not None and session.place.account != look.account_id:
        whose = f"the role {look.role.arn}" if look.role is not None else "Valkeeper's own credentials"
        raise ConfigurationError(
            f"databases[].aws.account_id says {look.account_id}, but {whose} reach account {session.place.account}:"
            " set aws.assume_role_arn to a role of the account that is meant"
        )
    return session


def _regions(entry: SourceSettings, position: int, default_region: str | None) -> tuple[str, ...]:
    if entry.regions:
        return tuple(dict.fromkeys(entry.regions))
    if default_region is None:
        raise ConfigurationError(
            f"discovery.sources[{position}].regions: no region is named, and AWS's own settings name none either;"
            " set regions, or AWS_REGION, or run with discovery.sources: [] to do without AWS"
        )
    return (default_region,)
