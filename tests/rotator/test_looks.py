"""How long after a run a user is looked at again."""

from datetime import timedelta

import pytest

from discovery.errors import (
    AccessDeniedError,
    CredentialsError,
    NotFoundError,
    RetryableError,
    ThrottledError,
)
from rotator.engine import Result
from rotator.looks import Looks, is_stuck
from tests.rotator.scripted_engine import ended

THIRD = 300.0
PERMANENT = (AccessDeniedError, CredentialsError, NotFoundError)
RETRYABLE = (RetryableError, ThrottledError)


def looks(chance=1.0, minutes=15):
    return Looks(timedelta(minutes=minutes), timedelta(seconds=30), lambda: chance)


def pause(made, outcome=None, error=None, times=1, until=None):
    return made.after(outcome, error, times=times, until_due=until)


def failure(kind):
    return kind("it failed", operation="elasticache:ModifyUser", code="Some")


@pytest.mark.parametrize("kind", PERMANENT)
def test_a_permanent_error_waits_for_the_next_discovery_and_never_longer_than_a_third(kind):
    assert is_stuck(None, failure(kind))
    for chance in (0.0, 1.0):
        for times in (1, 50):
            assert pause(looks(chance), error=failure(kind), times=times) == THIRD


@pytest.mark.parametrize("kind", RETRYABLE)
def test_other_errors_back_off_with_full_jitter(kind):
    assert not is_stuck(None, failure(kind))
    most = [pause(looks(1.0), error=failure(kind), times=times) for times in range(1, 9)]
    assert most == pytest.approx([2.05, 4.05, 8.05, 16.05, 32.05, 60.05, 60.05, 60.05])
    assert pause(looks(0.0), error=failure(kind), times=8) == pytest.approx(0.05)


def test_a_run_that_has_to_wait_backs_off_likewise():
    assert pause(looks(0.5), ended(Result.WAITING), times=3) == pytest.approx(4.05)


def test_a_backoff_is_no_longer_than_a_third_of_a_short_interval():
    assert pause(looks(minutes=1), error=failure(RetryableError), times=9) == 20.0


@pytest.mark.parametrize(
    ("until", "chance", "expected"),
    [
        (60.0, 0.5, 75.0),  # due, and within the spread
        (1000.0, 1.0, THIRD),  # the next look at the labels is sooner
        (1000.0, 0.0, 240.0),
        (0.0, 1.0, THIRD),  # due, and yet idle: blocked
        (None, 1.0, THIRD),
    ],
)
def test_after_a_good_run_it_is_due_or_its_labels_are_read(until, chance, expected):
    assert pause(looks(chance), ended(), until=until) == expected


def test_who_was_left_alone_is_stuck_and_still_looked_at():
    left = ended(Result.LEFT)
    assert is_stuck(left, None)
    assert 0 < pause(looks(), left, until=10_000.0) <= THIRD


def test_soon_is_within_a_second():
    assert [looks(chance).soon() for chance in (0.0, 1.0)] == [0.0, 1.0]
