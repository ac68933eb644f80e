"""``python -m tests.fuzz``: streams out of a seed, to all that reads, to Redis, and through Valkeeper. Exit code 1: one broke."""

import argparse
import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import trustme

from tests.fuzz.framing import check_framing
from tests.fuzz.rivals import check_scanner, check_secret, check_through
from tests.proxy.pair import Pair
from tests.proxy.proxykit import Proxy, Publisher, Server, credential, database, directory

_CASE_SECONDS = 60
_ENOUGH = 5  # broken cases
_LONGEST = 2_000  # characters of a value that are shown


def main() -> int:
    """Run for as long as is asked for, or the one case."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all streams (default: 0)")
    parser.add_argument("--case", type=int, help="this one alone")
    options = parser.parse_args()
    numbers = itertools.count() if options.case is None else [options.case]
    with _pair() as pair:
        checks = {
            "framing": lambda number: check_framing(options.seed, number),
            "scanner against Redis": lambda number: check_scanner(pair, options.seed, number),
            "through Valkeeper": lambda number: check_through(pair, options.seed, number),
            # Where a client stops inside a command, it takes a quarter of a second.
            "the secret": lambda number: number % 5 or check_secret(pair, options.seed, number),
        }
        return _run(checks, numbers, options)


def _run(checks, numbers, options) -> int:
    began, done, broken = time.monotonic(), 0, 0
    for number in numbers:
        for name, check in checks.items():
            try:
                _in_time(check, number)
            except Exception:  # noqa: BLE001 -- whatever it is, it is what was looked for
                broken += 1
                print(f"\n{name} broke: make fuzz SEED={options.seed} CASE={number}\n{_story()}", flush=True)
        done += 1
        seconds = time.monotonic() - began
        if sys.stdout.isatty() or done % 1_000 == 0:
            print(f"\r{done} streams, {done / seconds:.0f} a second", end="", flush=True)
        if seconds > options.seconds or broken >= _ENOUGH:
            break
    print(f"\n{done} streams (seed {options.seed}), each read in up to {len(checks)} ways: {broken} broke")
    return 1 if broken else 0


def _in_time(check, number: int) -> None:
    def too_long(_signal, _frame):
        raise TimeoutError(f"not done within {_CASE_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_CASE_SECONDS)
    try:
        check(number)
    finally:
        signal.alarm(0)


def _story() -> str:
    """Where it broke, and what was known there."""
    frame = sys.exc_info()[2]
    while frame.tb_next is not None:
        frame = frame.tb_next
    known = [f"  {name} = {value!r}"[:_LONGEST] for name, value in frame.tb_frame.f_locals.items()]
    return traceback.format_exc() + "\n".join(known)


@contextlib.contextmanager
def _pair():
    """A Redis, and a proxy before it."""
    folder = Path(tempfile.mkdtemp(prefix="vkf", dir="/tmp"))
    (folder / "control").mkdir(mode=0o700)
    server = Server(folder, trustme.CA())
    publisher = Publisher(str(folder / "control" / "directory.sock")).start()
    proxy = None
    try:
        server.start()
        publisher.publish(directory(database(server), credentials=[credential()]))
        proxy = Proxy({"runtime_dir": str(folder)}, folder / "proxy.log", publisher).wait_for()
        with server.client() as admin:
            yield Pair(server, proxy.socket, admin)
        proxy.check_log()
    finally:
        if proxy is not None:
            proxy.stop()
        publisher.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
