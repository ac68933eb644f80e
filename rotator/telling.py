"""What the log says of rotations: how each ended, the steps that changed something, and what was found on the way."""

from datetime import timedelta

import structlog

from discovery.model import User
from rotator.engine import Result
from rotator.observation import Observation, due_at, is_orphan
from rotator.requests import Rotation
from rotator.standing import Standing

__all__ = ["late_by", "stages_over_orphan", "tell", "tell_of_step", "tell_of_stretching"]

_log = structlog.get_logger(__name__)


def late_by(row: str, seen: Observation) -> float | None:
    """By how many seconds a promotion comes after the rotation was due; None: it is none, or came before.

    The due time is that of the interval as it was stretched, if it was.
    """
    if row != "promote" or seen.secret is None:
        return None
    due = due_at(seen.secret, seen.headroom.interval if seen.headroom is not None else seen.interval)
    late = (seen.now - due).total_seconds() if due is not None else -1.0
    return late if late >= 0 else None


def stages_over_orphan(row: str, seen: Observation) -> bool:
    """Whether a step replaced a pending version of Valkeeper's own that can't be promoted any longer."""
    return row == "stage" and seen.secret is not None and is_orphan(seen.secret)


def tell_of_step(user: User, row: str, seen: Observation) -> None:
    """A step that changed something was performed."""
    pending = seen.secret.pending if seen.secret is not None else None
    facts = {"user": str(user.key), "databases": user.databases}
    late = late_by(row, seen)
    _log.info(
        "rotation_step",
        **facts,
        step=row,
        # What was pending before a version was staged is another's.
        version=pending.id if pending is not None and row != "stage" else None,
        **({"late_seconds": round(late, 3)} if late is not None else {}),
    )
    if row == "heal":
        _log.warning(
            "password_healed", **facts, reason="a database refused AWSCURRENT: somebody set other passwords"
        )
    if stages_over_orphan(row, seen):
        _log.warning("orphan_replaced", **facts, version=pending.id if pending is not None else None)


def tell(rotation: Rotation, standing: Standing) -> None:
    """One event in the log for a rotation that has ended."""
    say = _log.info if rotation.result not in {"failed", Result.LEFT, Result.WAITING} else _log.warning
    say(
        "rotation",
        user=str(rotation.user),
        databases=standing.user.databases,
        result=str(rotation.result),
        row=rotation.row or None,
        reason=rotation.reason or None,
        steps=rotation.steps,
        version=rotation.version,
        asked_by=rotation.asked_by,
        seconds=round((rotation.finished_at or rotation.started_at) - rotation.started_at, 3),
    )


def tell_of_stretching(before: Standing, after: Standing, interval: timedelta) -> None:
    """Write to the log that a user is rotated less often, since its versions run short, or as configured again."""
    room, was = after.headroom, before.headroom.interval if before.headroom is not None else interval
    if room is None or room.interval == was:
        return
    facts = {"user": str(after.key), "seconds": round(room.interval.total_seconds())}
    if room.interval > interval:
        _log.warning("rotation_interval_stretched", **facts, versions_in_24_hours=room.versions)
    else:
        _log.info("rotation_interval_as_configured", **facts)
