"""How events and answers of the service change what the demo knows."""

import pytest

from deploy.demo.state import Counts, State, Target, targets
from deploy.demo.story import tell
from tests.demo.records import (
    APP,
    AUDIT,
    DATABASES,
    REPORTING,
    USERS,
    WEB,
    database,
    event,
    rotation,
    state,
    user,
)


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
    known = state()
    for number in range(1000):
        known = known.take_event(event("rotation_step", number, user=APP, step="stage"))
    assert len(known.lines) == 200
    assert known.lines[-1].seconds == pytest.approx(999)


def test_clients_come_half_a_second_after_a_user_is_offered():
    known = state(now=10.0)
    assert targets(known, 10.4) == ()
    assert targets(known, 10.6) == (
        Target("orders", "app", "/run/orders.sock", writable=True),
        Target("orders-reader", "app", "/run/orders-reader.sock", writable=False),
        Target("orders", "reporting", "/run/orders.sock", writable=True),
        Target("orders-reader", "reporting", "/run/orders-reader.sock", writable=False),
        Target("sessions", "session-audit", "/run/sessions.sock", writable=True),
        Target("sessions", "web", "/run/sessions.sock", writable=True),
    )


def test_a_user_that_is_offered_later_waits_its_own_half_second():
    known = state(now=10.0).take_answers([*DATABASES, database("late", "primary")], USERS, 20.0)
    assert "late" not in {one.database for one in targets(known, 20.1)}
    assert "late" in {one.database for one in targets(known, 20.6)}


def test_a_user_that_is_no_longer_offered_is_no_longer_asked_for():
    known = state(now=10.0).take_answers([database("orders", "primary", users=())], USERS, 20.0)
    assert targets(known, 30.0) == ()


def test_whoever_was_managed_once_is_remembered():
    assert state().ever_managed == {APP, WEB}
    assert state().take_answers([], [], 20.0).ever_managed == {APP, WEB}


def told_of_tokens(known, user):
    return [f"{line.what} {line.text}" for line in known.lines if line.who == user]


def test_a_token_is_told_when_it_is_signed_and_when_it_is_renewed():
    known = state(now=5.0).take_answers(DATABASES, USERS, 5.5)
    assert told_of_tokens(known, "reporting") == ["signed a token of 15 min for orders, orders-reader"]
    assert told_of_tokens(known, "session-audit") == ["signed a token of 15 min for sessions"]
    renewed = [*USERS[:2], user("reporting", "iam", token_ends=1205.0), *USERS[3:]]
    known = known.take_answers(DATABASES, renewed, 305.0)
    assert told_of_tokens(known, "reporting")[1:] == ["renewed a token of 15 min for orders, orders-reader"]
    assert (known.story(REPORTING).tokens, known.story(AUDIT).tokens) == (2, 1)


def test_an_iam_user_without_a_token_tells_nothing():
    known = state().take_answers(DATABASES, [user("late", "iam", token_ends=None)], 20.0)
    assert told_of_tokens(known, "late") == []


def test_the_same_name_of_two_services_is_two_users():
    counts = Counts(by_target={("orders", "app"): 5, ("orders-reader", "app"): 3, ("sessions", "app"): 1})
    known = state().take_answers(DATABASES, [user("app"), user("app", service="memorydb")], 20.0)
    assert [counts.of(one) for one in known.users] == [8, 1]


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
            event("user_found", 1, user=APP, managed=False, authentication="password", databases=["orders"]),
            "app",
            "found",
            "untagged user of orders",
        ),
        (
            event("user_found", 1, user=REPORTING, managed=False, authentication="iam", databases=["orders"]),
            "reporting",
            "found",
            "IAM user of orders",
        ),
        (event("rotation_step", 1, user=APP, step="apply"), "app", "apply", "ModifyUser has been told"),
        (event("rotation_step", 1, user=WEB, step="apply"), "web", "apply", "UpdateUser has been told"),
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
