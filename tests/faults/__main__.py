"""``python -m tests.faults``: wires that break at every byte. Exit code 1 where something was lost, hung or left behind."""

import argparse
import asyncio
import sys
import time

from tests.faults.cases import SIDES, every_case
from tests.faults.shared import KINDS, SharedSweep
from tests.faults.sweep import Sweep, descriptors, listeners
from tests.load.memory import resident
from tests.load.stage import stage

_GROWTH = 32.0  # MiB that the worker may hold more in the end than when it had got warm: a session leaves no kilobyte


def main() -> int:
    """Go through all sides once, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--side", choices=[*SIDES, *KINDS], action="append", help="only this one; may be repeated"
    )
    options = parser.parse_args()
    problems = []
    addresses, ports = listeners()
    with stage(listeners=addresses, limits={"new_per_second": None}) as (server, proxy):
        sweep = Sweep(server, proxy, ports)

        def held():
            """By the one worker, when it has served the usual conversations: its pid, descriptors, and MiB in memory."""
            asyncio.run(sweep.run(lambda sizes: every_case(sizes, corners=True)))
            [worker] = proxy.workers()
            return worker, descriptors(worker), resident(worker)

        worker, *before = held()
        for side in options.side or (*SIDES, *KINDS):
            began, tried = time.monotonic(), sweep.tried
            if side in KINDS:
                companies = SharedSweep.on(server, proxy)
                found = asyncio.run(companies.run(side))
                tried = companies.tried
            else:
                found = asyncio.run(sweep.run(lambda sizes, side=side: every_case(sizes, sides=[side])))
                tried = sweep.tried - tried
            problems += [f"{case}: {problem}" for case, problem in found.items()]
            print(f"{side:<11} {tried} faults, {time.monotonic() - began:.0f} s", flush=True)
        _, *after = held()
        print(f"descriptors {before[0]} → {after[0]}, MiB in memory {before[1]:.1f} → {after[1]:.1f}")
        if after[0] != before[0] or after[1] > before[1] + _GROWTH:
            problems.append("the worker holds what it should not")
        if proxy.workers() != [worker]:
            problems.append("the worker died")
    print(*(f"BROKEN {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
