"""The door: who is let through to the engine, when, and what becomes of those who asked."""

import asyncio
from datetime import timedelta

import pytest

from discovery.errors import PermanentError, RetryableError
from rotator.engine import Result, Wish
from rotator.errors import UnknownUserError, UsageError
from rotator.rotations import Rotations
from rotator.standing import Care
from tests.rotator.records import ACTIVE, INTERVAL, inventory, secret, user, user_key
from tests.rotator.scripted_engine import Doors, ScriptedEngine, ended

THIRD = INTERVAL.total_seconds() / 3
APP = user_key("app")
ROTATED = ended(Result.ROTATED, "v2", steps=["stage", "apply", "promote"], wish=Wish(instead_of="v1"))
NO_ANSWER = RetryableError("no answer", operation="elasticache:ModifyUser", code="Lost")
DENIED = PermanentError("IAM does not allow it", operation="elasticache:ModifyUser", code="AccessDenied")


class Door:
    """The door with a clock that a test sets, and an engine that does what it says."""

    def __init__(self, group):
        self.group = group
        self.engine = ScriptedEngine()
        self.time = 1000.0
        self.told = []
        self.rotations = Rotations(
            self.engine,
            lambda _: Doors,
            interval=INTERVAL,
            spread=timedelta(seconds=30),
            on_standing=lambda standing: None,
            on_rotation=self.told.append,
            on_schedule=lambda: None,
            clock=lambda: self.time,
            chance=lambda: 0.5,
        )

    def know(self, *users, released=()):
        self.rotations.take_inventory(inventory(*users), released)

    async def go(self, seconds=0.0):
        """Let time pass, start what is due, and let it come as far as it can."""
        self.time += seconds
        self.rotations.start_due(self.group)
        await _everything_else()

    def ask(self, *names, **options):
        return self.rotations.ask(names or ["app"], asked_by="me", **options)[0]

    @property
    def next_look(self):
        return self.rotations.next_look(APP)

    def holds_a_password(self, which=None):
        self.rotations.saw(which or user(), ACTIVE, secret("v1"))


@pytest.fixture
async def door():
    async with asyncio.TaskGroup() as group:
        door = Door(group)
        yield door
        for run in list(door.engine.runs):
            run.end()


@pytest.fixture
async def busy(door):
    """A door whose one user is being looked at."""
    door.know(user())
    await door.go(1)
    assert len(door.engine.runs) == 1
    return door


async def finish(door, outcome=None):
    """Let the first run under way end, and whatever is due then begin."""
    door.engine.runs[0].end(outcome)
    await _everything_else()
    await door.go()


async def _everything_else():
    for _ in range(10):
        await asyncio.sleep(0)


# One at a time.


async def test_a_new_user_is_looked_at_within_a_second(door):
    door.know(user())
    assert 0 <= door.next_look <= 1


async def test_never_one_user_twice_at_once(busy):
    busy.ask()
    busy.rotations.look_now(APP, lambda: None)
    busy.know(user(databases=("orders", "carts")))
    for _ in range(5):
        await busy.go(1000)
    assert len(busy.engine.begun) == 1


async def test_one_users_run_delays_nobody_elses(door):
    door.know(user("app"), user("web"))
    await door.go(1)
    assert {run.user.key.id for run in door.engine.runs} == {"app", "web"}


async def test_no_run_begins_after_stop(door):
    door.know(user())
    door.rotations.stop()
    await door.go(1000)
    assert door.engine.begun == []


# Asking.


async def test_asking_twice_joins(door):
    """Both get the answer of one run, each under its own id."""
    door.know(user())
    first, second = door.ask(), door.ask()
    await door.go()
    await finish(door, ROTATED)
    assert len(door.engine.begun) == 1
    assert [one.rotation.result for one in (first, second)] == ["rotated", "rotated"]
    assert (first.rotation.id, second.rotation.id) == (first.id, second.id)
    assert first.id != second.id


async def test_asking_during_a_rotation_joins_it(busy):
    request = busy.ask()
    await finish(busy, ROTATED)
    assert request.done.done()
    await busy.go(1)
    assert len(busy.engine.begun) == 1


async def test_asking_during_a_run_that_did_not_rotate_brings_another(busy):
    request = busy.ask()
    await finish(busy, ended())
    assert not request.done.done()
    assert busy.engine.runs[0].wish == Wish()


async def test_a_request_to_retire_does_not_join(busy):
    """The rotation under way may have been staged without it, so the old password could live on."""
    request = busy.ask(retire=True)
    await finish(busy, ROTATED)
    assert not request.done.done()
    assert busy.engine.runs[0].wish.retire


async def test_a_request_that_has_to_wait_stays_measured_against_what_stood_first(door):
    door.know(user())
    request = door.ask()
    await door.go()
    await finish(door, ended(Result.WAITING, wish=Wish(instead_of="v1"), reason="a proxy"))
    assert not request.done.done()
    await door.go(60)
    assert door.engine.runs[0].wish == Wish(instead_of="v1")
    await finish(door, ended(Result.IDLE, "v2", wish=Wish(instead_of="v1")))
    assert request.rotation.version == "v2"


async def test_a_request_whose_run_failed_stays_measured_against_what_stood_first(door):
    """A lost answer to the promotion must not make a second new version of one request."""
    door.know(user())
    door.ask()
    await door.go()
    door.holds_a_password()
    door.engine.runs[0].fail(NO_ANSWER)
    await door.go()
    await door.go(60)
    assert door.engine.runs[0].wish == Wish(instead_of="v1")


async def test_what_a_person_has_to_mend_ends_the_request(door):
    door.know(user())
    request = door.ask()
    await door.go()
    await finish(door, ended(Result.LEFT, reason="the user is switched off"))
    assert (request.rotation.result, request.rotation.reason) == ("left", "the user is switched off")


async def test_by_id_by_name_and_by_the_end_of_the_key(door):
    door.know(user("app", name="application"))
    for name in ("app", "application", str(APP), "123456789012/user/app"):
        assert door.ask(name).user == APP


async def test_an_unknown_or_ambiguous_name_is_refused(door):
    door.know(user("a", name="same"), user("b", name="same"))
    with pytest.raises(UnknownUserError, match="'nobody'"):
        door.ask("nobody")
    with pytest.raises(UnknownUserError, match=r"user/a.*user/b"):
        door.ask("same")


async def test_a_user_that_is_not_managed_is_refused(door):
    door.know(user(managed=False))
    with pytest.raises(UsageError, match="not managed"):
        door.ask()


async def test_all_are_the_managed_ones(door):
    door.know(user("app"), user("web"), user("other", managed=False))
    assert [one.user.id for one in door.rotations.ask_all(asked_by="me")] == ["app", "web"]


# When a user is looked at again.


async def test_at_a_third_of_the_interval_at_the_latest(busy):
    await finish(busy)
    assert 0 < busy.next_look <= THIRD


async def test_when_it_is_due_if_that_is_sooner(busy):
    soon = secret("v1")
    busy.rotations._interval = timedelta(seconds=60)
    busy.rotations.saw(user(), ACTIVE, soon)
    await finish(busy)
    assert busy.next_look == pytest.approx(60 + 0.5 * 30)


async def test_retryable_errors_back_off_and_keep_the_request(door):
    """Twice as long after each failure in a row, a minute at most; the jitter is full, half of it here."""
    door.know(user())
    request = door.ask()
    pauses = []
    for _ in range(8):
        await door.go(120)
        door.engine.runs[0].fail(NO_ANSWER)
        await door.go()
        pauses.append(door.next_look)
    assert pauses == pytest.approx([1.05, 2.05, 4.05, 8.05, 16.05, 30.05, 30.05, 30.05])
    assert not request.done.done()
    assert door.rotations.standing(APP).state == "failing"


async def test_permanent_errors_wait_and_end_the_request(door):
    door.know(user())
    request = door.ask()
    await door.go()
    door.engine.runs[0].fail(DENIED)
    await door.go()
    assert door.next_look == THIRD
    assert (request.rotation.result, request.rotation.reason) == ("failed", str(DENIED))


async def test_a_defect_met_with_one_user_stops_nobody(door, capsys):
    door.know(user("app"), user("web"))
    await door.go(1)
    app = next(run for run in door.engine.runs if run.user.key == APP)
    app.fail(ZeroDivisionError("a defect"))
    await door.go()
    assert door.rotations.standing(APP).error == "unexpected ZeroDivisionError"
    assert len(door.engine.runs) == 1


