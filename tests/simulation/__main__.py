"""``python -m tests.simulation``: random schedules on all cores, or the story of one. Exit code 1 where one broke."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.schedule import quiet_logs, simulate_all

_BATCH = 100


def _run(seeds: range) -> tuple[int, int, set[int], list[tuple[int, str]]]:
    quiet_logs()
    reports = simulate_all(seeds)
    states = set().union(*(report.states for report in reports))
    return (
        len(reports),
        sum(report.events for report in reports),
        states,
        [(report.seed, report.violation) for report in reports if report.violation],
    )


def main() -> int:
    """Run as many as are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--story", action="store_true", help="tell what happened in the first one, and stop")
    options = parser.parse_args()
    if options.story:
        quiet_logs()
        (report,) = simulate_all([options.seed], told=True)
        print("\n".join(report.story))
        return 1 if report.violation else 0
    # Of strings, too: a state's fingerprint is a hash, and has to be the same in every process.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    end = options.seed + options.schedules
    batches = [range(first, min(first + _BATCH, end)) for first in range(options.seed, end, _BATCH)]
    began, done, events, states, broken = time.monotonic(), 0, 0, set(), []
    with ProcessPoolExecutor() as pool:
        for schedules, happened, visited, violations in pool.map(_run, batches):
            done, events = done + schedules, events + happened
            states |= visited
            for seed, violation in violations:
                broken.append(seed)
                print(f"\nseed {seed}: {violation}", flush=True)
            _progress(done, options.schedules, time.monotonic() - began)
    seconds = time.monotonic() - began
    print(
        f"\n{done} schedules, {events} events, {len(states)} distinct states in {seconds:.0f} s"
        f" ({done / seconds:.1f} schedules a second): {len(broken)} broke an invariant"
    )
    for seed in broken[:20]:
        print(f"  make simulate SEED={seed} STORY=1")
    return 1 if broken else 0


def _progress(done: int, wanted: int, seconds: float) -> None:
    if sys.stdout.isatty() or done % 5_000 == 0:
        print(f"\r{done}/{wanted} schedules, {done / seconds:.1f} a second", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
