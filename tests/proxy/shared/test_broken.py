"""A shared connection that breaks at any byte costs its clients what was under way, and nobody anything else.

`make faults` breaks it at every byte.
"""

import asyncio
import gc

import uvloop

from proxy.session import Session
from proxy.shared.sharer import Sharer
from proxy.shared.trunk import Trunk
from tests.faults.shared import KINDS, SharedLane, SharedSweep
from tests.faults.sweep import descriptors
from tests.proxy.hall import Hall
from tests.proxy.proxykit import credential, directory
from tests.proxy.shared.crowd import settled


def test_each_client_reads_whole_replies_and_then_errors_and_nothing_is_left(short_dir, server):
    """In this process and on the worker's own kind of loop, where all that could be left can be seen."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_break_at_a_few_bytes(short_dir, server))


async def _break_at_a_few_bytes(folder, server):
    await _break(folder, server, "shared", step=499)
    before = _left_behind()
    assert before[0] == 0
    for side in KINDS:
        await _break(folder, server, side, step=149 if side == "shared" else 997)
    await settled(lambda: all(now <= then for now, then in zip(_left_behind(), before, strict=True)))


async def _break(folder, server, side, *, step):
    lane = SharedLane(0, server)
    path = folder / "orders.sock"
    [behind] = [one for one in lane.databases if one.name == lane.names[side]]
    served = directory(behind.model_copy(update={"name": "orders"}), credentials=[credential()])
    async with Hall(path, served, limits={"new_per_second": None}) as hall:
        sweep = SharedSweep(server, [lane], lambda _: asyncio.open_unix_connection(path))
        problems = await sweep.run(side, step=step)
        assert not problems, "\n".join(f"{case}: {problem}" for case, problem in problems.items())
        await hall.until(lambda: not hall.sessions)
    path.unlink()


def _left_behind():
    gc.collect()
    mine = [thing for thing in gc.get_objects() if type(thing) in (Session, Sharer, Trunk)]
    return len(mine), len(asyncio.all_tasks()), descriptors("self")
