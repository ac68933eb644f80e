"""Runs cases on targets: in each round all targets, one after another."""

import contextlib

from tests.benchmarks.arena import TARGETS, Arena
from tests.benchmarks.load import measure
from tests.benchmarks.table import Row

__all__ = ["run"]

_WHERE_NAMED = {"valkeeper-2"}  # only for the cases that name it


def run(cases, targets, rounds, *, share=1.0, tell=lambda _next: None):
    """A row for each figure of each case.

    Args:
        cases: what to measure.
        targets: the names of those to measure it on.
        rounds: how often.
        share: of each case's load; see `measure`.
        tell: is called with what comes next.
    """
    rows = []
    with Arena() as arena, contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(TARGETS[name](arena)) for name in targets}
        for case in cases:
            of_case = {metric: Row(case, metric) for metric in case.metrics}
            names = [name for name in targets if name in (case.targets or set(targets) - _WHERE_NAMED)]
            for number in range(rounds):
                # Nobody is always the first, behind whatever the machine did before.
                for at in range(len(names)):
                    name = names[(at + number) % len(names)]
                    tell(f"{case.name}: round {number + 1} of {rounds}, {name}")
                    found = measure(case, arena, name, running[name], share)
                    for metric, row in of_case.items():
                        if metric in found:
                            row.rounds.setdefault(name, []).append(found[metric])
            rows += of_case.values()
    return rows
