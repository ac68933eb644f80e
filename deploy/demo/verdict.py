"""Decides how the demo went. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from deploy.demo.state import SERVICES, Counts, State, UserRow, names_by_service

__all__ = ["AccountUser", "Check", "judge", "shortest_duration"]


@dataclass(frozen=True, slots=True)
class AccountUser:
    """A user as it stands in the account."""

    service: str
    id: str
    authentication: str
    """As AWS calls it: password, no-password or iam."""
    status: str
    access: str
    password_count: int
    passwords: tuple[str, ...]
    secrets: tuple[str, ...]
    """Names of secrets that would be its own."""

    def __repr__(self) -> str:
        """Without the passwords: this is compared, and never shown."""
        return f"AccountUser({self.service}, {self.id})"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be true, and whether it is; None: the demo was too short to tell."""

    text: str
    passed: bool | None
    detail: str


def shortest_duration(interval: float) -> float:
    """Seconds from readiness in which every user is adopted, and then rotated once, with some to spare.

    Adopting takes about two; then comes the interval, a jitter of a second at most, and a rotation of about one.
    """
    return interval + 5


def judge(
    state: State,
    counts: Counts,
    before: Mapping[str, AccountUser],
    after: Mapping[str, AccountUser],
    *,
    lasted: float,
    error: str = "",
) -> tuple[Check, ...]:
    """All that the demo promises.

    Args:
        state: at the end.
        counts: of the client.
        before: the users without the tag and the IAM users, by key, before the service was started.
        after: the same after it had ended.
        lasted: seconds from readiness to the end.
        error: what broke the demo off; empty if nothing did.
    """
    checks = [
        *(_service(service, state, counts, before, lasted) for service in SERVICES),
        _connected(state, counts, lasted),
        _untagged_left_alone(state, before, after),
        _iam_left_alone(before, after),
    ]
    if error:
        checks.append(Check("service", passed=False, detail=error))
    return tuple(checks)


def _service(
    service: str, state: State, counts: Counts, before: Mapping[str, AccountUser], lasted: float
) -> Check:
    """Of one service: its managed users were rotated after their adoption, and an IAM user got in."""
    users = [user for user in state.users if user.service == service]
    # Who is tagged by hand while the demo runs may have had no time; who is untagged by hand is to be left alone.
    managed = [user for user in users if user.care == "managed" and user.key not in before]
    # AWS, too, has to say that it is one, and so that it has no password that could let it in.
    iam = [user for user in users if user.care == "iam" and user.key in before and _is_iam(before[user.key])]
    rotations = {user.key: len(state.story(user.key).rotated_at) for user in managed}
    commands = {user.key: counts.of(user) for user in iam}
    detail = (
        f"{_number(len(managed), 'managed user')}, {_number(sum(rotations.values()), 'rotation')}"
        f"{_each(managed, lambda user: _times(rotations[user.key]))}; "
        f"{_number(len(iam), 'IAM user')}, {_number(sum(commands.values()), 'command')} with a token"
        f"{_each(iam, lambda user: f'{commands[user.key]:,}')}"
    )
    passed: bool | None = bool(managed) and all(rotations.values()) and bool(iam) and any(commands.values())
    needed = shortest_duration(state.interval)
    if managed and iam and not passed and lasted < needed:
        passed = None
        detail += f"; ended after {lasted:.0f} s, and it takes {needed:g}"
    return Check(SERVICES[service], passed, detail)


def _connected(state: State, counts: Counts, lasted: float) -> Check:
    missed = [
        f"{user} on {database}"
        for database, user in sorted(state.offered)
        if not counts.by_target.get((database, user))
    ]
    detail = f"{counts.commands:,} on {counts.connections:,} connections without a password, {counts.failures:,} failed"
    if counts.failures:
        detail += f"; the last: {counts.last_failure}"
    if missed:
        detail += f"; none succeeded as {', '.join(missed)}"
    passed: bool | None = counts.commands > 0 and not counts.failures and not missed
    if not passed and not counts.failures and lasted < shortest_duration(state.interval):
        passed = None
    return Check("client commands", passed, detail)


def _untagged_left_alone(
    state: State, before: Mapping[str, AccountUser], after: Mapping[str, AccountUser]
) -> Check:
    # Whom somebody tagged by hand in the meantime, Valkeeper had to touch.
    expected = {
        key: user for key, user in before.items() if key not in state.ever_managed and not _is_iam(user)
    }
    with_password = {user.service for user in expected.values() if user.passwords}
    how = "same passwords, access and status, no secret"
    return _left_alone("untagged users", how, expected, after, with_password)


def _iam_left_alone(before: Mapping[str, AccountUser], after: Mapping[str, AccountUser]) -> Check:
    expected = {key: user for key, user in before.items() if _is_iam(user)}
    how = "no password, no secret, same access and status"
    return _left_alone("IAM users", how, expected, after, {user.service for user in expected.values()})


def _left_alone(
    what: str,
    how: str,
    expected: Mapping[str, AccountUser],
    after: Mapping[str, AccountUser],
    witnessed: Collection[str],
) -> Check:
    """That users were; it needs at least one in each service for which that says something."""
    touched = [user for key, user in expected.items() if after.get(key) != user or user.secrets]
    without = [name for service, name in SERVICES.items() if service not in witnessed]
    if touched:
        detail = f"{_names(touched)} touched: passwords, access or status differ, or there is a secret"
    elif without:
        detail = f"there was none of {' and '.join(without)}"
    else:
        detail = f"{_names(expected.values())} never touched: {how}"
    return Check(what, passed=not touched and not without, detail=detail)


def _is_iam(user: AccountUser) -> bool:
    return user.authentication == "iam"


def _names(users: Iterable[AccountUser]) -> str:
    return names_by_service((user.service, user.id) for user in users)


def _each(users: Iterable[UserRow], words: Callable[[UserRow], str]) -> str:
    told = ", ".join(f"{user.id} {words(user)}" for user in users)
    return f" ({told})" if told else ""


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
