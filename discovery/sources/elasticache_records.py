"""ElastiCache's answers to records (pure). Shapes are those of its API, version 2015-02-02."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discovery.model import (
    Authentication,
    Database,
    DatabaseKind,
    Endpoint,
    Place,
    Service,
    User,
    UserKey,
    UserState,
    UserStatus,
)
from discovery.names import database_name
from discovery.source import Answer, FoundDatabase, Skipped
from discovery.tags import MANAGED_TAG, Selector, Tags, opts_in, selects

__all__ = ["ElastiCacheAnswers", "arns_of_interest", "records", "user_state"]

_ENGINES = {"redis", "valkey"}
_NOT_THERE_YET = {"creating", "deleting", "create-failed"}


@dataclass(frozen=True, slots=True)
class ElastiCacheAnswers:
    """Everything that AWS said in one pass.

    Attributes:
        groups: `ReplicationGroups` of DescribeReplicationGroups, all pages.
        users: `Users` of DescribeUsers, all pages.
        versions: engine version by cache cluster id; empty where it is not known.
        tags: tags by ARN; an ARN that is absent has none.
    """

    groups: Sequence[Mapping[str, Any]] = ()
    users: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Tags] = field(default_factory=dict)


def arns_of_interest(answers: ElastiCacheAnswers) -> tuple[str, ...]:
    """What tags are needed of: the groups that can be served, and the users that reach one of them."""
    served = [group for group in answers.groups if _why_not(group) is None]
    user_groups = {one for group in served for one in group.get("UserGroupIds", ())}
    reaching = [user for user in answers.users if user_groups.intersection(user.get("UserGroupIds", ()))]
    return tuple(one["ARN"] for one in (*served, *reaching))


def records(
    answers: ElastiCacheAnswers, *, place: Place, selector: Selector, managed_tag: str = MANAGED_TAG
) -> Answer:
    """The databases that the selector chooses, and the users that reach at least one of them.

    A replication group is one database for its primary endpoint, with every node for verifying logins, and one for its
    reader endpoint. Users reach it through the user groups that both name.
    """
    databases: list[FoundDatabase] = []
    skipped: list[Skipped] = []
    reach: dict[str, list[str]] = {}  # user group id → keys of databases
    for group in answers.groups:
        reason = _why_not(group)
        if reason is not None:
            skipped.append(reason)
            continue
        chosen = [one for one in _databases(group, answers, place) if selects(selector, one.database.labels)]
        databases += chosen
        for user_group in group.get("UserGroupIds", ()):
            reach.setdefault(user_group, []).extend(one.key for one in chosen)
    users: list[User] = []
    for raw in answers.users:
        keys = {key for user_group in raw.get("UserGroupIds", ()) for key in reach.get(user_group, ())}
        if not keys or raw.get("Engine", "redis").lower() not in _ENGINES:
            continue
        user = _user(raw, answers.tags.get(raw["ARN"], {}), tuple(sorted(keys)), place, managed_tag)
        if isinstance(user, Skipped):
            skipped.append(user)
        else:
            users.append(user)
    return Answer(tuple(databases), tuple(users), tuple(skipped))


def _why_not(group: Mapping[str, Any]) -> Skipped | None:
    resource = f"replication group {group['ReplicationGroupId']}"
    status = group.get("Status", "")
    if status in _NOT_THERE_YET:
        return Skipped(resource, f"it is {status}", passing=True)
    if not group.get("TransitEncryptionEnabled"):
        return Skipped(resource, "in-transit encryption is off, and passwords go over TLS only")
    if group.get("ClusterEnabled") or group.get("ConfigurationEndpoint"):
        return Skipped(resource, "cluster mode is not supported yet")
    if not any(_endpoint(node.get("PrimaryEndpoint")) for node in group.get("NodeGroups", ())):
        return Skipped(resource, "it has no endpoint yet", passing=True)
    return None


def _databases(
    group: Mapping[str, Any], answers: ElastiCacheAnswers, place: Place
) -> Iterator[FoundDatabase]:
    tags = answers.tags.get(group["ARN"], {})
    # With cluster mode off there is one node group, and it holds every node.
    node_group = next(one for one in group["NodeGroups"] if _endpoint(one.get("PrimaryEndpoint")))
    members = node_group.get("NodeGroupMembers", ())
    nodes = [endpoint for member in members if (endpoint := _endpoint(member.get("ReadEndpoint")))]
    versions = {answers.versions.get(member.get("CacheClusterId", "")) for member in members}
    version = versions.pop() if len(versions) == 1 else None  # two during an upgrade: neither is the group's
    engine = str(group.get("Engine") or "redis").lower()
    facts = {"account-id": place.account, "region": place.region, "engine": engine}
    if version is not None:
        facts["engine-version"] = version
    for role, ending, verified in (("Primary", "", tuple(nodes)), ("Reader", "-reader", ())):
        endpoint = _endpoint(node_group.get(f"{role}Endpoint"))
        if endpoint is None:
            continue
        kind = role.lower()
        yield FoundDatabase(
            f"{group['ARN']}/{kind}",
            Database(
                name=database_name(group["ReplicationGroupId"], tags, ending),
                kind=DatabaseKind.ELASTICACHE,
                endpoint=endpoint,
                place=place,
                resource_id=group["ReplicationGroupId"],
                nodes=verified,
                # What AWS says wins over what somebody tagged, for roles may rely on it.
                labels={**tags, **facts, "endpoint-type": kind},
                engine=engine,
                engine_version=version,
                description=group.get("Description", ""),
            ),
        )


def _endpoint(raw: Mapping[str, Any] | None) -> Endpoint | None:
    """An endpoint without an address belongs to something that is still being made."""
    return Endpoint(raw["Address"], int(raw["Port"])) if raw and raw.get("Address") else None


def user_state(raw: Mapping[str, Any]) -> UserState | None:
    """The state of a user in an answer of DescribeUsers; None where it authenticates in a way that is not known."""
    authentication = raw.get("Authentication", {})
    kind, status = authentication.get("Type"), raw.get("Status")
    if kind not in set(Authentication):
        return None
    return UserState(
        status=UserStatus(status) if status in set(UserStatus) else UserStatus.OTHER,
        authentication=Authentication(kind),
        enabled=_is_on(raw.get("AccessString", "")),
        password_count=authentication.get("PasswordCount", 0),
    )


def _user(
    raw: Mapping[str, Any], tags: Tags, databases: tuple[str, ...], place: Place, managed_tag: str
) -> User | Skipped:
    state = user_state(raw)
    if state is None:
        kind = raw.get("Authentication", {}).get("Type")
        return Skipped(f"user {raw['UserId']}", f"it authenticates by {kind!r}, which is not known")
    return User(
        key=UserKey(Service.ELASTICACHE, place.account, place.region, raw["UserId"]),
        name=raw["UserName"],
        arn=raw["ARN"],
        status=state.status,
        authentication=state.authentication,
        managed=opts_in(tags, managed_tag),
        enabled=state.enabled,
        databases=databases,
    )


def _is_on(access_string: str) -> bool:
    """As Redis reads it: the last word counts, and a user that nothing turns on is off."""
    switches = [word for word in access_string.lower().split() if word in {"on", "off"}]
    return bool(switches) and switches[-1] == "on"
