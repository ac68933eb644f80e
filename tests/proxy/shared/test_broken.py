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


def test_each_client_reads_whole_replies_and_then_errors_and_nothing_is_left(short_dir, server):
    """In this process and on the worker's own kind of loop, where all that could be left can be seen."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_break(short_dir, server, "shared", step=499))
        before = _left_behind(runner.get_loop())
        assert before[0] == 0
        for side in KINDS:
            runner.run(_break(short_dir, server, side, step=149 if side == "shared" else 997))
        assert _left_behind(runner.get_loop()) == before


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


def _left_behind(loop):
    gc.collect()
    mine = [thing for thing in gc.get_objects() if type(thing) in (Session, Sharer, Trunk)]
    return len(mine), len(asyncio.all_tasks(loop)), descriptors("self")
