"""Every distinct state within small bounds; `make explore` visits those of two instances that crash and stand still."""

import pytest

from tests.simulation.exhaustive import explore, successors, tell
from tests.simulation.mutations import promote_before_apply, set_a_single_password
from tests.simulation.walk import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_one_instance_that_is_killed_twice_at_any_call_and_stands_still_at_any_other(scenario):
    found = explore(scenario, instances=1, crashes=2, pauses=1)
    assert (found.violation, found.complete) == (None, True)
    assert found.states > 200


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_first_states_of_two_instances(scenario):
    found = explore(scenario, crashes=1, pauses=1, most=300)
    assert found.violation is None


def test_states_that_look_alike_have_the_same_future():
    """The fingerprint leaves out nothing that matters: what follows two paths to one state is the same."""
    merged, bounds = [], {"crashes": 0, "pauses": 0, "prompt": True}
    explore("a due rotation", most=400, merged=merged, **bounds)
    assert len(merged) > 20
    for one, other in merged[:: len(merged) // 20]:
        assert one != other
        assert successors("a due rotation", one, **bounds) == successors("a due rotation", other, **bounds)


@pytest.mark.parametrize(
    "mutation", [promote_before_apply, set_a_single_password], ids=lambda one: one.__name__
)
def test_a_path_that_breaks_a_promise_is_told(mutation):
    with mutation():
        found = explore("a due rotation", crashes=0, pauses=0, most=600)
        assert found.violation.startswith("I1")
        assert "VIOLATED" in tell("a due rotation", found.path, crashes=0, pauses=0)[-1]
