"""Every distinct state that instances can come to, by depth-first search over what may happen next.

Coroutines can't be copied, so a path that branches off is walked again from its beginning.
"""

import asyncio
from dataclasses import dataclass

from tests.simulation.fingerprint import fingerprint
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


def explore(scenario, *, most=None, progress=lambda _states: None, merged=None, **bounds):
    """Visit every state within the bounds (see `Walk`), `most` of them at most; stop at the first violation.

    `merged` collects pairs of paths that were taken to lead to the same state.
    """

    async def search():
        return _search(scenario, bounds, most, progress, merged)

    return asyncio.run(search())


def _search(scenario, bounds, most, progress, merged):
    seen = {} if merged is not None else set()
    ends = longest = 0
    waiting = [None]  # paths, each as (the path before, its last choice)
    while waiting:
        node = waiting.pop()
        walk = Walk(scenario, **bounds)
        path = _unrolled(node)
        try:
            for number, choice in enumerate(path, 1):
                walk.take(choice, checked=number == len(path))
            while (state := fingerprint(walk)) not in seen:
                if merged is None:
                    seen.add(state)
                else:
                    seen[state] = tuple(path)
                if len(seen) % 1000 == 0:
                    progress(len(seen))
                choices = walk.choices()
                if not choices:
                    walk.check_end()
                    ends += 1
                    break
                waiting.extend((node, choice) for choice in choices[1:])
                node = (node, choices[0])
                path.append(choices[0])
                walk.take(choices[0])
            else:
                if merged is not None:
                    merged.append((seen[state], tuple(path)))
        except Violation as found:
            return Found(len(seen), ends, longest, str(found), tuple(path))
        finally:
            longest = max(longest, len(path))
            walk.close()
        if most is not None and len(seen) >= most:
            return Found(len(seen), ends, longest, complete=not waiting)
    return Found(len(seen), ends, longest)


def _unrolled(node):
    path = []
    while node is not None:
        node, choice = node
        path.append(choice)
    return path[::-1]


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
            return fingerprint(walk), walk.choices()
        finally:
            walk.close()

    here, choices = asyncio.run(walked(path))
    return {asyncio.run(walked((*path, choice)))[0] for choice in choices} or {here}
