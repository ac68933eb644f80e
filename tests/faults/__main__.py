"""``python -m tests.faults``: wires that break at every byte. Exit code 1 where something was lost, hung or left behind."""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import trustme

from tests.faults.cases import SIDES, every_case
from tests.faults.sweep import Sweep, descriptors, listeners, resident
from tests.proxy.proxykit import Proxy, Publisher, Server, credential, directory, eventually

_GROWTH = 32.0  # MiB that the worker may hold more in the end than when it had got warm: a session leaves no kilobyte


def main() -> int:
    """Go through all sides once, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--side", choices=SIDES, action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    problems = []
    with stage() as (sweep, proxy):
        asyncio.run(sweep.run(lambda sizes: every_case(sizes, corners=True)))
        [worker] = proxy.workers()
        before = descriptors(worker), resident(worker)
        for side in options.side or SIDES:
            began, tried = time.monotonic(), sweep.tried
            found = asyncio.run(sweep.run(lambda sizes, side=side: every_case(sizes, sides=[side])))
            problems += [f"{case}: {problem}" for case, problem in found.items()]
            print(f"{side:<10} {sweep.tried - tried} faults, {time.monotonic() - began:.0f} s", flush=True)
        after = descriptors(worker), resident(worker)
        print(f"descriptors {before[0]} → {after[0]}, MiB in memory {before[1]:.1f} → {after[1]:.1f}")
        if after[0] != before[0] or after[1] > before[1] + _GROWTH:
            problems.append("the worker holds what it should not")
        if proxy.workers() != [worker]:
            problems.append("the worker died")
    print(*(f"BROKEN {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


@contextlib.contextmanager
def stage():
    """A sweep of a Redis and a proxy that have nothing else to do."""
    with tempfile.TemporaryDirectory(prefix="vk", dir="/tmp") as name:
        folder = Path(name)
        (folder / "control").mkdir()
        server = Server(folder, trustme.CA())
        server.start()
        publisher = Publisher(str(folder / "control" / "directory.sock")).start()
        publisher.publish(directory(credentials=[credential()]))
        addresses, ports = listeners()
        settings = {"runtime_dir": name, "listeners": addresses, "limits": {"new_per_second": None}}
        proxy = Proxy(settings, folder / "proxy.log", publisher)
        try:
            eventually(proxy.workers, what="a worker")
            yield Sweep(server, proxy, ports), proxy
            proxy.check_log()
        finally:
            proxy.stop()
            publisher.stop()
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
