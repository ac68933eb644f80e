"""Where an event leads, without walking there.

What an instance does next depends on itself and on the world, whatever the other one is doing. So what was seen to
follow once will follow wherever both are the same again, but for the names of what is random. An event that is foreseen
is not checked once more: its like was, and the state that it leads to is, by whoever walks there.
"""

from dataclasses import replace

from tests.simulation.fingerprint import Part, numbered

__all__ = ["Foresight"]


class Foresight:
    """Learns from every event that is walked. It does not learn `wait`: what time does, it does to all."""

    def __init__(self):
        self._rules = {}

    def learn(self, before, choice, after):
        """An event was seen to lead from one `fingerprint.State` to another."""
        if choice[0] == "wait":
            return
        names, key = _key(before, choice)
        rule = [(part.digest, [names.get(name) for name in part.names]) for part in _concerned(after, choice)]
        # A name that is new to these two may be known to the other instance, which makes ids of the same labels.
        is_closed = all(None not in numbers for _, numbers in rule)
        self._rules[key] = rule if is_closed else None

    def foresee(self, before, choice):
        """The state that an event leads to; None: nobody can tell."""
        if choice[0] == "wait":
            return None
        names, key = _key(before, choice)
        rule = self._rules.get(key)
        if rule is None:
            return None
        names = list(names)
        world, *own = [Part(digest, tuple([names[number] for number in numbers])) for digest, numbers in rule]
        if not own:
            return replace(before, world=world)
        kind, number = choice
        instances, left = list(before.instances), list(before.left)
        (instances[number],) = own
        if kind == "crash":
            crashes, pauses = left[number]
            left[number] = (crashes - 1, pauses)
        return replace(before, world=world, instances=tuple(instances), left=tuple(left))


def _concerned(state, choice):
    """The parts that an event depends on and may change, the world first."""
    kind, number = choice
    return (state.world,) if kind == "take" else (state.world, state.instances[number])


def _key(state, choice):
    """The names in these parts, and what has to be the same for the same to follow."""
    parts = _concerned(state, choice)
    names, numbers = numbered(parts)
    kind, number = choice
    return names, (kind, number if kind == "take" else None, numbers, *[part.digest for part in parts])
