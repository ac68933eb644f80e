"""``python -m tests.load``: what one worker holds, and for how long it keeps a newcomer waiting. Prints a table."""

import argparse
import asyncio
import contextlib
import resource
import sys
import time

from tests.load.crowds import LOGIN, crowd, log_in, slow_database, slow_readers, slow_writers
from tests.load.memory import Peak, proportional, resident
from tests.load.stage import stage
from tests.proxy.proxykit import database, eventually

MIB = 1024 * 1024
_TOGETHER = 100  # connections that are made at a time
_ROW = "{:<72} {:>8} {}"


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--connections", type=int, default=5000, help="that say nothing (default: 5000)")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"at most {most} descriptors a process; a worker needs two for each client that is logged in")
    for measure in (_strangers, _idle, _small_values, _large_values, _slow_database, _subscriber):
        # Each of a worker of its own: memory that another has freed would hide what this one takes.
        with stage(limits={"connections": 2 * options.connections, "new_per_second": None}) as (
            server,
            proxy,
        ):
            proxy.serve(database(server))
            proxy.say(LOGIN)
            asyncio.run(measure(server, proxy, options.connections))
    return 0


async def _strangers(_server, proxy, count):
    await _silent(proxy, count, f"{count} connections that never speak", logged_in=False)


async def _idle(_server, proxy, count):
    await _silent(proxy, count, f"{count} logged in and idle", logged_in=True)


async def _small_values(server, proxy, _count):
    await _asked(server, proxy, 64, 16)


async def _large_values(server, proxy, _count):
    await _asked(server, proxy, 512, 2)


async def _asked(server, proxy, size, times):
    with server.client() as admin:
        admin.set("large", bytes(size * MIB))
    [worker] = proxy.workers()
    peak = Peak(worker)
    async with crowd(proxy.path(), 1) as clients:
        await log_in(clients)
        held = await slow_readers(proxy, clients, "large", size * MIB, times, lambda: peak.growth)
    what = f"1 GiB asked for ({times} values of {size} MiB)"
    _show(f"{what} and not read", held, "MiB")
    _show(f"{what}, then read at once: the peak", peak.growth, "MiB")


async def _slow_database(server, proxy, _count):
    [worker] = proxy.workers()
    peak = Peak(worker)
    async with slow_database(server, proxy, "slow") as go_on, crowd(proxy.path("slow"), 2) as clients:
        await log_in(clients)
        held = await slow_writers(proxy, clients, 512 * MIB - 64, go_on, lambda: peak.growth)
    what = "1 GiB sent (2 values of 512 MiB)"
    _show(f"{what} to a database that does not read", held, "MiB")
    _show(f"{what}, then read at once: the peak", peak.growth, "MiB")


async def _silent(proxy, count, who, *, logged_in):
    """So many connections that never speak, or no more, and somebody who comes behind them."""
    [worker] = proxy.workers()
    pids = {"worker": worker, "parent": proxy.process.pid}
    before = {name: (resident(pid), proportional(pid)) for name, pid in pids.items()}
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count // _TOGETHER):
            clients = await stack.enter_async_context(crowd(proxy.path(), _TOGETHER))
            if logged_in:
                await log_in(clients)
        newcomer = time.monotonic()
        answer = await asyncio.to_thread(proxy.say, LOGIN + b"PING\r\n")
        newcomer = time.monotonic() - newcomer
        assert answer == b"+OK\r\n+PONG\r\n"
        await asyncio.to_thread(
            eventually, lambda: len(proxy.publisher.sessions()[0]) >= count, patience=60.0
        )
        all_there = time.monotonic() - began
        after = {name: (resident(pid), proportional(pid)) for name, pid in pids.items()}
    _show(f"{who}: all there", all_there, "s")
    _show(f"{who}: a newcomer is logged in and answered", newcomer, "s")
    for name, (rss, pss) in after.items():
        _show(f"{who}: {name}, RSS", rss, f"MiB, {rss - before[name][0]:.1f} more than without")
        _show(f"{who}: {name}, PSS", pss, f"MiB, {pss - before[name][1]:.1f} more than without")
    rss = after["worker"][0] - before["worker"][0]
    _show(f"{who}: worker, for each", rss * 1024 / count, "KiB")
    await asyncio.to_thread(eventually, lambda: not proxy.publisher.sessions()[0], patience=60.0)


async def _subscriber(server, proxy, _count):
    """One that does not read, until Redis itself ends it at 32 MiB (client-output-buffer-limit)."""
    [worker] = proxy.workers()
    peak = Peak(worker)
    async with crowd(proxy.path(), 1) as clients:
        await log_in(clients)
        clients[0][1].write(b"SUBSCRIBE flood\r\n")
        await clients[0][0].readline()
        with server.client() as admin:
            heard = sum(admin.publish("flood", bytes(MIB)) for _ in range(1024))
        _show(
            "1 GiB published to a subscriber that does not read",
            peak.growth,
            f"MiB at the peak; {heard} MiB went to it",
        )


def _show(what, value, unit):
    print(_ROW.format(what, f"{value:.2f}", unit), flush=True)


if __name__ == "__main__":
    sys.exit(main())
