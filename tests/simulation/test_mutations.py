"""The simulator bites: rotators that are wrong on purpose are found, each within a few hundred schedules."""

import pytest

from tests.simulation.faults import PAUSED_RIVALS
from tests.simulation.mutations import MUTATIONS
from tests.simulation.schedule import simulate, simulate_all

_FIRST, _STEP, _MOST = 300, 20, 600  # the rarest shows in schedule 366


def violations():
    """What breaks, in schedules in which rivals stand still; in the first few in which anything does."""
    for first in range(_FIRST, _FIRST + _MOST, _STEP):
        seeds = range(first, first + _STEP)
        reports = simulate_all(seeds, instances=2, temper=PAUSED_RIVALS)
        if found := {report.violation for report in reports if report.violation}:
            return found
    return set()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_rotator_that_is_wrong_is_found(mutation):
    with mutation():
        assert violations() != set()


def test_the_same_rivals_break_nothing_as_it_is():
    reports = simulate_all(range(100), instances=2, temper=PAUSED_RIVALS)
    assert [(report.seed, report.violation) for report in reports if report.violation] == []


async def test_a_seed_replays_and_tells_its_story():
    untold, told = simulate(7), simulate(7, told=True)
    assert (untold.events, untold.states, untold.violation) == (told.events, told.states, told.violation)
    assert any("Move AWSCURRENT" in line for line in told.story)
