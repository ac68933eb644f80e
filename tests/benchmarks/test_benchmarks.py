"""The benchmarks run, on what `make test` has: no figure is judged here, and no peer is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.cases import CASES, QUICK, Goal, Workers, chosen
from tests.benchmarks.contest import run
from tests.benchmarks.quota import ImpossibleError, limited
from tests.benchmarks.table import Row, as_json, as_text

SHORT = "c1-p1-64B-get c50-p16-16KiB-set c1-p1-8MiB-get connect idle workers workers-limited"


def test_every_kind_of_case_gives_its_figures():
    told = []
    rows = run(chosen(SHORT.split()), ["direct", "valkeeper"], 1, share=0.01, tell=told.append)
    figures = {(row.case.name, row.metric): row.rounds for row in rows}
    for name in SHORT.split():
        for metric in CASES[name].metrics:
            measured = figures[name, metric]
            if name == "workers-limited" and not measured:
                continue  # no control groups here, as was said
            proxies_only = metric in {"PSS KiB", "CPU s/100k"} or name.startswith("workers")
            assert set(measured) == ({"valkeeper"} if proxies_only else {"direct", "valkeeper"}), (
                name,
                metric,
            )
            for values in measured.values():
                assert len(values) == 1
                assert all(value > 0 for value in values) or metric == "CPU s/100k", (
                    "the kernel counts in ticks"
                )
    assert told[0] == "c1-p1-64B-get: round 1 of 1, direct"
    text = as_text(rows, ["direct", "valkeeper"])
    assert all(name in text for name in SHORT.split())
    assert "≤ 48" in text
    assert json.loads(json.dumps(as_json(rows)))[0]["case"] == "c1-p1-64B-get"


def test_a_process_gets_no_more_than_its_part_of_a_core():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            with limited([busy.pid], 0.2):
                before = Path(f"/proc/{busy.pid}/cgroup").read_text()
                assert f"valkeeper-{busy.pid}" in before
            assert f"valkeeper-{busy.pid}" not in Path(f"/proc/{busy.pid}/cgroup").read_text()
        except ImpossibleError as error:
            pytest.skip(str(error))
        finally:
            busy.kill()


def test_what_cannot_be_limited_is_named():
    with pytest.raises(ImpossibleError, match="it takes root"), limited([2**30], 0.2):
        pytest.fail("there is no such process")


def row(goal, **rounds):
    case = Workers(connections=1, pipeline=1, size=64, command="get", requests=1, goals=(goal,))
    return Row(case, "ops/s", rounds)


def test_ratios_are_taken_round_by_round():
    """A machine that slows down by half in the second round changes no ratio."""
    noisy = row(Goal("valkeeper", "ops/s", 0.75), haproxy=[100.0, 50.0, 10.0], valkeeper=[80.0, 40.0, 1.0])
    assert noisy.ratios("valkeeper", "haproxy") == [0.8, 0.8, 0.1]
    ((_, figure, met),) = noisy.verdicts()
    assert (figure, met) == (0.8, True)
    assert "0.80 (0.10-0.80)" in as_text([noisy], ["haproxy", "valkeeper"])


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("valkeeper", "ops/s", 0.75), True),
        (Goal("valkeeper", "ops/s", 0.85), False),
        (Goal("valkeeper", "ops/s", 0.85, is_most=True), True),
        (Goal("valkeeper", "ops/s", 0.75, is_most=True), False),
        (Goal("valkeeper", "ops/s", 79, against=None), True),
        (Goal("valkeeper", "ops/s", 81, against=None), False),
    ],
)
def test_a_goal_is_met_or_missed(goal, met):
    measured = row(goal, haproxy=[100.0], valkeeper=[80.0])
    assert [good for _, _, good in measured.verdicts()] == [met]
    assert ("MISSED" in as_text([measured], ["haproxy", "valkeeper"])) is not met


def test_a_goal_whose_peer_was_not_measured_is_left_open():
    alone = row(Goal("valkeeper", "ops/s", 0.75), valkeeper=[80.0])
    assert list(alone.verdicts()) == []


def test_every_goal_is_in_the_quick_run():
    """Of the many cases alike, one each."""
    asked = {(goal.metric, goal.against, goal.bound) for case in CASES.values() for goal in case.goals}
    quick = {(goal.metric, goal.against, goal.bound) for case in chosen(QUICK.split()) for goal in case.goals}
    assert quick == asked


def test_a_pattern_that_matches_nothing_is_named():
    with pytest.raises(KeyError, match="c51"):
        chosen(["c51-*"])
