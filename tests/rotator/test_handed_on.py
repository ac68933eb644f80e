"""Credentials that others keep in files: read when they change, and the last good one kept."""

import asyncio
from datetime import timedelta

import pytest

from discovery.model import DatabaseKind, HandedOnUser
from rotator import schedule
from rotator.handed_on import HandedOnPasswords, HandedOnStanding
from rotator.schedule import Schedule
from tests.rotator.records import database, inventory

KEY = "static/legacy/user/batch"


async def no_session(region, role):
    raise AssertionError("files need no AWS")


class Keeper(HandedOnPasswords):
    """Handed-on passwords, and what they told since this was last asked."""

    def __init__(self):
        super().__init__(no_session, on_credentials=self._hear, clock=lambda: 1000.0)
        self._heard = []

    def _hear(self, credentials):
        self._heard += credentials

    def told(self):
        heard, self._heard = self._heard, []
        return heard

    def error(self):
        [standing] = self.standings
        return standing.error


def legacy(*users):
    return inventory(
        databases=[database("legacy", kind=DatabaseKind.STATIC, place=None, handed_on=tuple(users))]
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "batch.password"
    path.write_text("first-password\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def batch(file):
    return legacy(HandedOnUser("batch", str(file)))


@pytest.fixture
def keeper(batch):
    keeper = Keeper()
    keeper.take_inventory(batch)
    return keeper


def replaced(file, text):
    """As careful writers do it: another file takes the name."""
    fresh = file.with_name("fresh")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.rename(file)


def test_a_file_is_read_at_once(keeper, file):
    [credential] = keeper.told()
    assert (credential.key, credential.kind, credential.username) == (KEY, "handed-on", "batch")
    assert (credential.current.get_secret_value(), credential.previous) == ("first-password", None)
    assert keeper.standings == (
        HandedOnStanding(KEY, "batch", "legacy", "password_file", str(file), 1000.0, None),
    )


def test_an_unchanged_file_gives_the_same_credential(keeper, batch):
    first = keeper.told()
    keeper.take_inventory(batch)
    assert keeper.told() == first


def test_an_unchanged_file_is_not_read_again(keeper, monkeypatch):
    keeper.told()
    monkeypatch.setattr("rotator.handed_on.read_password", lambda _: pytest.fail("it was read"))
    keeper.check_files()
    assert keeper.told() == []


@pytest.mark.parametrize("change", [replaced, lambda file, text: file.write_text(text)])
def test_a_file_that_was_replaced_is_read(keeper, file, change):
    """By rename or in place; the password before it is kept beside it."""
    [first] = keeper.told()
    change(file, "the-second-password\n")
    keeper.check_files()
    [second] = keeper.told()
    assert second.version != first.version
    assert (second.current.get_secret_value(), second.previous) == ("the-second-password", first.current)


def test_a_version_says_nothing_of_the_password(batch):
    """Two instances give the same password different versions: none can be looked up in a table."""
    versions = set()
    for _ in range(2):
        keeper = Keeper()
        keeper.take_inventory(batch)
        versions |= {credential.version for credential in keeper.told()}
    assert len(versions) == 2


def test_the_last_good_password_survives_a_bad_mode_and_the_error_goes_with_it(keeper, file, batch):
    good = keeper.told()
    file.chmod(0o644)
    keeper.check_files()
    assert keeper.told() == []
    assert "chmod 0600" in keeper.error()
    keeper.take_inventory(batch)
    assert keeper.told() == good
    file.chmod(0o600)
    keeper.check_files()
    assert keeper.error() is None


def test_a_file_that_goes_and_comes_back(keeper, file, batch):
    [first] = keeper.told()
    file.unlink()
    keeper.check_files()
    assert "No such file" in keeper.error()
    keeper.take_inventory(batch)
    assert keeper.told() == [first]
    replaced(file, "the-second-password\n")
    keeper.check_files()
    [second] = keeper.told()
    assert (keeper.error(), second.previous) == (None, first.current)


def test_a_refused_password_is_read_again_at_once_and_answered(keeper, file):
    keeper.told()
    replaced(file, "the-second-password\n")
    told_by_then = []
    assert keeper.look_now(KEY, lambda: told_by_then.extend(keeper.told())) is True
    assert [c.current.get_secret_value() for c in told_by_then] == ["the-second-password"]


def test_whoever_is_not_handed_on_is_somebody_elses(keeper):
    assert keeper.look_now("elasticache/us-east-1/1/user/app", lambda: pytest.fail("answered")) is False


def test_one_bad_file_keeps_no_other_back(file, tmp_path):
    keeper = Keeper()
    keeper.take_inventory(
        legacy(HandedOnUser("missing", str(tmp_path / "nothing")), HandedOnUser("batch", str(file)))
    )
    assert [credential.key for credential in keeper.told()] == [KEY]
    assert [standing.error is None for standing in keeper.standings] == [True, False]


def test_a_user_that_goes_is_forgotten(keeper, batch):
    keeper.told()
    keeper.take_inventory(legacy())
    assert (keeper.standings, keeper.has_files, keeper.told()) == ((), False, [])


def test_a_user_that_is_read_from_another_file_keeps_its_password_until_then(keeper, batch, tmp_path):
    [first] = keeper.told()
    keeper.take_inventory(legacy(HandedOnUser("batch", str(tmp_path / "not-yet"))))
    assert keeper.told() == [first]
    assert "not-yet" in keeper.error()


def test_nothing_shows_the_password(keeper, file):
    assert "first-password" not in repr(keeper.standings) + repr(keeper.told())
    file.write_text("first-password\nfirst-password\n")
    keeper.check_files()
    assert "first-password" not in keeper.error()


# The job that watches.


async def test_files_are_watched_while_there_are_any(keeper, file, monkeypatch):
    """Nobody asks: the replaced file is found by the schedule's own job, which is there only for files."""
    monkeypatch.setattr(schedule, "_WATCH_EVERY", 0.01)
    found = asyncio.Event()

    def check():
        keeper.check_files()
        if keeper.told():
            found.set()

    keeper.told()
    async with asyncio.TaskGroup() as group:
        jobs = Schedule(_nothing, timedelta(days=1), group)
        jobs._scheduler.start()
        try:
            jobs.watch(check)
            jobs.watch(check)
            assert [job.id for job in jobs._scheduler.get_jobs()] == ["files"]
            replaced(file, "the-second-password\n")
            async with asyncio.timeout(10):
                await found.wait()
            jobs.watch(None)
            jobs.watch(None)
            assert jobs._scheduler.get_jobs() == []
        finally:
            jobs.stop()


async def _nothing():
    return None
