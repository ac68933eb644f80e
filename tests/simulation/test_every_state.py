"""Every distinct state within small bounds; `make explore` visits those of two instances that crash and stand still."""

import operator
from unittest import mock

import pytest

from tests.simulation import exhaustive, fingerprint
from tests.simulation.exhaustive import explore, successors, tell
from tests.simulation.mutations import promote_before_apply, set_a_single_password
from tests.simulation.walk import SCENARIOS

_BOUNDS = {"crashes": 0, "pauses": 0, "prompt": True}


class _Blind:
    """Foresees nothing, so that everything is walked."""

    def learn(self, before, choice, after):
        """Nothing is learned."""

    def foresee(self, _before, _choice):
        return None


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_one_instance_that_is_killed_twice_at_any_call_and_stands_still_at_any_other(scenario):
    found = explore(scenario, instances=1, crashes=2, pauses=1)
    assert (found.violation, found.complete) == (None, True)
    assert found.states > 150


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_first_states_of_two_instances(scenario):
    found = explore(scenario, crashes=1, pauses=1, most=300)
    assert found.violation is None


def test_a_search_that_looks_ahead_finds_what_one_finds_that_walks_everywhere():
    found = explore("an adoption", **_BOUNDS)
    walked = explore("an adoption", foresight=_Blind(), **_BOUNDS)
    assert found.complete
    assert (found.states, found.ends) == (walked.states, walked.ends)


def test_whoever_has_fewer_faults_left_comes_to_nothing_new():
    bounds = {"instances": 1, "crashes": 1, "pauses": 1}
    found = explore("a retirement", **bounds)
    with mock.patch.object(exhaustive, "_covers", operator.eq):
        every = explore("a retirement", foresight=_Blind(), **bounds)
    assert found.complete
    assert (found.states, found.ends) == (every.states, every.ends)


def test_states_that_look_alike_have_the_same_future():
    """The fingerprint leaves out nothing that matters: what follows two paths to one state is the same."""
    merged = []
    explore("a due rotation", most=300, merged=merged, foresight=_Blind(), **_BOUNDS)
    assert len(merged) > 20
    for one, other in merged[:: len(merged) // 20]:
        assert one != other
        assert successors("a due rotation", one, **_BOUNDS) == successors("a due rotation", other, **_BOUNDS)


def test_a_fingerprint_that_leaves_out_what_matters_is_noticed():
    with (
        mock.patch.object(fingerprint, "_TOLD", fingerprint._TOLD | {"state"}),
        pytest.raises(AssertionError, match="foreseen"),
    ):
        explore("a due rotation", most=1000, **_BOUNDS)


@pytest.mark.parametrize(
    "mutation", [promote_before_apply, set_a_single_password], ids=lambda one: one.__name__
)
def test_a_path_that_breaks_a_promise_is_told(mutation):
    with mutation():
        found = explore("a due rotation", crashes=0, pauses=0, most=600)
        assert found.violation.startswith("I1")
        assert "VIOLATED" in tell("a due rotation", found.path, crashes=0, pauses=0)[-1]
