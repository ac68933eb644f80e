"""When the demo has passed, and what it says of itself."""

from dataclasses import replace

import pytest

from deploy.demo.state import Counts
from deploy.demo.verdict import Untagged, calls_per_rotation, facts, judge
from tests.demo.records import APP, LEGACY, STARTED_AT, USERS, rotation, state, user

UNTAGGED = Untagged("legacy", "active", "on ~* &* +@all", 1, ("hunter2",), ())
BEFORE = {LEGACY: UNTAGGED}
COUNTS = Counts(90, 120, 0, "", {("orders", "app"): 80, ("orders-reader", "app"): 40})
GOOD = state(rotation("adopted", 6), rotation("rotated", 21))


def results(known=GOOD, counts=COUNTS, after=None, lasted=45.0, error=""):
    checks = judge(known, counts, BEFORE, BEFORE if after is None else after, lasted=lasted, error=error)
    return {check.text: check.passed for check in checks}


def test_all_is_well():
    assert results() == {"rotated after adoption": True, "client commands": True, "untagged users": True}


@pytest.mark.parametrize(
    ("what", "check"),
    [
        ({"known": state(rotation("adopted", 6))}, "rotated after adoption"),
        ({"known": replace(GOOD, users=())}, "rotated after adoption"),
        ({"counts": replace(COUNTS, failures=1, last_failure="WRONGPASS")}, "client commands"),
        ({"counts": replace(COUNTS, by_target={("orders", "app"): 120})}, "client commands"),
        ({"counts": Counts()}, "client commands"),
        ({"after": {}}, "untagged users"),
        ({"after": {LEGACY: replace(UNTAGGED, passwords=("other",))}}, "untagged users"),
        ({"after": {LEGACY: replace(UNTAGGED, password_count=2)}}, "untagged users"),
        ({"after": {LEGACY: replace(UNTAGGED, secrets=("valkeeper/user/legacy",))}}, "untagged users"),
        ({"error": "valkeeper serve ended by itself"}, "service"),
    ],
)
def test_one_thing_that_is_wrong_fails_its_check_alone(what, check):
    failed = {text for text, passed in results(**what).items() if not passed}
    assert failed == {check}


def test_too_short_a_demo_can_tell_nothing_of_rotations():
    assert results(state(rotation("adopted", 6)), lasted=12.0)["rotated after adoption"] is None


def test_too_short_a_demo_may_have_had_no_client_but_none_that_failed():
    assert results(counts=Counts(), lasted=1.0)["client commands"] is None
    assert results(counts=Counts(commands=1, failures=1), lasted=1.0)["client commands"] is False


def test_a_rotation_counts_however_short_the_demo_was():
    assert results(lasted=12.0)["rotated after adoption"] is True


def test_whoever_is_tagged_by_hand_may_be_touched_and_need_not_be_rotated():
    known = GOOD.take_answers([], [*USERS[:1], user("legacy")], 20.0)
    other = "elasticache/us-east-1/123456789012/user/other"
    before = BEFORE | {other: replace(UNTAGGED, id="other")}
    after = before | {LEGACY: replace(UNTAGGED, passwords=("new", "old"), password_count=2)}
    checks = judge(known, COUNTS, before, after, lasted=45.0)
    assert [check.passed for check in checks][::2] == [True, True]
    assert "other never touched" in checks[2].detail


def test_no_password_is_shown():
    shown = repr(judge(GOOD, COUNTS, BEFORE, {LEGACY: replace(UNTAGGED, passwords=("x",))}, lasted=45.0))
    assert "hunter2" not in shown + repr(UNTAGGED)


def request(operation, seconds, code=None):
    return {"operation": operation, "time": STARTED_AT + seconds, "code": code}


def test_calls_are_those_of_rotations_by_their_number():
    known = state(rotation("adopted", 6), rotation("rotated", 21), rotation("rotated", 36))
    requests = [
        request("ModifyUser", 5.5),  # of the adoption
        request("DescribeSecret", 20.5),
        request("ModifyUser", 20.6),
        request("GetResources", 20.7),  # discovery's
        request("DescribeSecret", 30.0),  # a look between rotations
        request("DescribeSecret", 35.5),
        request("DescribeSecret", 35.6),
        request("ModifyUser", 35.9),
    ]
    assert calls_per_rotation(known, requests) == {"DescribeSecret": 1.5, "ModifyUser": 1.0}


def test_without_a_rotation_there_are_no_calls_per_rotation():
    assert calls_per_rotation(state(rotation("adopted", 6)), [request("ModifyUser", 5.5)]) == {}


def test_facts_name_the_first_password_and_the_first_rotation():
    known = state(rotation("adopted", 6.04), rotation("adopted", 6.5, user=LEGACY), rotation("rotated", 21))
    told = dict(facts(known, [request("PutSecretValue", 5, "ThrottlingException")]))
    assert told["first new password"].startswith("6.0 s")
    assert told["first rotation"].startswith("21.0 s")
    assert told["AWS calls in all"] == "1, 1 answered with ThrottlingException"
    assert APP in known.stories
