"""How the real rotator's I/O reaches the simulation: each await is a question that the schedule answers when it likes.

No event loop has a say: a run is a coroutine that a `Task` drives by hand, and it stops at every question.
"""

import types
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["EPOCH", "Call", "Door", "Login", "News", "Served", "Sleep", "ask", "at"]

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def at(seconds):
    """The world's seconds as AWS's clock tells them."""
    return EPOCH + timedelta(seconds=seconds)


@dataclass(slots=True, frozen=True)
class Call:
    """One HTTP request to AWS, as `discovery.aws.Session` would send it."""

    service: str
    operation: str
    parameters: dict[str, Any] = field(hash=False)
    changes: bool = False


@dataclass(slots=True, frozen=True)
class Login:
    """One login on one endpoint: True accepted, False rejected, None no answer."""

    endpoint: Any
    user_id: str
    password: str


@dataclass(slots=True, frozen=True)
class Sleep:
    """Nothing for so many seconds."""

    seconds: float


@dataclass(slots=True, frozen=True)
class Served:
    """Whether the proxy beside the rotator logs in with a version, within so many seconds."""

    key: str
    version: str
    within: float


@dataclass(slots=True, frozen=True)
class News:
    """A client waits for the rotator to say something of a credential: False after the deadline."""

    proxy: Any = field(repr=False)
    key: str = ""
    version: str = ""
    deadline: float = 0.0


@types.coroutine
def ask(question):
    """Suspend with a question; its answer is what `Task.step` is given."""
    return (yield question)


class Door:
    """One instance's `discovery.aws.Session`: the same three verbs, each a question."""

    def __init__(self, world):
        self._world = world

    def now(self):
        return at(self._world.now)

    async def call(self, service, operation, **parameters):
        return await ask(Call(service, operation, parameters))

    async def mutate(self, service, operation, **parameters):
        return await ask(Call(service, operation, parameters, changes=True))

    async def pages(self, service, operation, result_key, **parameters):
        answer = await ask(Call(service, operation, parameters))
        return answer[result_key]
