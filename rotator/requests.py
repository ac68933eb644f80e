"""What was asked for, and what became of it: the records of rotations, for people and for whoever waits."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from discovery.errors import AwsError
from discovery.model import UserKey
from rotator.engine import Outcome, Result, Wish
from rotator.standing import Standing

__all__ = ["Request", "Rotation", "finished", "tell", "tell_of_stretching", "together"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rotation:
    """One run that did something, or was asked for; for people."""

    id: str
    user: UserKey
    asked_by: str  # `schedule`, or who
    started_at: float  # seconds since the epoch
    finished_at: float | None = None
    result: str = "running"
    reason: str = ""
    steps: tuple[str, ...] = ()
    version: str | None = None  # version id of AWSCURRENT at the end


@dataclass(slots=True)
class Request:
    """What somebody asked for, and what became of it."""

    id: str
    user: UserKey
    asked_by: str
    wish: Wish
    asked_at: float = field(default_factory=time.time)  # seconds since the epoch
    done: "asyncio.Future[Rotation]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def rotation(self) -> Rotation:
        """What became of it so far; its id is the request's, whichever run granted it."""
        if self.done.done():
            return replace(self.done.result(), id=self.id, asked_by=self.asked_by)
        return Rotation(self.id, self.user, self.asked_by, self.asked_at)


def together(requests: list[Request]) -> Wish | None:
    """One wish that grants all of them: never measured against a version that one of them has not seen replaced."""
    if not requests:
        return None
    unseen = any(request.wish.instead_of is None for request in requests)
    return Wish(
        instead_of=None if unseen else requests[-1].wish.instead_of,
        retire=any(request.wish.retire for request in requests),
        force=any(request.wish.force for request in requests),
    )


def finished(rotation: Rotation, outcome: Outcome | None, error: AwsError | None) -> Rotation:
    """A rotation whose run has ended: with an outcome, or with an error."""
    current = outcome.secret.current if outcome is not None and outcome.secret is not None else None
    return replace(
        rotation,
        finished_at=time.time(),
        result=outcome.result if outcome is not None else "failed",
        reason=str(error) if error is not None else (outcome.reason if outcome is not None else ""),
        steps=outcome.steps if outcome is not None else (),
        version=current.id if current is not None else None,
    )


def tell(rotation: Rotation, standing: Standing) -> None:
    """One event in the log for a rotation that has ended."""
    say = _log.info if rotation.result not in {"failed", Result.LEFT, Result.WAITING} else _log.warning
    say(
        "rotation",
        user=str(rotation.user),
        databases=standing.user.databases,
        result=str(rotation.result),
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
