"""Decides how the demo went. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demo.state import Counts, State

__all__ = ["Check", "Untagged", "calls_per_rotation", "facts", "judge", "shortest_duration"]

# Operations that only discovery asks: they happen with or without rotations.
_DISCOVERY = frozenset(
    {
        "DescribeCacheClusters",
        "DescribeReplicationGroups",
        "DescribeUserGroups",
        "GetCallerIdentity",
        "GetResources",
        "ListSecrets",
        "ListTagsForResource",
    }
)


@dataclass(frozen=True, slots=True)
class Untagged:
    """A user without the tag, as it stands in the account."""

    id: str
    status: str
    access: str
    password_count: int
    passwords: tuple[str, ...]
    secrets: tuple[str, ...]
    """Names of secrets that would be its own."""

    def __repr__(self) -> str:
        """Without the passwords: this is compared, and never shown."""
        return f"Untagged({self.id})"


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
    before: Mapping[str, Untagged],
    after: Mapping[str, Untagged],
    *,
    lasted: float,
    error: str = "",
) -> tuple[Check, ...]:
    """All that the demo promises.

    Args:
        state: at the end.
        counts: of the client.
        before: the users without the tag before the service was started.
        after: the same after it had ended.
        lasted: seconds from readiness to the end.
        error: what broke the demo off; empty if nothing did.
    """
    checks = [
        _rotated(state, before, lasted),
        _connected(state, counts, lasted),
        _left_alone(state, before, after),
    ]
    if error:
        checks.append(Check("service", passed=False, detail=error))
    return tuple(checks)


def _rotated(state: State, before: Mapping[str, Untagged], lasted: float) -> Check:
    # Who is tagged by hand while the demo runs may have had no time; who is untagged by hand is to be left alone.
    due = [user for user in state.users if user.care == "managed" and user.key not in before]
    missed = [user.id for user in due if not state.story(user.key).rotated_at]
    needed = shortest_duration(state.interval)
    detail = ", ".join(f"{user.id} {_times(len(state.story(user.key).rotated_at))}" for user in due)
    passed: bool | None = bool(due) and not missed
    if not due:
        detail = "no managed user was found"
    elif missed and lasted < needed:
        passed = None
        detail += f"; ended after {lasted:.0f} s, and it takes {needed:g}"
    return Check("rotated after adoption", passed, detail)


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


def _left_alone(state: State, before: Mapping[str, Untagged], after: Mapping[str, Untagged]) -> Check:
    # Whom somebody tagged by hand in the meantime, Valkeeper had to touch.
    expected = {key: user for key, user in before.items() if key not in state.ever_managed}
    touched = [user.id for key, user in expected.items() if after.get(key) != user or user.secrets]
    names = ", ".join(user.id for user in expected.values())
    if touched:
        detail = f"{', '.join(touched)} touched: passwords, access or status differ, or there is a secret"
    elif expected:
        detail = f"{names} never touched: same passwords, access and status, no secret"
    else:
        detail = "there was none"
    return Check("untagged users", passed=bool(expected) and not touched, detail=detail)


def facts(state: State, requests: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """What is worth knowing beside the checks: name and value."""
    adopted = [story.adopted_at for story in state.stories.values() if story.adopted_at is not None]
    rotated = [at for story in state.stories.values() for at in story.rotated_at]
    found = []
    if adopted:
        found.append(
            ("first new password", f"{min(adopted):.1f} s after the start of the command (adoption)")
        )
    if rotated:
        found.append(("first rotation", f"{min(rotated):.1f} s after the start of the command"))
    calls = calls_per_rotation(state, requests)
    if calls:
        parts = ", ".join(f"{number:.1f} {name}" for name, number in calls.items())
        found.append(("AWS calls per rotation", f"{sum(calls.values()):.1f}: {parts}"))
    if requests:
        codes = Counter(one["code"] for one in requests if one["code"]).most_common()
        errors = "".join(f", {number:,} answered with {code}" for code, number in codes)
        found.append(("AWS calls in all", f"{len(requests):,}{errors}"))
    return tuple(found)


def calls_per_rotation(state: State, requests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How often each operation was asked during rotations, per rotation; the most frequent first.

    Users rotate at the same time and share calls, so it is all calls while any rotation ran, but discovery's, by
    the number of rotations.
    """
    rotations = sum(len(story.rotated_at) for story in state.stories.values())
    if not rotations:
        return {}
    during = Counter(
        one["operation"]
        for one in requests
        if one["operation"] not in _DISCOVERY
        and any(begin <= one["time"] <= end for begin, end in state.runs)
    )
    return {name: number / rotations for name, number in during.most_common()}


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
