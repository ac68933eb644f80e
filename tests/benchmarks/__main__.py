"""``python -m tests.benchmarks``: Valkeeper beside HAProxy, stunnel and no proxy at all. Exit code 1 where a goal was missed."""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

from tests.benchmarks.arena import TARGETS
from tests.benchmarks.cases import CASES, QUICK, chosen
from tests.benchmarks.contest import run
from tests.benchmarks.table import as_json, as_text


def main():
    """Run it, and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--cases",
        default=QUICK,
        help=f"names or patterns such as 'c50-*'; '*' for all (default: those with goals, '{QUICK}')",
    )
    parser.add_argument("--targets", default=" ".join(TARGETS), help="which (default: all, '%(default)s')")
    parser.add_argument("--rounds", type=int, default=3, help="of each case on all targets (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--list", action="store_true", help="only say which cases there are")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CASES))
        return 0
    # An idle connection takes a descriptor here, and two in a proxy.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    targets = options.targets.split()
    began = time.monotonic()
    rows = run(chosen(options.cases.split()), targets, options.rounds, tell=_tell)
    _tell("")
    print(as_text(rows, targets))
    print(
        f"\n{options.rounds} rounds on {os.cpu_count()} cores in {time.monotonic() - began:.0f} s. Medians; ratios are taken"
        "\nround by round, and stand as median (least-most). CPU is that of the proxy's processes. The client and Redis"
        "\nrun on the same cores."
    )
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(rows), indent=2))
    return 0 if all(met for row in rows for _, _, met in row.verdicts()) else 1


def _tell(line):
    if sys.stderr.isatty():
        print(f"\r{line:<70}\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
