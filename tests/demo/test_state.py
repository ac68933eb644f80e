"""How events and answers of the service change what the demo knows."""

import pytest

from deploy.demo.state import State, Target, targets
from deploy.demo.story import tell
from tests.demo.records import APP, DATABASES, USERS, database, event, rotation, state


def test_adoption_is_no_rotation_and_what_follows_is():
    known = state(rotation("adopted", 6), rotation("rotated", 21), rotation("rotated", 36))
    assert known.story(APP).adopted_at == pytest.approx(6)
    assert known.story(APP).rotated_at == pytest.approx((21, 36))


@pytest.mark.parametrize("result", ["healed", "retired", "waiting", "failed", "left", "followed"])
def test_only_a_rotation_counts_as_one(result):
    assert state(rotation(result, 21)).story(APP).rotated_at == ()


def test_a_step_stands_until_its_rotation_has_ended():
    known = state(event("rotation_step", 20, user=APP, step="apply"))
    assert known.story(APP).step == "apply"
    assert known.take_event(rotation("rotated", 21)).story(APP).step == ""


def test_lines_do_not_grow_for_ever():
    known = state(*(event("rotation_step", n, user=APP, step="stage") for n in range(1000)))
    assert len(known.lines) == 200
    assert known.lines[-1].seconds == pytest.approx(999)


def test_clients_come_half_a_second_after_a_user_is_offered():
    known = state(now=10.0)
    assert targets(known, 10.4) == ()
    assert targets(known, 10.6) == (
        Target("orders", "app", "/run/orders.sock", writable=True),
        Target("orders-reader", "app", "/run/orders-reader.sock", writable=False),
    )


def test_a_user_that_is_offered_later_waits_its_own_half_second():
    known = state(now=10.0).take_answers([*DATABASES, database("late", "primary")], USERS, 20.0)
    assert {one.database for one in targets(known, 20.1)} == {"orders", "orders-reader"}
    assert {one.database for one in targets(known, 20.6)} == {"orders", "orders-reader", "late"}


def test_a_user_that_is_no_longer_offered_is_no_longer_asked_for():
    known = state(now=10.0).take_answers([database("orders", "primary", users=())], USERS, 20.0)
    assert targets(known, 30.0) == ()


def test_whoever_was_managed_once_is_remembered():
    assert state().ever_managed == {APP}
    assert state().take_answers([], [], 20.0).ever_managed == {APP}


def test_seconds_before_readiness_are_none():
    assert State(started_at=0.0, interval=15.0, duration=None).since_ready(8.0) == 0.0


@pytest.mark.parametrize(
    ("happened", "who", "what", "words"),
    [
        (event("rotation_step", 1, user=APP, step="promote"), "app", "promote", "now AWSCURRENT"),
        (rotation("rotated", 1, took=0.94), "app", "rotated", "in 0.9 s; clients use the new password"),
        (
            event("rotation", 1, user=APP, result="left", reason="the user is switched off", seconds=0.1),
            "app",
            "left",
            "the user is switched off",
        ),
        (
            event("database_found", 1, database="orders", endpoint="h:1", labels={"endpoint-type": "reader"}),
            "orders",
            "found",
            "database at h:1, reader",
        ),
        (
            event("user_found", 1, user=APP, managed=False, databases=["orders"]),
            "app",
            "found",
            "untagged user of orders",
        ),
        (
            event("source_failed", 1, error="denied") | {"level": "warning"},
            "valkeeper",
            "warning",
            "error=denied",
        ),
    ],
)
def test_events_are_told_in_words(happened, who, what, words):
    line = tell(happened, started_at=0)
    assert (line.who, line.what) == (who, what)
    assert words in line.text


def test_an_unknown_event_that_warns_of_nothing_is_not_told():
    assert tell(event("anything"), started_at=0) is None
