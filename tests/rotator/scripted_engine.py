"""An engine that does what a test says, and whose runs end when the test says so."""

import asyncio
from collections import deque

from rotator.engine import Outcome, Result
from tests.rotator.records import NOW, secret


def ended(result=Result.IDLE, current="v1", *, steps=(), reason="", wish=None):
    return Outcome(result, tuple(steps), reason, secret(current) if current else None, wish=wish)


class Run:
    """One call of the engine, under way until it is told how to end."""

    def __init__(self, user, wish):
        self.user = user
        self.wish = wish
        self._end = asyncio.get_running_loop().create_future()

    def end(self, outcome=None):
        self._end.set_result(outcome or ended())

    def fail(self, error):
        self._end.set_exception(error)


class ScriptedEngine:
    def __init__(self):
        self.runs = deque()  # those that have begun and not ended, the first first
        self.begun = []
        self.looked = []
        self.forgotten = []
        self.hurried = []
        self.stopped = False

    async def run(self, user, databases, account, wish=None):
        run = Run(user, wish)
        self.begun.append(run)
        assert user.key not in {other.user.key for other in self.runs}, "one user twice at once"
        self.runs.append(run)
        try:
            return await run._end
        finally:
            self.runs.remove(run)

    async def look(self, user, account):
        self.looked.append(user.key)
        return ended()

    def forget(self, key):
        self.forgotten.append(key)

    def hurry(self, key):
        self.hurried.append(key)

    def stop(self):
        self.stopped = True


class Doors:
    """An account whose clock stands still."""

    @staticmethod
    def now():
        return NOW
