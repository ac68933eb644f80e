"""``python -m tests.simulation.explorer``: every distinct state within bounds. Exit code 1 where one breaks a promise."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TextIO

from tests.simulation.exhaustive import explore, tell
from tests.simulation.schedule import quiet_logs
from tests.simulation.walk import SCENARIOS


def _say(line: str, file: TextIO | None = None) -> None:
    file = file or sys.stdout
    file.write(f"{line}\n")
    file.flush()


def _explore(scenario: str, most: int | None, bounds: dict[str, object]) -> tuple[str, object, float]:
    quiet_logs()
    began = time.monotonic()

    def progress(states: int) -> None:
        if states % 20_000 == 0:
            _say(f"{scenario}: {states} states, {time.monotonic() - began:.0f} s", file=sys.stderr)

    return scenario, explore(scenario, most=most, progress=progress, **bounds), time.monotonic() - began


def main() -> int:
    """Search every scenario, a process for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explorer", description=__doc__)
    parser.add_argument("--instances", type=int, default=2, choices=(1, 2))
    parser.add_argument("--crashes", type=int, default=1, help="of each instance, at most (default: 1)")
    parser.add_argument("--pauses", type=int, default=1, help="of each instance, at most (default: 1)")
    parser.add_argument("--prompt", action="store_true", help="proxies hear of everything at once")
    parser.add_argument("--most", type=int, help="states of a scenario to stop after (default: all)")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), help="only this one")
    options = parser.parse_args()
    bounds = {
        "instances": options.instances,
        "crashes": options.crashes,
        "pauses": options.pauses,
        "prompt": options.prompt,
    }
    broken = False
    _say(f"{'scenario':<16} {'states':>9} {'ends':>6} {'longest':>8} {'seconds':>8}  outcome")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        wanted = [options.scenario] if options.scenario else list(SCENARIOS)
        runs = [pool.submit(_explore, scenario, options.most, bounds) for scenario in wanted]
        for run in as_completed(runs):
            scenario, found, seconds = run.result()
            outcome = found.violation or ("all visited, all well" if found.complete else "not all, all well")
            _say(
                f"{scenario:<16} {found.states:>9} {found.ends:>6} {found.longest:>8} {seconds:>8.0f}  {outcome}",
            )
            if found.violation:
                broken = True
                quiet_logs()
                _say("\n".join(tell(scenario, found.path, **bounds)))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
