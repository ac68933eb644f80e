"""``python -m tests.crash_matrix``: the whole matrix, a line a cell, and exit code 1 where one has a problem."""

import argparse
import sys
import time
from collections import deque

from tests.crash_matrix.cells import CALLS, Scenario, cells_at
from tests.crash_matrix.runner import Matrix


def main() -> int:
    """Run the cells that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash_matrix", description=__doc__)
    parser.add_argument("--operation", choices=sorted(CALLS), help="only at calls of this operation")
    parser.add_argument("--scenario", type=Scenario, choices=list(Scenario), help="only this one")
    options = parser.parse_args()
    began, ran, bad, clients = time.monotonic(), 0, 0, 0
    with Matrix() as matrix:
        waiting = deque(
            cell
            for scenario in Scenario
            for operation in CALLS
            for cell in cells_at(scenario, operation)
            if options.scenario in (None, scenario) and options.operation in (None, operation)
        )
        while waiting:
            cell = waiting.popleft()
            verdict = matrix.run(cell)
            if not verdict.reached:
                continue
            ran += 1
            bad += bool(verdict.problems)
            clients += verdict.clients
            print(
                f"{'FAILED' if verdict.problems else 'ok    '} {cell}",
                *verdict.problems,
                sep="\n       ",
                flush=True,
            )
            waiting.appendleft(cell.next)
    print(
        f"{ran} cells in {time.monotonic() - began:.0f} s: {bad} with problems; {clients} clients of the rotated users"
    )
    return 1 if bad or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
