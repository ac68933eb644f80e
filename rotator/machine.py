"""The rotation state machine: what was observed of one user, and the one step that follows.

Pure: no clock, no network, no chance. `plan` goes down `ROWS` and takes the first that matches. The rows are the
design's table, with the questions that the table only implies (is this password accepted?) as rows of their own: a
question's answer comes back in `Observation.logins`, and the plan is made again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from discovery.model import Authentication, UserStatus
from rotator.headroom import ASKED_MOST
from rotator.observation import Logins, Observation, Version, due_at, fallback, is_live, version_token
from rotator.steps import (
    Amend,
    Apply,
    Ask,
    Count,
    Heal,
    Idle,
    Leave,
    Promote,
    Retire,
    Seed,
    Settle,
    Stage,
    Step,
    Wait,
)

__all__ = ["HEALS_PER_INTERVAL", "ROWS", "Row", "plan"]

HEALS_PER_INTERVAL = 3
"""A further heal within one interval means that somebody else sets the user's passwords."""


# Decisions that rows share.


def _current(seen: Observation) -> Version:
    if seen.secret is None or seen.secret.current is None:
        raise AssertionError("a row above has answered for secrets without AWSCURRENT")
    return seen.secret.current


def _live(seen: Observation) -> Version | None:
    return seen.secret.pending if seen.secret is not None and is_live(seen.secret) else None


def _pending(seen: Observation) -> Version:
    live = _live(seen)
    if live is None:
        raise AssertionError("asked only where a live pending version was seen")
    return live


def _logins(seen: Observation, version: Version | None) -> Logins | None:
    return seen.logins.get(version.id) if version is not None else None


def _current_rejected(seen: Observation) -> bool:
    logins = _logins(seen, _current(seen))
    return logins is not None and logins.rejected > 0


def _verified(seen: Observation) -> bool:
    """The pending password may be promoted.

    An unreachable endpoint holds a promotion for half an interval; then one acceptance and no rejection suffice.
    """
    logins = _logins(seen, _live(seen))
    if logins is None or logins.rejected or not logins.accepted:
        return False
    return logins.everywhere or seen.now >= _pending(seen).created + seen.interval / 2


def _not_applied(seen: Observation) -> bool:
    """Some endpoint said no to the pending password. Where none could be asked, applying again proves nothing."""
    logins = _logins(seen, _live(seen))
    return logins is not None and logins.rejected > 0


def _to_retire(seen: Observation) -> bool:
    """The old password is still valid and shall not be. A live pending version comes first."""
    current = _current(seen)
    return _live(seen) is None and current.retire and current.password is not None and seen.password_count > 1


def _foreign(seen: Observation) -> bool:
    """AWSPENDING holds a version that is somebody else's."""
    secret = seen.secret
    if secret is None or secret.pending is None or secret.pending.ours:
        return False
    return secret.pending.id not in {v.id for v in (secret.current, secret.previous) if v is not None}


def _due(seen: Observation) -> bool:
    if seen.secret is None:
        return False
    due = due_at(seen.secret, seen.interval)
    return seen.wanted or due is None or seen.now >= due


def _full(seen: Observation) -> bool:
    """Another version would take the room that is kept for leaked passwords."""
    room = seen.headroom
    return room is not None and seen.wanted and not seen.wanted_retire and room.versions >= ASKED_MOST


def _stretched_to(seen: Observation) -> datetime | None:
    """When the next rotation of the schedule is due, where a day has no room for the interval that is configured."""
    if seen.headroom is None or seen.secret is None or seen.wanted:
        return None
    due = due_at(seen.secret, seen.headroom.interval)
    return due if due is not None and seen.now < due else None


def _heal(seen: Observation) -> Step:
    current, live = _current(seen), _live(seen)
    if live is not None:
        return Heal((current, live))
    previous = fallback(seen.secret) if seen.secret is not None else None
    return Heal((current,)) if previous is None else Heal((previous, current))


def _apply(seen: Observation) -> Step:
    current, pending = _current(seen), _pending(seen)
    if current.password is not None:
        return Apply((current, pending))
    # AWSCURRENT is a seed. Somebody who moved it back there by hand has left clients logged in with AWSPREVIOUS.
    previous = seen.secret.previous if seen.secret is not None else None
    return Apply((pending,) if previous is None or previous.password is None else (previous, pending))


def _stage(seen: Observation) -> Step:
    if seen.secret is None:
        raise AssertionError("a row above has answered for users without a secret")
    return Stage(version_token(seen.secret), _current(seen).id, retire=seen.wanted_retire)


def _amend(seen: Observation) -> Step:
    if seen.amendment is None:
        raise AssertionError("asked only where there is something to amend")
    return Amend(seen.amendment)


def _idle(seen: Observation) -> Step:
    if seen.secret is None:
        raise AssertionError("a row above has answered for users without a secret")
    return Idle(due_at(seen.secret, seen.interval) or seen.now)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the plan: its name, when it matches, and the step it gives; and both in words, for the docs."""

    name: str
    when: Callable[[Observation], bool]
    then: Callable[[Observation], Step]
    asks: str = ""
    does: str = ""


ROWS: tuple[Row, ...] = (
    Row(
        "deleting",
        lambda o: o.status is UserStatus.DELETING,
        lambda _: Leave("the user is being deleted"),
        asks="the user is being deleted",
        does="leave it",
    ),
    Row(
        "settle",
        lambda o: o.status is not UserStatus.ACTIVE,
        lambda _: Settle(),
        asks="the user is not active",
        does="wait until it is",
    ),
    Row(
        "off",
        lambda o: not o.enabled,
        lambda _: Leave(
            "the user is switched off: its access string says 'off'; say 'on' to have it managed"
        ),
        asks="the user is switched off",
        does="leave it",
    ),
    Row(
        "no password",
        lambda o: o.authentication is not Authentication.PASSWORD,
        lambda o: Leave(
            f"the user's authentication is '{o.authentication}', and only password users have passwords to rotate"
        ),
        asks="the user is not one with passwords",
        does="leave it",
    ),
    Row(
        "no endpoint",
        lambda o: o.endpoints == 0,
        lambda _: Leave("the user reaches no known database, so a new password could not be verified"),
        asks="it reaches no known database",
        does="leave it",
    ),
    Row(
        "secret deleted",
        lambda o: o.secret is not None and o.secret.deleted,
        lambda _: Leave(
            "its secret is scheduled for deletion: restore it (aws secretsmanager restore-secret)"
        ),
        asks="its secret is scheduled for deletion",
        does="leave it",
    ),
    Row(
        "seed",
        lambda o: o.secret is None or o.secret.current is None,
        lambda o: Seed(create=o.secret is None),
        asks="the secret has no AWSCURRENT",
        does="create it, with a first version that holds no password",
    ),
    Row(
        "unreadable",
        lambda o: not _current(o).readable,
        lambda _: Leave(
            "AWSCURRENT of its secret is not JSON with username and password: mend or delete the secret"
        ),
        asks="AWSCURRENT is not JSON with username and password",
        does="leave it",
    ),
    Row(
        "ask current",
        lambda o: _current(o).password is not None and _logins(o, _current(o)) is None,
        lambda o: Ask(_current(o)),
        asks="AWSCURRENT has a password that was not tried yet",
        does="log in with it everywhere",
    ),
    Row(
        "contended",
        lambda o: _current_rejected(o) and o.heals >= HEALS_PER_INTERVAL,
        lambda _: Leave("contended: something else keeps setting this user's passwords; find it and stop it"),
        asks="AWSCURRENT is rejected, and was healed three times within an interval",
        does="leave it",
    ),
    Row(
        "heal",
        _current_rejected,
        _heal,
        asks="AWSCURRENT is rejected",
        does="ModifyUser: AWSCURRENT and the live pending one, else AWSCURRENT and AWSPREVIOUS (unless retired)",
    ),
    Row(
        "ask pending",
        lambda o: _live(o) is not None and _logins(o, _live(o)) is None,
        lambda o: Ask(_pending(o)),
        asks="a live pending version was not tried yet",
        does="log in with it everywhere",
    ),
    Row(
        "promote",
        _verified,
        lambda o: Promote(_pending(o), _current(o)),
        asks="the live pending version is accepted everywhere",
        does="UpdateSecretVersionStage: AWSCURRENT moves to it, if it still is where it was seen",
    ),
    Row(
        "unacknowledged",
        lambda o: (_not_applied(o) or _to_retire(o)) and not o.acknowledged,
        lambda _: Wait("a proxy has not acknowledged the current password yet"),
        asks="a proxy does not log in with AWSCURRENT yet",
        does="wait",
    ),
    Row(
        "backoff",
        lambda o: _not_applied(o) and o.apply_not_before is not None and o.now < o.apply_not_before,
        lambda o: Wait("the new password was applied and is still rejected", o.apply_not_before),
        asks="the pending version was applied and is still rejected",
        does="wait a little longer each time",
    ),
    Row(
        "apply",
        _not_applied,
        _apply,
        asks="the live pending version is rejected",
        does="ModifyUser: AWSCURRENT (or AWSPREVIOUS, where that alone has a password) and the pending one",
    ),
    Row(
        "unreachable",
        lambda o: _live(o) is not None,
        lambda _: Wait("an endpoint could not be reached to verify the new password"),
        asks="an endpoint that could not be reached holds up the pending version",
        does="wait, for half an interval at most",
    ),
    Row(
        "retire",
        _to_retire,
        lambda o: Retire((_current(o),)),
        asks="AWSCURRENT is to retire its predecessor, and two passwords are set",
        does="ModifyUser: AWSCURRENT alone",
    ),
    # Never while a version is pending ("unreachable" has answered for that): a rotation under way is finished with the
    # key it was begun with, and nothing that a new key's policy forgot stands between a password's staging and its
    # promotion. Before "stage", so that the next version is encrypted with the key that is configured now; the engine
    # does not try a failed amendment again for a while, so it holds up no rotation.
    Row(
        "amend",
        lambda o: o.amendment is not None,
        _amend,
        asks="the secret's key, tags or description are not as configured",
        does="UpdateSecret, TagResource",
    ),
    Row(
        "foreign",
        lambda o: _due(o) and _foreign(o) and not o.force,
        lambda _: Leave(
            "AWSPENDING of its secret holds a version that Valkeeper did not put there:"
            " remove the label, or take over with `valkeeper rotate --force`"
        ),
        asks="due, but AWSPENDING is somebody else's",
        does="leave it, unless forced",
    ),
    Row(
        "count",
        lambda o: _due(o) and o.headroom is None,
        lambda _: Count(),
        asks="due, or asked for",
        does="count the versions that Secrets Manager has kept of the last day",
    ),
    Row(
        "full",
        _full,
        lambda o: Leave(
            f"its secret has {o.headroom.versions if o.headroom else 0} versions of the last 24 hours, and Secrets"
            " Manager keeps about 100: the last are for `valkeeper rotate --retire`; the schedule goes on by itself"
        ),
        asks="asked for, and the room that is left is kept for leaked passwords",
        does="leave it",
    ),
    Row(
        "stretched",
        lambda o: _due(o) and _stretched_to(o) is not None,
        lambda o: Idle(_stretched_to(o) or o.now),
        asks="due, but a day would get more versions than Secrets Manager keeps",
        does="nothing until the stretched interval is over",
    ),
    Row(
        "stage",
        _due,
        _stage,
        asks="due, or asked for, and there is room",
        does="PutSecretValue: a new password as AWSPENDING",
    ),
    Row("idle", lambda _: True, _idle, asks="otherwise", does="nothing until it is due"),
)
"""The whole plan, in order. The last row always matches."""


def plan(seen: Observation) -> tuple[Row, Step]:
    """The first row that matches what was seen, and the step it gives."""
    for row in ROWS:
        if row.when(seen):
            return row, row.then(seen)
    raise AssertionError("the last row always matches")
