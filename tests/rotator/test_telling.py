"""What logs and metrics say of each thing that can happen to a rotation."""

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from discovery.errors import AccessDeniedError
from discovery.model import Inventory, UserStatus
from proxy.counters import Counters
from rotator.engine import Engine
from rotator.headroom import Headroom
from rotator.metrics import Metrics, State
from rotator.observation import Logins, Observation
from rotator.requests import Rotation, finished
from rotator.standing import Care, Standing
from rotator.telling import late_by, stages_over_orphan, tell, tell_of_step, tell_of_stretching
from tests.rotator.records import ACTIVE, INTERVAL, NOW, database, secret, user, user_key, version

CURRENT = version("c", age=INTERVAL + timedelta(seconds=20))
LIVE = version("n", succeeds="c")
ORPHAN = version("o", succeeds="long-gone")
FOREIGN = version("f", password=None, ours=False)
ACCEPTED, REJECTED = Logins(accepted=1), Logins(rejected=1)


def seen(held, **changes):
    return Observation(now=NOW, interval=INTERVAL, status=UserStatus.ACTIVE, secret=held, **changes)


def events(tell_it, *arguments):
    with capture_logs() as logs:
        tell_it(*arguments)
    return {entry["event"]: entry for entry in logs}


@pytest.fixture
def metrics():
    now = NOW
    return Metrics(lambda: State(Inventory(), (), (), Counters(), (), 0, lambda _: now, now, 0.0))


def lines(metrics):
    return [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]


def count(metrics, row, held):
    observed = seen(held)
    tell_of_step(user(), row, observed)
    metrics.count_step(row, late=late_by(row, observed), orphan=stages_over_orphan(row, observed))
    return lines(metrics)


def test_a_promotion_says_by_how_much_it_came_late(metrics):
    found = count(metrics, "promote", secret(CURRENT, None, LIVE))
    assert 'valkeeper_rotation_steps_total{step="promote"} 1.0' in found
    assert "valkeeper_rotation_lateness_seconds_sum 20.0" in found
    assert 'valkeeper_rotation_lateness_seconds_bucket{le="15.0"} 0.0' in found
    told = events(tell_of_step, user(), "promote", seen(secret(CURRENT, None, LIVE)))
    assert told["rotation_step"]["late_seconds"] == 20.0


@pytest.mark.parametrize(
    ("row", "held"),
    [
        ("stage", secret(CURRENT)),
        ("promote", secret(version("c"), None, LIVE)),  # asked for before it was due
        ("promote", secret(version("s", password=None), None, version("n", succeeds="s"))),  # an adoption
    ],
)
def test_nothing_else_is_late(row, held):
    assert late_by(row, seen(held)) is None
    assert "late_seconds" not in events(tell_of_step, user(), row, seen(held))["rotation_step"]


def test_a_stretched_rotation_is_late_against_the_stretched_interval():
    room = Headroom(90, INTERVAL + timedelta(seconds=15))
    assert late_by("promote", seen(secret(CURRENT, None, LIVE), headroom=room)) == 5.0


def test_a_heal_is_counted_and_warned_of(metrics):
    assert 'valkeeper_rotation_steps_total{step="heal"} 1.0' in count(metrics, "heal", secret(CURRENT))
    told = events(tell_of_step, user(), "heal", seen(secret(CURRENT)))
    assert told["password_healed"]["log_level"] == "warning"


def test_an_orphan_is_counted_and_warned_of(metrics):
    assert "valkeeper_orphans_total 1.0" in count(metrics, "stage", secret(CURRENT, None, ORPHAN))
    told = events(tell_of_step, user(), "stage", seen(secret(CURRENT, None, ORPHAN)))
    assert told["orphan_replaced"]["version"] == "o"


@pytest.mark.parametrize("pending", [None, CURRENT, FOREIGN])
def test_no_other_pending_version_is_an_orphan(metrics, pending):
    assert "valkeeper_orphans_total 0.0" in count(metrics, "stage", secret(CURRENT, None, pending))


class Account:
    """AWS as a test says it is: every read gives the same."""

    def __init__(self, held):
        self.held = held
        self.vault = self.reads = self.writes = self

    @staticmethod
    def now():
        return NOW

    async def read(self, key):
        return ACTIVE if isinstance(key, str) else self.held

    async def unchanged(self, _key, _held):
        return True

    async def set_passwords(self, _user_id, _passwords):
        pass

    @staticmethod
    def amendment(_user, _held):
        return None


class Verifier:
    def __init__(self, answer):
        self.answer = answer

    async def logins(self, *_):
        return self.answer


class Silent:
    def observed(self, *_):
        pass

    def stepped(self, *_):
        pass


async def outcome(held, answer):
    async def acknowledged(*_):
        return True

    engine = Engine(
        interval=INTERVAL, verifier=Verifier(answer), listener=Silent(), acknowledged=acknowledged
    )
    return await engine.run(user(), (database(),), Account(held))


@pytest.mark.parametrize(
    ("held", "answer", "reason"),
    [
        (secret(CURRENT, None, FOREIGN), ACCEPTED, "foreign"),
        (secret(version("c")), REJECTED, "contended"),  # whatever is set, the database refuses
    ],
)
async def test_what_is_left_alone_is_counted_and_told_by_its_row(metrics, held, answer, reason):
    ended = finished(Rotation("1", user_key(), "schedule", 0.0), await outcome(held, answer), None)
    metrics.count_rotation(ended)
    assert f'valkeeper_rotations_total{{reason="{reason}",result="left"}} 1.0' in lines(metrics)
    told = events(tell, ended, Standing(user(), Care.MANAGED))
    assert (told["rotation"]["row"], told["rotation"]["log_level"]) == (reason, "warning")


def test_a_failure_is_counted_by_the_code_of_aws(metrics):
    error = AccessDeniedError(
        "IAM does not allow elasticache:ModifyUser on arn:aws:elasticache:us-east-1:1:user:app",
        operation="elasticache:ModifyUser",
        code="AccessDenied",
    )
    metrics.count_rotation(finished(Rotation("1", user_key(), "schedule", 0.0), None, error))
    assert 'valkeeper_rotations_total{reason="AccessDenied",result="failed"} 1.0' in lines(metrics)


def test_a_stretched_interval_is_said_once_and_its_end_too():
    plain = Standing(user(), Care.MANAGED)
    stretched = replace(plain, headroom=Headroom(90, INTERVAL * 2))
    well = replace(plain, headroom=Headroom(20, INTERVAL))
    told = events(tell_of_stretching, plain, stretched, INTERVAL)
    assert told["rotation_interval_stretched"]["versions_in_24_hours"] == 90
    assert events(tell_of_stretching, stretched, stretched, INTERVAL) == {}
    assert list(events(tell_of_stretching, stretched, well, INTERVAL)) == ["rotation_interval_as_configured"]
    assert events(tell_of_stretching, plain, well, INTERVAL) == {}
