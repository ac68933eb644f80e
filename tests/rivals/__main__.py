"""``python -m tests.rivals``: three instances on one account, over many due rotations. Exit code 1 where a promise broke."""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.rivals.contest import Contest


def main() -> int:
    """Run it, and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.rivals", description=__doc__)
    parser.add_argument("--rotations", type=int, default=20, help="due rotations of each user (default: 20)")
    parser.add_argument("--instances", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--interval", type=int, default=15, help="of rotations, in seconds (default: 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    with Contest(options.instances, options.interval) as contest:
        began = time.monotonic()
        for done in contest.rotate(options.rotations):
            print(
                f"\r{done}/{options.rotations} rotations, {time.monotonic() - began:.0f} s",
                end="",
                flush=True,
            )
        print()
        figures = contest.figures()
    for name, value in figures.items():
        print(f"{name:<44} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    for problem in contest.problems:
        print(f"BROKEN {problem}")
    return 1 if contest.problems else 0


if __name__ == "__main__":
    sys.exit(main())
