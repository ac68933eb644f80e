"""The pace of calls after a throttle. Time is set: a sleeper moves the clock."""

import itertools

import pytest

from discovery.limiter import Limiter


class Time:
    def __init__(self):
        self.now = 1000.0

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def limiter(time):
    return Limiter(time.clock, time.sleep)


async def calls(limiter, time, number, *, capacity=None, latency=0.01):
    """Make so many calls, one after another, of a service that bears `capacity` a second; how many it throttled."""
    throttled, recent = 0, []
    for _ in range(number):
        await limiter.turn()
        recent = [at for at in recent if at > time.now - 1.0] + [time.now]
        over = capacity is not None and len(recent) > capacity
        throttled += over
        time.now += latency
        limiter.ended(throttled=over)
    return throttled


async def test_nothing_is_paced_before_the_first_throttle(limiter, time):
    await calls(limiter, time, 100)
    assert time.now == pytest.approx(1001.0)
    assert limiter.rate is None


async def test_after_a_throttle_fewer_calls_go_out(limiter, time):
    await calls(limiter, time, 300)
    limiter.ended(throttled=True)
    assert limiter.rate is not None
    assert limiter.rate < 100


async def test_it_settles_near_what_the_service_bears(limiter, time):
    await calls(limiter, time, 200, capacity=20)
    began = time.now
    throttled = await calls(limiter, time, 600, capacity=20)
    rate = 600 / (time.now - began)
    assert 5 < rate < 40
    assert throttled < 200


async def test_the_pace_never_falls_below_one_call_in_two_seconds(limiter, time):
    for _ in range(50):
        limiter.ended(throttled=True)
    assert limiter.rate == 0.5
    assert limiter.throttles == 50


async def test_a_minute_without_a_throttle_ends_the_pacing(limiter, time):
    limiter.ended(throttled=True)
    time.now += 61
    limiter.ended(throttled=False)
    assert limiter.rate is None


async def test_who_asked_first_goes_first(limiter, time):
    limiter.ended(throttled=True)
    begun = []
    for name in ("a", "b", "c"):
        await limiter.turn()
        begun.append((name, time.now))
    gaps = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(begun)]
    assert gaps == pytest.approx([2.0, 2.0])
