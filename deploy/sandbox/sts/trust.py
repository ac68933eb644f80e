"""Whether a role's trust policy lets somebody in: pure.

What is not understood never lets anybody in, and keeps everybody out where it denies.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Caller", "trusts"]

_ACTION = "sts:assumerole"
_UNDERSTOOD = {"Sid", "Effect", "Principal", "Action", "Condition"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who wants in, and what they say about it."""

    account: str
    arns: frozenset[str]
    """All that the caller is: a user's ARN; or a session's, and that of its role."""
    context: Mapping[str, str]
    """The condition keys that the call has, in lower case, as `sts:externalid`."""


def trusts(document: str, caller: Caller) -> bool:
    """Return whether the trust policy, in JSON, allows `caller` to call AssumeRole.

    Raises:
        ValueError: it is not JSON.
    """
    statements = _several(json.loads(document).get("Statement", ()))
    allowed = False
    for statement in statements:
        effect = statement.get("Effect")
        if effect == "Deny" and _applies(statement, caller, in_doubt=True):
            return False
        if effect == "Allow" and _applies(statement, caller, in_doubt=False):
            allowed = True
    return allowed


def _applies(statement: Mapping[str, Any], caller: Caller, *, in_doubt: bool) -> bool:
    if statement.keys() - _UNDERSTOOD:
        return in_doubt
    return (
        _is_principal(statement.get("Principal"), caller)
        and any(_like(pattern.lower(), _ACTION) for pattern in _several(statement.get("Action", ())))
        and all(
            _holds(operator, key.lower(), _several(values), caller.context, in_doubt=in_doubt)
            for operator, wanted in statement.get("Condition", {}).items()
            for key, values in wanted.items()
        )
    )


def _is_principal(principal: Any, caller: Caller) -> bool:
    if isinstance(principal, Mapping):
        named = _several(principal.get("AWS", ()))
    else:
        named = ["*"] if principal == "*" else []
    anybody_of = {"*", caller.account, f"arn:aws:iam::{caller.account}:root"}
    return any(name in anybody_of or name in caller.arns for name in named)


def _holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str], *, in_doubt: bool) -> bool:
    value = context.get(key)
    name = operator.removesuffix("IfExists")
    if name not in _OPERATORS:
        return in_doubt
    matches, expected = _OPERATORS[name]
    if value is None:
        return operator != name or not expected
    return any(matches(each, value) for each in wanted) is expected


def _like(pattern: str, value: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _equal(wanted: str, value: str) -> bool:
    return wanted == value


# How a wanted value and the given one are compared, and whether one of them must match or none may.
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equal, True),
    "StringNotEquals": (_equal, False),
    "StringLike": (_like, True),
    "StringNotLike": (_like, False),
    "ArnEquals": (_like, True),
    "ArnLike": (_like, True),
}


def _several(one_or_more: Any) -> list[Any]:
    if isinstance(one_or_more, str | Mapping):
        return [one_or_more]
    return list(one_or_more) if isinstance(one_or_more, Iterable) else []
