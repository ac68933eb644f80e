"""Room for versions: Secrets Manager keeps about 100, and deletes none that is younger than a day."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rotator.headroom import SCHEDULED_MOST, Headroom, headroom
from tests.rotator.records import NOW

DAY = timedelta(hours=24)
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)


def every(interval, number, last=NOW):
    """Dates of so many versions, the latest at `last`."""
    return [last - interval * back for back in range(number)]


def within_a_day(dates, end):
    return sum(end - DAY < date <= end for date in dates)


def follow(dates, interval, rotations):
    """The schedule goes on: each due time is computed anew, as any instance would, from what AWS has kept."""
    dates = list(dates)
    for _ in range(rotations):
        room = headroom(dates, dates[-1], interval, dates[-1])
        assert room.interval >= interval
        dates.append(dates[-1] + room.interval)
    return dates


def test_every_15_minutes_fits_for_ever():
    dates = every(QUARTER, SCHEDULED_MOST + 10)
    assert headroom(dates, NOW, QUARTER, NOW) == Headroom(96, QUARTER)


def test_a_short_interval_is_fine_for_a_while():
    assert headroom(every(MINUTE, 79), NOW, MINUTE, NOW) == Headroom(79, MINUTE)


def test_and_is_stretched_before_the_room_is_gone():
    room = headroom(every(MINUTE, 90), NOW, MINUTE, NOW)
    assert room.versions == 90
    # Room for six is shared out over the time until the first of the ninety is a day old.
    assert timedelta(hours=3) < room.interval < timedelta(hours=4)


def test_rotations_on_demand_leave_less_for_the_schedule_and_a_day_later_all_is_as_before():
    by_hand = [*every(QUARTER, 50, NOW - timedelta(hours=1)), *every(MINUTE, 45)]
    assert headroom(sorted(by_hand), NOW, QUARTER, NOW).interval > QUARTER
    later = follow(sorted(by_hand), QUARTER, 200)
    assert headroom(later, later[-1], QUARTER, later[-1]).interval == QUARTER


def test_the_order_of_the_dates_is_all_the_same():
    dates = every(MINUTE, 90)
    assert headroom(dates, NOW, MINUTE, NOW) == headroom(sorted(dates), NOW, MINUTE, NOW)


def test_what_is_shown_is_the_last_day_by_now():
    assert headroom(every(MINUTE, 90), NOW, QUARTER, NOW + timedelta(hours=23)).versions == 60


def test_a_secret_without_versions_has_all_the_room():
    assert headroom([], NOW, QUARTER, NOW) == Headroom(0, QUARTER)


@given(
    made=st.lists(st.integers(0, 24 * 60 * 60), max_size=SCHEDULED_MOST),
    interval=st.integers(5, 3600).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_the_schedule_never_takes_the_last_of_the_room(made, interval):
    """Whatever was there before, as long as the schedule's own limit was kept."""
    dates = follow(
        [*sorted(NOW - timedelta(seconds=ago) for ago in made), NOW][-SCHEDULED_MOST:], interval, 30
    )
    own = dates[-30:]
    assert max(within_a_day(dates, date) for date in own) <= SCHEDULED_MOST
