"""AWS's clock from Date headers, which tell whole seconds."""

from datetime import UTC, datetime, timedelta

import pytest

from discovery.clock import RemoteClock

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC).timestamp()


def answer(clock, at, *, ahead, latency=0.05):
    """An answer of a clock that is so many seconds ahead, asked for at `at`."""
    there = datetime.fromtimestamp(int(at + latency / 2 + ahead), UTC)
    clock.note(there, sent=at, received=at + latency)


def test_before_the_first_answer_it_is_this_machines_time():
    assert RemoteClock().at(NOON) == datetime.fromtimestamp(NOON, UTC)


def test_clocks_that_agree_are_taken_as_the_same_whatever_the_fraction():
    clock = RemoteClock()
    for number in range(40):
        answer(clock, NOON + number * 0.17, ahead=0.0)
        assert clock.offset == 0.0


@pytest.mark.parametrize("ahead", [-3600.0, -2.3, 0.4, 7.75, 86400.0])
def test_many_answers_narrow_the_offset_down_to_a_fraction(ahead):
    clock = RemoteClock()
    for number in range(60):
        answer(clock, NOON + number * 0.37, ahead=ahead)
    assert clock.offset == pytest.approx(ahead, abs=0.1 if abs(ahead) > 0.5 else 0.5)


def test_it_does_not_jump_from_one_answer_to_the_next():
    clock, last = RemoteClock(), None
    for number in range(100):
        at = NOON + number * 0.31
        answer(clock, at, ahead=5.5)
        if number > 10 and last is not None:
            assert abs((clock.at(at) - last) - timedelta(seconds=0.31)) < timedelta(seconds=0.3)
        last = clock.at(at)


def test_a_clock_that_was_set_is_followed_at_once():
    clock = RemoteClock()
    for number in range(20):
        answer(clock, NOON + number * 0.3, ahead=0.0)
    answer(clock, NOON + 10, ahead=120.0)
    assert clock.offset == pytest.approx(120.0, abs=1.0)
