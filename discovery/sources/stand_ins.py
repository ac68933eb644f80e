"""Static databases on AWS endpoints: where in AWS each is looked for, and what of a source's answer it stands in for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from discovery.errors import ConfigurationError
from discovery.model import DatabaseKind, Endpoint, Role
from discovery.source import Answer, FoundDatabase, Source
from discovery.static_settings import StaticDatabaseSettings

__all__ = ["Sought", "StandInSource", "sought", "static_key", "with_stand_ins"]

_AWS_KINDS = tuple(kind for kind in DatabaseKind if kind is not DatabaseKind.STATIC)


@dataclass(frozen=True, slots=True)
class Sought:
    """A static database on an AWS endpoint.

    Attributes:
        key: of the static database.
        endpoint: where clients connect.
        kinds: what it may be.
        region: where it is.
        role: the role that reaches it; None: Valkeeper's own credentials do.
        account_id: the account that has to be reached; None: any.
        alias_of: the id of the resource that its endpoint leads to, where that is an alias (CNAME).
        resource_id: the id as far as it is known.
    """

    key: str
    endpoint: Endpoint
    kinds: tuple[DatabaseKind, ...]
    region: str
    role: Role | None = None
    account_id: str | None = None
    alias_of: str | None = None
    resource_id: str | None = None


def static_key(name: str) -> str:
    """The key of a static database, by its name."""
    return f"static/{name}"


def sought(settings: StaticDatabaseSettings, position: int, default_region: str | None) -> Sought | None:
    """Where a static database is looked for; None: nowhere in AWS.

    Args:
        settings: one of `databases:`.
        position: which one, for errors.
        default_region: the region that AWS's own settings name.

    Raises:
        ConfigurationError: it is in AWS, and no region is known.
    """
    if not settings.on_aws:
        return None
    region = settings.region(default_region)
    if region is None:
        raise ConfigurationError(
            f"databases[{position}].aws.region: the host of {settings.name} tells no region, and AWS's own settings name"
            " none either; set it, or AWS_REGION"
        )
    aws, host = settings.aws, settings.aws_host
    kind = (aws.type if aws is not None else None) or (host.kind if host is not None else None)
    alias_of = aws.resource_id if aws is not None else None
    return Sought(
        key=static_key(settings.name),
        endpoint=settings.endpoint,
        kinds=(kind,) if kind is not None else _AWS_KINDS,
        region=region,
        role=settings.role,
        account_id=aws.account_id if aws is not None else None,
        alias_of=alias_of,
        resource_id=alias_of or (host.resource_id if host is not None else None),
    )


def with_stand_ins(answer: Answer, wanted: Sequence[Sought], *, only: bool) -> Answer:
    """The answer with its databases marked that static ones stand in for.

    A database is what a static one means if it has the same endpoint. If there is none, it is the resource that
    `aws.resource_id` names, and of its endpoints the one that takes writes.

    Args:
        answer: of a source.
        wanted: the static databases that may be found there.
        only: leave out all else: other databases, their users, and what was skipped of other resources.
    """
    standing: dict[str, list[str]] = {}
    for one in wanted:
        if (found := _meant(one, answer.databases)) is not None:
            standing.setdefault(found.key, []).append(one.key)
    databases = tuple(
        replace(found, stood_in_by=tuple(standing.get(found.key, ()))) for found in answer.databases
    )
    if not only:
        return replace(answer, databases=databases)
    ids = {one.resource_id.lower() for one in wanted if one.resource_id}
    return Answer(
        tuple(found for found in databases if found.stood_in_by),
        tuple(
            replace(user, databases=reach)
            for user in answer.users
            if (reach := tuple(key for key in user.databases if key in standing))
        ),
        tuple(one for one in answer.skipped if one.resource.rpartition(" ")[2].lower() in ids),
    )


def _meant(one: Sought, databases: Iterable[FoundDatabase]) -> FoundDatabase | None:
    endpoint = _comparable(one.endpoint)
    named = None
    for found in databases:
        if _comparable(found.database.endpoint) == endpoint:
            return found
        is_reader = found.database.labels.get("endpoint-type") == "reader"
        same_id = one.alias_of is not None and _same(found.database.resource_id, one.alias_of)
        if named is None and same_id and not is_reader:
            named = found
    return named


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()


def _comparable(endpoint: Endpoint) -> Endpoint:
    return Endpoint(endpoint.host.lower().removesuffix("."), endpoint.port)


class StandInSource:
    """A source of AWS's in whose answers static databases are recognised.

    Args:
        source: the source.
        wanted: the static databases that may be found there.
        only: whether it reads for these alone; what else it finds is left out.
    """

    def __init__(self, source: Source, wanted: Sequence[Sought], *, only: bool) -> None:
        self.name = source.name
        self._source = source
        self._wanted = tuple(wanted)
        self._only = only

    async def read(self) -> Answer:
        """The source's answer, with what static databases stand in for.

        Raises:
            DiscoveryError: as the source.
        """
        return with_stand_ins(await self._source.read(), self._wanted, only=self._only)
