"""What all services of the sandbox share."""

import threading
from dataclasses import dataclass, field

from deploy.sandbox.fleet import Fleet
from deploy.sandbox.keys import KeyRing
from deploy.sandbox.timeline import Timeline

__all__ = ["World"]


@dataclass
class World:
    """The servers, the passing of time, the access keys, and the lock under which the account is read and changed."""

    fleet: Fleet
    timeline: Timeline
    keys: KeyRing = field(default_factory=KeyRing)
    lock: threading.RLock = field(default_factory=threading.RLock)
