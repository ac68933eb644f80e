"""What all services of the sandbox share."""

import threading
from dataclasses import dataclass, field

from deploy.sandbox.fleet import Fleet
from deploy.sandbox.iam_users import find_key
from deploy.sandbox.keys import KeyRing
from deploy.sandbox.timeline import Timeline

__all__ = ["World"]


@dataclass
class World:
    """The servers, the passing of time, the access keys, and the lock under which the account is read and changed."""

    fleet: Fleet
    timeline: Timeline
    keys: KeyRing = field(default_factory=lambda: KeyRing(find_key))
    session_lifetime: float | None = None
    """Seconds that an assumed role's session lives, instead of what it was asked for."""
    lock: threading.RLock = field(default_factory=threading.RLock)
