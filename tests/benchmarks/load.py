"""Puts a case's load on a target, and measures."""

import csv
import functools
import os
import socket
import subprocess
import sys
from pathlib import Path

from proxy.resp import encode
from tests.benchmarks.arena import PASSWORD, TARGETS, USER
from tests.benchmarks.cases import Connecting, Idling, Traffic, Workers
from tests.benchmarks.quota import ImpossibleError, limited
from tests.proxy.proxykit import eventually

__all__ = ["measure"]

_PATIENCE = 300.0
_AT_ONCE = 20  # connections that are opened together where only their number matters
_WARM_UP = 40
_TICKS = os.sysconf("SC_CLK_TCK")


@functools.singledispatch
def measure(case, arena, name, running, share):
    """The case's figures for a target, by metric.

    Args:
        case: the load.
        arena: where it runs.
        name: the target's.
        running: the target.
        share: of the requests and of the idle connections that the case asks for: 1.0 for what counts.

    Raises:
        RuntimeError: redis-benchmark failed.
    """
    raise NotImplementedError(type(case))


@measure.register
def _(case: Traffic, arena, name, running, share):
    if case.command == "get":
        arena.store(case.size)
    return _benchmark(
        running, case.requests, share, case.connections, "-t", case.command,
        "-P", str(case.pipeline), "-d", str(case.size),
    )  # fmt: skip


@measure.register
def _(case: Workers, arena, name, running, share):
    of_traffic = measure.dispatch(Traffic)
    if case.cores is None:
        return of_traffic(case, arena, name, running, share)
    _, *workers = running.processes()
    try:
        with limited(workers, case.cores):
            return of_traffic(case, arena, name, running, share)
    except ImpossibleError as error:
        sys.stderr.write(f"\n{case.name} is not measured: {error}\n")
        return {}


@measure.register
def _(case: Connecting, arena, name, running, share):
    found = _benchmark(running, case.requests, share, case.connections, "-t", "ping_mbulk", "-k", "0")
    return {"conn/s": found.pop("ops/s"), **found}


@measure.register
def _(case: Idling, arena, name, running, share):
    # A process of its own: one that has carried traffic has memory to give away.
    with TARGETS[name](arena) as fresh:
        processes = fresh.processes()
        if not processes:
            return {}
        warm = _connected(fresh.port, _WARM_UP)
        most = _descriptors(processes) - _WARM_UP
        for sock in warm:
            sock.close()
        eventually(lambda: _descriptors(processes) <= most, what="the end of the first connections")
        number = max(int(case.connections * share), 1)
        before = _pss(processes)
        opened = _connected(fresh.port, number)
        after = _pss(processes)
        for sock in opened:
            sock.close()
    return {"PSS KiB": (after - before) / number}


def _benchmark(running, requests, share, connections, *options):
    requests = max(int(requests * share), connections)
    processes = running.processes()
    before = _cpu_seconds(processes)
    # It exits with 1 and a word on standard error, or standard output, where a connection fails.
    done = subprocess.run(
        [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(running.port), "--user", USER, "-a", PASSWORD,
            "-n", str(requests), "-c", str(connections), "--csv", *options, *running.options,
        ],
        capture_output=True, text=True, timeout=_PATIENCE, check=False,
    )  # fmt: skip
    rows = [row for row in csv.reader(done.stdout.splitlines()) if len(row) > 1]
    if done.returncode != 0 or len(rows) != 2:
        raise RuntimeError(f"redis-benchmark failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    figures = dict(zip(*rows, strict=True))
    found = {"ops/s": float(figures["rps"]), "p99 ms": float(figures["p99_latency_ms"])}
    if processes:
        found["CPU s/100k"] = (_cpu_seconds(processes) - before) / requests * 100_000
    return found


def _connected(port, number):
    """So many connections that are logged in."""
    login = encode((b"AUTH", USER.encode(), PASSWORD.encode())) + encode((b"PING",))
    opened = []
    while len(opened) < number:
        new = [
            socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            for _ in range(min(_AT_ONCE, number - len(opened)))
        ]
        for sock in new:
            sock.sendall(login)
        for sock in new:
            replies = b""
            while not replies.endswith(b"+PONG\r\n"):
                data = sock.recv(4096)
                if not data:
                    raise RuntimeError(f"hung up after {replies!r}")
                replies += data
        opened += new
    return opened


def _cpu_seconds(processes):
    return sum(sum(int(ticks) for ticks in _stat(pid)[11:13]) for pid in processes) / _TICKS


def _stat(pid):
    """The fields of proc_pid_stat(5) from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _descriptors(processes):
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes)


def _pss(processes):
    """Proportional set size, in KiB."""
    return sum(
        int(line.split()[1])
        for pid in processes
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )
