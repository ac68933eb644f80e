"""One coroutine of the product, driven by hand."""

import asyncio

__all__ = ["Task"]


class Task:
    """A run of one instance (or a client's connecting), and what it has been seen to know.

    Args:
        coroutine: what runs.
        owner: the instance whose memory dies with it; None: a client.
        issue: is given the task and its question, whenever it has one.
        ended: is given the task when it has ended.
    """

    __slots__ = (
        "_coroutine",
        "_ended",
        "_issue",
        "frames",
        "logged_in",
        "looked",
        "modified_since_look",
        "name",
        "owner",
        "question",
        "result",
        "started_at",
    )

    def __init__(self, coroutine, name, owner, issue, ended, started_at):
        self._coroutine = coroutine
        self._issue = issue
        self._ended = ended
        self.name = name
        self.owner = owner
        self.question = None
        self.result = None
        self.started_at = started_at
        self.looked = {}  # user id → labels, as its last look at them found them
        self.modified_since_look = False  # it has sent a ModifyUser since it last looked at the labels
        self.logged_in = {}  # user id → when it last tried a login

    @property
    def coroutine(self):
        return self._coroutine

    @property
    def parked(self):
        """It waits for another task of the same instance (an asyncio lock), not for the world."""
        return isinstance(self.question, asyncio.Future)

    def step(self, answer=None, error=None):
        """Let it run to its next question."""
        self.question = None
        try:
            question = self._coroutine.send(answer) if error is None else self._coroutine.throw(error)
        except StopIteration as end:
            self.result = end.value
            self._ended(self)
            return
        self.question = question
        if not self.parked:
            self._issue(self, question)

    def close(self):
        """What a crash does: nothing of it runs any further."""
        self._coroutine.close()
