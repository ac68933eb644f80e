"""Random schedules 0 to 1000: every invariant, after every event.

`make simulate SEED=0 SCHEDULES=1 STORY=1` tells what happened in one of them.
"""

from tests.simulation.schedule import simulate_all


def test_no_schedule_breaks_an_invariant():
    reports = simulate_all(range(1000))
    assert [(report.seed, report.violation) for report in reports if report.violation] == []
    assert len(set().union(*(report.states for report in reports))) > 5_000