# Users that come and go.


async def test_a_vanished_user_ends_its_requests(door):
    door.know(user())
    request = door.ask()
    door.know()
    assert (request.rotation.result, request.rotation.reason) == ("left", "the user is gone")
    assert door.engine.forgotten == [APP]
    await door.go(1000)
    assert door.engine.begun == []


async def test_a_user_that_vanishes_during_its_run_does_not_come_back(busy):
    busy.know()
    await finish(busy, ROTATED)
    assert busy.rotations.standings == []
    assert busy.rotations.next_at() is None


async def test_a_user_that_loses_its_tag_is_released(door):
    """Still offered to clients, read now and then, never rotated."""
    door.know(user())
    door.holds_a_password()
    door.know(user(managed=False))
    await door.go(1)
    assert door.rotations.standing(APP).care is Care.RELEASED
    assert (door.engine.looked, door.engine.begun) == ([APP], [])
    assert door.next_look > 1


async def test_a_user_released_before_this_instance_began_is_known_by_its_secret(door):
    door.know(user(managed=False), released=[APP])
    assert door.rotations.standing(APP).care is Care.RELEASED


async def test_a_user_that_was_never_ours_is_not_looked_at(door):
    door.know(user(managed=False))
    assert door.next_look is None


async def test_a_request_ends_when_its_user_is_released(door):
    door.know(user())
    door.holds_a_password()
    request = door.ask()
    door.know(user(managed=False))
    await door.go(1)
    for _ in range(5):
        await door.go()
    assert door.engine.looked == [APP]
    assert request.done.done()


async def test_a_user_that_loses_its_tag_during_adoption_is_not_rotated_again(busy):
    busy.know(user(managed=False))
    assert busy.rotations.standing(APP).care is Care.PASSED_THROUGH
    await finish(busy, ended(Result.WAITING, reason="an endpoint could not be reached"))
    await busy.go(1000)
    assert len(busy.engine.begun) == 1


# A proxy that was refused.


async def test_a_look_that_a_proxy_asked_for_is_answered_once(door):
    door.know(user())
    answers = []
    door.rotations.look_now(APP, lambda: answers.append(1))
    await door.go()
    assert answers == []
    await finish(door)
    assert answers == [1]


async def test_a_look_asked_for_during_a_run_is_answered_by_the_next(busy):
    """The run under way may have read the secret before the proxy was refused."""
    answers = []
    busy.rotations.look_now(APP, lambda: answers.append(1))
    await finish(busy)
    assert answers == []
    await finish(busy)
    assert answers == [1]


async def test_a_run_under_way_is_told_that_a_proxy_was_refused(busy):
    busy.rotations.look_now(APP, lambda: None)
    assert busy.engine.hurried == [APP]


async def test_an_unknown_user_is_answered_at_once(door):
    answers = []
    door.rotations.look_now(APP, lambda: answers.append(1))
    assert answers == [1]


async def test_a_proxy_is_answered_when_the_user_vanishes(door):
    door.know(user())
    answers = []
    door.rotations.look_now(APP, lambda: answers.append(1))
    door.know()
    assert answers == [1]


# What trying again cannot help.


async def test_what_iam_denies_waits_for_the_next_discovery(busy):
    busy.engine.runs[0].fail(DENIED)
    await busy.go(THIRD / 2)
    assert len(busy.engine.begun) == 1
    busy.know(user())
    await busy.go(1)
    assert len(busy.engine.begun) == 2
    await finish(busy)
    busy.know(user())
    await busy.go(1)
    assert len(busy.engine.begun) == 2  # all is well again


async def test_who_is_left_alone_is_looked_at_again_after_the_next_discovery(busy):
    await finish(busy, ended(Result.LEFT, reason="the user is switched off"))
    busy.know(user())
    await busy.go(1)
    assert len(busy.engine.begun) == 2


# What people see.


async def test_history_has_what_runs_first_then_the_latest(door):
    door.know(user())
    door.ask()
    await door.go()
    assert [one.result for one in door.rotations.history] == ["running"]
    await finish(door, ROTATED)
    assert [(one.result, one.asked_by) for one in door.rotations.history] == [("rotated", "me")]
    assert door.told == door.rotations.history


async def test_idle_looks_are_not_worth_telling(busy):
    await finish(busy)
    assert busy.told == []
