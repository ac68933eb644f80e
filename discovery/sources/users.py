"""Users as ElastiCache and MemoryDB describe them (pure): the same but for the names of fields.

Shapes are those of DescribeUsers, ElastiCache's version 2015-02-02 and MemoryDB's 2021-01-01.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discovery.model import Authentication, Place, Service, User, UserKey, UserState, UserStatus
from discovery.source import Skipped

__all__ = ["ELASTICACHE_USERS", "MEMORYDB_USERS", "UserFields", "read_user", "user_state"]


@dataclass(frozen=True, slots=True)
class UserFields:
    """Where a service's answer has what.

    Attributes:
        service: whose users they are.
        id: the field by which calls name a user.
        name: the field that logs in.
        groups: the field that lists the user groups or ACLs that a user is in.
    """

    service: Service
    id: str
    name: str
    groups: str

    def groups_of(self, raw: Mapping[str, Any]) -> Sequence[str]:
        """The user groups or ACLs that a user is in."""
        groups: Sequence[str] = raw.get(self.groups) or ()
        return groups


ELASTICACHE_USERS = UserFields(Service.ELASTICACHE, id="UserId", name="UserName", groups="UserGroupIds")
MEMORYDB_USERS = UserFields(Service.MEMORYDB, id="Name", name="Name", groups="ACLNames")


def user_state(raw: Mapping[str, Any]) -> UserState | None:
    """The state of a user in an answer of DescribeUsers; None where it authenticates in a way that is not known."""
    authentication = raw.get("Authentication") or {}
    kind, status = authentication.get("Type"), raw.get("Status")
    if kind not in set(Authentication):
        return None
    return UserState(
        status=UserStatus(status) if status in set(UserStatus) else UserStatus.OTHER,
        authentication=Authentication(kind),
        enabled=_is_on(raw.get("AccessString", "")),
        password_count=authentication.get("PasswordCount", 0),
    )


def read_user(
    raw: Mapping[str, Any], fields: UserFields, *, place: Place, databases: tuple[str, ...], managed: bool
) -> User | Skipped:
    """The user in an answer of DescribeUsers, or why it is left out.

    Args:
        raw: one of its `Users`.
        fields: whose answer it is.
        place: the account and region that were asked.
        databases: keys of the databases that the user reaches.
        managed: whether it carries the opt-in tag.
    """
    state = user_state(raw)
    if state is None:
        kind = (raw.get("Authentication") or {}).get("Type")
        return Skipped(f"user {raw[fields.id]}", f"it authenticates by {kind!r}, which is not known")
    return User(
        key=UserKey(fields.service, place.account, place.region, raw[fields.id]),
        name=raw[fields.name],
        arn=raw["ARN"],
        status=state.status,
        authentication=state.authentication,
        managed=managed,
        enabled=state.enabled,
        databases=databases,
    )


def _is_on(access_string: str) -> bool:
    """As Redis reads it: the last word counts, and a user that nothing turns on is off."""
    switches = [word for word in access_string.lower().split() if word in {"on", "off"}]
    return bool(switches) and switches[-1] == "on"
