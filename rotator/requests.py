"""What was asked for, and what became of it: the records of rotations, for people and for whoever waits."""

import asyncio
import time
from dataclasses import dataclass, field, replace

from discovery.errors import AwsError
from discovery.model import UserKey
from rotator.engine import Outcome, Wish

__all__ = ["Request", "Rotation", "finished", "together"]


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
    row: str = ""  # of the plan, at which it ended; AWS's error code where it failed


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
        row=error.code if error is not None else (outcome.row if outcome is not None else ""),
        reason=str(error) if error is not None else (outcome.reason if outcome is not None else ""),
        steps=outcome.steps if outcome is not None else (),
        version=current.id if current is not None else None,
    )
