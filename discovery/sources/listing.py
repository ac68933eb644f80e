"""What one kind of source listed, to databases and users (pure): what is the same for all of AWS's kinds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from discovery.model import Database, DatabaseKind, Endpoint, Place, User
from discovery.names import database_name
from discovery.source import Answer, FoundDatabase, Skipped
from discovery.sources.users import UserFields, read_user
from discovery.tags import MANAGED_TAG, Selector, Tags, opts_in, selects

__all__ = ["Candidate", "Door", "Listing", "endpoint_of", "unfit"]

_ENGINES = {"redis", "valkey"}
_NOT_THERE_YET = {"creating", "deleting", "create-failed"}


@dataclass(frozen=True, slots=True)
class Door:
    """One endpoint of a resource; each is a database of its own.

    Attributes:
        type: the label `endpoint-type`, such as `primary`.
        endpoint: where clients connect.
        nodes: further addresses where a login has to work.
        ending: what the database's name has after the resource's.
    """

    type: str
    endpoint: Endpoint
    nodes: tuple[Endpoint, ...] = ()
    ending: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resource that can be served, as far as it is known without its tags.

    Attributes:
        kind: what it is.
        id: its name in AWS, unique among its kind in an account and region.
        arn: its ARN.
        groups: the user groups or the ACL whose users reach it.
        doors: its endpoints, at least one.
        cluster_mode: whether it speaks the cluster protocol.
        engine: `redis` or `valkey`.
        engine_version: such as `7.1`; None where it is not known.
        description: what its owner wrote.
    """

    kind: DatabaseKind
    id: str
    arn: str
    groups: tuple[str, ...]
    doors: tuple[Door, ...]
    cluster_mode: bool
    engine: str
    engine_version: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything but the tags that AWS said in one pass.

    Attributes:
        user_fields: how the users' service tells users.
        candidates: the resources that can be served.
        skipped: the others, and why.
        users: the service's answer about users, all pages.
    """

    user_fields: UserFields
    candidates: tuple[Candidate, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    users: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, user_fields: UserFields, resources: Iterable[Candidate | Skipped]) -> "Listing":
        """The listing of these resources, without users."""
        every = tuple(resources)
        return cls(
            user_fields,
            tuple(one for one in every if isinstance(one, Candidate)),
            tuple(one for one in every if isinstance(one, Skipped)),
        )

    @property
    def has_groups(self) -> bool:
        """Whether any user can reach any of it."""
        return any(one.groups for one in self.candidates)

    def arns_of_interest(self) -> tuple[str, ...]:
        """What tags are needed of: the resources that can be served, and the users that reach one of them."""
        groups = {group for one in self.candidates for group in one.groups}
        reaching = [
            user["ARN"] for user in self.users if groups.intersection(self.user_fields.groups_of(user))
        ]
        return (*(one.arn for one in self.candidates), *reaching)

    def answer(
        self, tags: Mapping[str, Tags], *, place: Place, selector: Selector, managed_tag: str = MANAGED_TAG
    ) -> Answer:
        """The databases that the selector chooses, and the users that reach at least one of them.

        Args:
            tags: tags by ARN; an ARN that is absent has none.
            place: the account and region that were read.
            selector: which databases to take, by their labels.
            managed_tag: the tag that opts a user in.
        """
        databases: list[FoundDatabase] = []
        skipped = list(self.skipped)
        reach: dict[str, set[str]] = {}  # user group or ACL → keys of databases
        for one in self.candidates:
            found = _databases(one, tags.get(one.arn, {}), place)
            chosen = [database for database in found if selects(selector, database.database.labels)]
            databases += chosen
            for group in one.groups:
                reach.setdefault(group, set()).update(database.key for database in chosen)
        users: list[User] = []
        for raw in self.users:
            keys = {key for group in self.user_fields.groups_of(raw) for key in reach.get(group, ())}
            if not keys or _engine(raw) not in _ENGINES:
                continue
            managed = opts_in(tags.get(raw["ARN"], {}), managed_tag)
            user = read_user(
                raw, self.user_fields, place=place, databases=tuple(sorted(keys)), managed=managed
            )
            if isinstance(user, Skipped):
                skipped.append(user)
            else:
                users.append(user)
        return Answer(tuple(databases), tuple(users), tuple(skipped))


def unfit(resource: str, raw: Mapping[str, Any], *, encrypted: bool) -> Skipped | None:
    """Why a resource can't be served, whatever its kind: its status, its engine, or no TLS. None: nothing speaks against it.

    Args:
        resource: what it is called in the reason, such as `replication group orders`.
        raw: AWS's answer about it.
        encrypted: whether it takes TLS.
    """
    status = str(raw.get("Status") or "").lower()  # serverless caches' is documented in upper case
    if status in _NOT_THERE_YET:
        return Skipped(resource, f"it is {status}", passing=True)
    engine = _engine(raw)
    if engine not in _ENGINES:
        return Skipped(resource, f"its engine is {engine}, and only Redis and Valkey are served")
    if not encrypted:
        return Skipped(resource, "in-transit encryption is off, and passwords go over TLS only")
    return None


def endpoint_of(raw: Mapping[str, Any] | None) -> Endpoint | None:
    """An endpoint in AWS's answer; one without an address belongs to something that is still being made."""
    return Endpoint(raw["Address"], int(raw["Port"])) if raw and raw.get("Address") else None


def _engine(raw: Mapping[str, Any]) -> str:
    """The engine of a resource or user; what names none is older than Valkey, or of a service with one kind of user."""
    return str(raw.get("Engine") or "redis").lower()


def _databases(one: Candidate, tags: Tags, place: Place) -> Iterator[FoundDatabase]:
    facts = {"account-id": place.account, "region": place.region, "engine": one.engine}
    if one.engine_version is not None:
        facts["engine-version"] = one.engine_version
    for door in one.doors:
        yield FoundDatabase(
            f"{one.arn}/{door.type}",
            Database(
                name=database_name(one.id, tags, door.ending),
                kind=one.kind,
                endpoint=door.endpoint,
                place=place,
                resource_id=one.id,
                cluster_mode=one.cluster_mode,
                nodes=door.nodes,
                # What AWS says wins over what somebody tagged, for roles may rely on it.
                labels={**tags, **facts, "endpoint-type": door.type},
                engine=one.engine,
                engine_version=one.engine_version,
                description=one.description,
            ),
        )
