"""What is worth knowing of a demo beside how it went: how soon, and what it asked of AWS. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.demo.state import SERVICES, Run, State

__all__ = ["calls_per_rotation", "facts"]

_VAULT = "secretsmanager"
# Operations that only discovery asks: they happen with or without rotations.
_DISCOVERY = frozenset(
    {
        "DescribeACLs",
        "DescribeCacheClusters",
        "DescribeClusters",
        "DescribeReplicationGroups",
        "DescribeServerlessCaches",
        "DescribeUserGroups",
        "GetCallerIdentity",
        "GetResources",
        "ListSecrets",
        "ListTags",
        "ListTagsForResource",
    }
)


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
    for service, calls in calls_per_rotation(state, requests).items():
        parts = ", ".join(f"{number:.1f} {name}" for name, number in calls.items())
        found.append(("AWS calls per rotation", f"{SERVICES[service]} {sum(calls.values()):.1f}: {parts}"))
    if requests:
        codes = Counter(one["code"] for one in requests if one["code"]).most_common()
        errors = "".join(f", {number:,} answered with {code}" for code, number in codes)
        found.append(("AWS calls in all", f"{len(requests):,}{errors}"))
    return tuple(found)


def calls_per_rotation(state: State, requests: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How often each operation was asked during rotations, per rotation: by service, the most frequent first.

    Users rotate at the same time and share calls, so it is all calls of the service while any of its rotations ran,
    but discovery's, by the number of these rotations. Secrets Manager's calls do not say for which service they are,
    and it is asked the same for both; so its part is that of all rotations.
    """
    rotations = {
        service: sum(len(story.rotated_at) for key, story in state.stories.items() if _is_of(service, key))
        for service in SERVICES
    }
    of_vault = _during(requests, _VAULT, state.runs)
    found = {}
    for service, number in rotations.items():
        if number:
            own = _during(requests, service, [run for run in state.runs if _is_of(service, run.user)])
            calls = {name: count / number for name, count in own.items()}
            calls |= {name: count / sum(rotations.values()) for name, count in of_vault.items()}
            found[service] = dict(sorted(calls.items(), key=lambda one: -one[1]))
    return found


def _during(requests: Iterable[Mapping[str, Any]], service: str, runs: Sequence[Run]) -> Counter[str]:
    return Counter(
        one["operation"]
        for one in requests
        if one["service"] == service
        and one["operation"] not in _DISCOVERY
        and any(run.began <= one["time"] <= run.ended for run in runs)
    )


def _is_of(service: str, user: str) -> bool:
    return user.startswith(f"{service}/")
