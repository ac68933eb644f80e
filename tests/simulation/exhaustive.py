"""Every distinct state that instances can come to, by depth-first search over what may happen next.

Coroutines can't be copied, so a path that branches off is walked again from its beginning: unless it can be foreseen
(`foresight`) that it leads to where the search has been.

The crashes and pauses that are still allowed are no part of a state: whoever has more left can come wherever one with
fewer can. So a state counts once, and is left alone where it was met with as many left. Paths with fewer faults go
first, which makes that likely, and stories short.
"""

import asyncio
from dataclasses import dataclass

from tests.simulation.fingerprint import state_of
from tests.simulation.foresight import Foresight
from tests.simulation.invariants import Violation
from tests.simulation.walk import Walk

__all__ = ["Found", "explore", "successors", "tell"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has met."""

    states: int
    ends: int  # of them, where nothing was left to do
    longest: int  # events on the longest path
    violation: str | None = None
    path: tuple = ()  # that led to it
    complete: bool = True


def explore(scenario, *, most=None, progress=lambda _states: None, merged=None, foresight=None, **bounds):
    """Visit every state within the bounds (see `Walk`), about `most` of them; stop at the first violation.

    `merged` collects pairs of paths that were taken to lead to the same state, the first with no fewer faults left.

    Raises:
        AssertionError: a state's fingerprint leaves out something that matters.
    """
    search = _Search(scenario, bounds, foresight or Foresight(), progress, merged)

    async def run():
        return search.run(most)

    return asyncio.run(run())


@dataclass(slots=True, eq=False)
class _Path:
    before: "_Path | None" = None
    choice: tuple | None = None  # the last one; None: nothing has happened yet
    state: object = None  # that it was chosen in; None: the path has been walked
    length: int = 0

    def choices(self):
        """All of them, from the beginning."""
        found, path = [], self
        while path.before is not None:
            found.append(path.choice)
            path = path.before
        return tuple(reversed(found))


class _Search:
    def __init__(self, scenario, bounds, foresight, progress, merged):
        self._scenario = scenario
        self._bounds = bounds
        self._foresight = foresight
        self._progress = progress
        self._merged = merged
        self._seen = {}  # fingerprint → (faults left, path), as often as none has as many left as another
        self._at = _Path()
        self._waiting = [self._at]
        self._with_a_fault_more = []
        self._ends = self._longest = 0

    def run(self, most):
        violation, choices = None, ()
        while self._waiting or self._with_a_fault_more:
            if most is not None and len(self._seen) >= most:
                break
            if not self._waiting:
                self._waiting, self._with_a_fault_more = self._with_a_fault_more, []
            path = self._waiting.pop()
            if self._leads_back(path):
                continue
            try:
                self._follow(path)
            except Violation as found:
                violation, choices = str(found), self._at.choices()
                break
        left = self._waiting or self._with_a_fault_more
        return Found(len(self._seen), self._ends, self._longest, violation, choices, complete=not left)

    def _follow(self, path):
        """Walk a path, and on to where the search has been."""
        walk = Walk(self._scenario, **self._bounds)
        try:
            for choice in path.choices()[:-1]:
                walk.take(choice, checked=False)
            state = state_of(walk)
            while path is not None:
                self._at = path
                if path.choice is not None:
                    state = self._take(walk, state, path)
                path = self._look_around(walk, state, path)
        finally:
            walk.close()

    def _take(self, walk, before, path):
        foreseen = self._foreseen(path)
        path.state = None
        walk.take(path.choice)
        state = state_of(walk)
        if foreseen not in {None, state.fingerprint()}:
            raise AssertionError(f"{path.choices()} does not lead to where it was foreseen to lead")
        self._foresight.learn(before, path.choice, state)
        return state

    def _look_around(self, walk, state, path):
        """Note a state and what may follow. The path to go on with; None: there is none."""
        fingerprint, left = state.fingerprint()
        if (like := self._met(fingerprint, left)) is not None:
            if self._merged is not None:
                self._merged.append((like.choices(), path.choices()))
            return None
        choices = walk.choices()
        if not choices:
            walk.check_end()
        self._note(fingerprint, left, path, end=not choices)
        onward = []
        for choice in choices:
            longer = _Path(path, choice, state, path.length + 1)
            if not self._leads_back(longer):
                (self._with_a_fault_more if walk.is_fault(choice) else onward).append(longer)
        # The same instance goes on: then most of what is left waiting is met before its turn comes.
        onward.sort(key=lambda one: path.choice is not None and one.choice[1] == path.choice[1])
        self._waiting.extend(onward)
        return self._waiting.pop() if onward else None

    def _foreseen(self, path):
        state = self._foresight.foresee(path.state, path.choice) if path.state is not None else None
        return state.fingerprint() if state is not None else None

    def _leads_back(self, path):
        """Whether it can be foreseen that a path leads to where the search has been."""
        foreseen = self._foreseen(path)
        return foreseen is not None and self._met(*foreseen) is not None

    def _met(self, fingerprint, left):
        """The path on which a state was met with at least as many faults left."""
        return next((path for most, path in self._seen.get(fingerprint, ()) if _covers(most, left)), None)

    def _note(self, fingerprint, left, path, *, end):
        known = self._seen.get(fingerprint, ())
        self._seen[fingerprint] = (*[one for one in known if not _covers(left, one[0])], (left, path))
        self._longest = max(self._longest, path.length)
        if not known:
            self._ends += end
            if len(self._seen) % 1000 == 0:
                self._progress(len(self._seen))


def _covers(most, left):
    """Whether some faults left are at least as many, of each instance and kind, as others."""
    return all(
        m >= n for more, fewer in zip(most, left, strict=True) for m, n in zip(more, fewer, strict=True)
    )


def tell(scenario, path, **bounds):
    """The story of one path."""

    async def walked():
        walk = Walk(scenario, told=True, **bounds)
        try:
            for choice in path:
                walk.take(choice)
            if not walk.choices():
                walk.check_end()
        except Violation as found:
            walk.story.tell("VIOLATED", str(found))
        lines = list(walk.story.lines)
        walk.close()
        return lines

    return asyncio.run(walked())


def successors(scenario, path, **bounds):
    """The fingerprints of all states that may follow a path; its own, where nothing can."""

    async def walked(choices):
        walk = Walk(scenario, **bounds)
        try:
            for choice in choices:
                walk.take(choice)
            return state_of(walk).fingerprint()[0], walk.choices()
        finally:
            walk.close()

    here, choices = asyncio.run(walked(path))
    return {asyncio.run(walked((*path, choice)))[0] for choice in choices} or {here}
