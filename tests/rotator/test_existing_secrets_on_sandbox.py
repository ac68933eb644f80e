"""Existing secrets that somebody else keeps, on the sandbox: followed, and their last good password kept."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from discovery.errors import RetryableError
from discovery.model import DatabaseKind, HandedOnUser, Role, SecretReference
from rotator.handed_on import HandedOnPasswords, HandedOnStanding
from tests.rotator.records import database, inventory


class Keeper:
    """Handed-on passwords that follow secrets, as long as this is entered."""

    def __init__(self, home, *names, opened=None):
        self.told = asyncio.Queue()
        self.asked_for = []
        self._home = home
        self._users = tuple(
            HandedOnUser(name, secret=SecretReference(name, home.sandbox.region)) for name in names
        )
        self.passwords = HandedOnPasswords(
            opened or self._open, on_credentials=self._hear, clock=lambda: 1000.0, chance=lambda: 0.0
        )

    async def _open(self, region, role):
        self.asked_for.append((region, role))
        return self._home.session

    def _hear(self, credentials):
        for credential in credentials:
            self.told.put_nowait(credential)

    async def __aenter__(self):
        self._group = await asyncio.TaskGroup().__aenter__()
        self._running = self._group.create_task(self.passwords.run())
        self.take(*self._users)
        return self

    async def __aexit__(self, *error):
        self._running.cancel()
        await self._group.__aexit__(*error)

    def take(self, *users):
        one = database("legacy", kind=DatabaseKind.STATIC, place=None, handed_on=users)
        self.passwords.take_inventory(inventory(databases=[one]))

    async def next(self):
        """The next credential that is told."""
        async with asyncio.timeout(30):
            return await self.told.get()

    async def looked(self, user):
        """Its standing after it was read again, because a database refused it."""
        done = asyncio.Event()
        assert self.passwords.look_now(key_of(user), done.set)
        async with asyncio.timeout(30):
            await done.wait()
        return next(one for one in self.passwords.standings if one.name == user)


def key_of(user):
    return f"static/legacy/user/{user}"


def text(credential):
    return credential.current.get_secret_value()


def login(username, password, **more):
    return json.dumps({"username": username, "password": password} | more)


@pytest.fixture
def secret(home, unique):
    """A secret of somebody else's, with the login of a user of the same name."""
    home.secretsmanager.create_secret(Name=unique, SecretString=login(unique, "first-password"))
    return unique


async def test_what_a_secret_holds_is_handed_on(home, secret):
    version = home.secretsmanager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    async with Keeper(home, secret) as keeper:
        credential = await keeper.next()
        assert (credential.key, credential.kind, credential.username) == (key_of(secret), "handed-on", secret)
        assert (text(credential), credential.previous) == ("first-password", None)
        assert credential.version in version
        assert keeper.passwords.standings == (
            HandedOnStanding(key_of(secret), secret, "legacy", "secret", secret, 1000.0, None),
        )


async def test_somebody_elses_rotation_is_followed(home, unique):
    """As AWS's own rotation does it: both passwords are valid, then AWSCURRENT moves. At no time does a login fail."""
    subject = home.add_user(unique)
    subject.set_passwords("somebodys-first-0123456789")
    home.secretsmanager.create_secret(Name=unique, SecretString=login(unique, "somebodys-first-0123456789"))
    async with Keeper(home, unique) as keeper:
        first = await keeper.next()
        assert subject.logs_in(text(first)) == [True, True]

        subject.set_passwords("somebodys-first-0123456789", "somebodys-second-0123456789")
        assert subject.logs_in(text(first)) == [True, True]
        home.secretsmanager.put_secret_value(
            SecretId=unique, SecretString=login(unique, "somebodys-second-0123456789")
        )
        keeper.passwords.read_secrets()
        second = await keeper.next()
        assert text(second) == "somebodys-second-0123456789"
        assert second.previous == first.current
        assert subject.logs_in(text(second)) == [True, True]


async def test_an_unchanged_secret_is_told_once(home, secret):
    async with Keeper(home, secret) as keeper:
        await keeper.next()
        assert (await keeper.looked(secret)).error is None
        assert keeper.told.empty()


async def test_a_refused_password_is_read_again_at_once(home, secret):
    """The answer comes after what was read: a proxy that waits for it finds the new password."""
    async with Keeper(home, secret) as keeper:
        await keeper.next()
        home.secretsmanager.put_secret_value(SecretId=secret, SecretString=login(secret, "second-password"))
        await keeper.looked(secret)
        assert text(keeper.told.get_nowait()) == "second-password"


async def test_another_version_of_the_same_password_keeps_the_one_before(home, secret):
    async with Keeper(home, secret) as keeper:
        first = await keeper.next()
        for password in ("second-password", "second-password"):
            home.secretsmanager.put_secret_value(SecretId=secret, SecretString=login(secret, password))
            await keeper.looked(secret)
        second, again = keeper.told.get_nowait(), keeper.told.get_nowait()
        assert again.version != second.version
        assert again.previous == second.previous == first.current


async def test_a_secret_need_not_say_whose_it_is(home, unique):
    """A missing username says nothing against it, and further keys are of no interest."""
    value = json.dumps({"password": "first-password", "host": "redis", "port": 6379})
    home.secretsmanager.create_secret(Name=unique, SecretString=value)
    async with Keeper(home, unique) as keeper:
        assert text(await keeper.next()) == "first-password"


BAD = {
    "not JSON": ("first-password", "is not a JSON object"),
    "another kind of JSON": ('["first-password"]', "is not a JSON object"),
    "too deep": ("[" * 50_000, "is not a JSON object"),
    "no password": ('{"username": "USER"}', "holds no password"),
    "an empty password": ('{"username": "USER", "password": ""}', "holds no password"),
    "a password that is no text": ('{"username": "USER", "password": 7}', "holds no password"),
    "another username": ('{"username": "other", "password": "first-password"}', "another username"),
    "binary": (b"\x00\xff", "is binary"),
}


@pytest.mark.parametrize(("value", "said"), BAD.values(), ids=BAD.keys())
async def test_what_is_wrong_is_said_and_the_last_good_one_kept(home, secret, value, said):
    """The words name secret and user and say what to do; nothing of the value is in them."""
    async with Keeper(home, secret) as keeper:
        await keeper.next()
        kind = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        put = value if isinstance(value, bytes) else value.replace("USER", secret)
        home.secretsmanager.put_secret_value(SecretId=secret, **{kind: put})
        with capture_logs() as logs:
            standing = await keeper.looked(secret)
            await keeper.looked(secret)
        assert standing.error.startswith(f"secret {secret} of user {secret} ")
        assert said in standing.error
        assert "first-password" not in standing.error
        assert standing.read_at == 1000.0
        assert keeper.told.empty()
        assert [(one["event"], one["last_good_kept"]) for one in logs] == [("secret_unusable", True)]

        home.secretsmanager.put_secret_value(SecretId=secret, SecretString=login(secret, "mended-password"))
        assert (await keeper.looked(secret)).error is None
        assert text(keeper.told.get_nowait()) == "mended-password"


async def test_a_secret_that_is_not_there_yet(home, unique):
    async with Keeper(home, unique) as keeper:
        standing = await keeper.looked(unique)
        assert f"does not exist in {home.sandbox.region}" in standing.error
        assert standing.read_at is None
        home.secretsmanager.create_secret(Name=unique, SecretString=login(unique, "first-password"))
        keeper.passwords.read_secrets()
        assert text(await keeper.next()) == "first-password"


async def test_a_secret_that_is_scheduled_for_deletion(home, secret):
    async with Keeper(home, secret) as keeper:
        await keeper.next()
        home.secretsmanager.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
        assert "restore-secret" in (await keeper.looked(secret)).error
        home.secretsmanager.restore_secret(SecretId=secret)
        assert (await keeper.looked(secret)).error is None


async def test_a_missing_permission_is_named(home, secret):
    fault = home.sandbox.fault(
        "secretsmanager", "GetSecretValue", "fail", count=None, code="AccessDeniedException", status=400
    )
    async with Keeper(home, secret) as keeper:
        await keeper.next()
        with fault:
            assert "secretsmanager:GetSecretValue" in (await keeper.looked(secret)).error
        assert keeper.told.empty()


async def test_one_that_hangs_or_fails_keeps_no_other_back(home, secret, unique):
    """While AWS says nothing of one secret, and another does not exist, the third is read, and read again."""
    hanging = f"{unique}-hanging"
    home.secretsmanager.create_secret(Name=hanging, SecretString=login(hanging, "late-password"))
    with home.sandbox.fault("secretsmanager", "GetSecretValue", "hold", match=hanging) as held:
        async with Keeper(home, hanging, f"{unique}-missing", secret) as keeper:
            await asyncio.to_thread(held.wait)
            assert text(await keeper.next()) == "first-password"
            home.secretsmanager.put_secret_value(
                SecretId=secret, SecretString=login(secret, "second-password")
            )
            keeper.passwords.read_secrets()
            assert text(await keeper.next()) == "second-password"
            held.release()
            assert text(await keeper.next()) == "late-password"


async def test_what_passes_is_tried_again_without_being_asked(home, secret):
    """No answer at the start must not leave a user without a password until the next discovery."""
    answers = [RetryableError("sts:AssumeRole got no answer", operation="sts:AssumeRole", code="Timeout")] * 2

    async def opened(_region, _role):
        if answers:
            raise answers.pop()
        return home.session

    async with Keeper(home, secret, opened=opened) as keeper:
        assert text(await keeper.next()) == "first-password"
        assert keeper.passwords.standings[0].error is None


async def test_a_secret_is_read_through_its_own_role(home, secret):
    role = Role("arn:aws:iam::210987654321:role/reader", "shared-word")
    async with Keeper(home) as keeper:
        keeper.take(HandedOnUser(secret, secret=SecretReference(secret, "eu-west-1", role)))
        await keeper.next()
    assert keeper.asked_for == [("eu-west-1", role)]


async def test_an_interval_that_passes_while_a_secret_is_read_adds_no_reading(home, secret):
    began, gate, opened = asyncio.Event(), asyncio.Event(), []

    async def slowly(region, _role):
        opened.append(region)
        began.set()
        await gate.wait()
        return home.session

    async with Keeper(home, secret, opened=slowly) as keeper:
        await began.wait()
        keeper.passwords.read_secrets()
        gate.set()
        await keeper.next()
        assert len(opened) == 1
        await keeper.looked(secret)
        assert len(opened) == 2


async def test_a_refusal_while_a_secret_is_read_is_answered_by_the_next_reading(home, secret):
    """The reading that was under way may have begun before the password was changed."""
    with home.sandbox.fault("secretsmanager", "GetSecretValue", "hold", when="after", match=secret) as held:
        async with Keeper(home, secret) as keeper:
            await asyncio.to_thread(held.wait)
            home.secretsmanager.put_secret_value(
                SecretId=secret, SecretString=login(secret, "second-password")
            )
            looked = keeper._group.create_task(keeper.looked(secret))
            await asyncio.sleep(0)
            held.release()
            assert (await looked).error is None
            assert [text(keeper.told.get_nowait()) for _ in range(2)] == ["first-password", "second-password"]


async def test_a_user_that_goes_is_answered_and_no_longer_read(home, secret):
    with home.sandbox.fault("secretsmanager", "GetSecretValue", "hold", match=secret) as held:
        async with Keeper(home, secret) as keeper:
            await asyncio.to_thread(held.wait)
            answered = asyncio.Event()
            keeper.passwords.look_now(key_of(secret), answered.set)
            keeper.take()
            assert answered.is_set()
            assert keeper.passwords.standings == ()
            await asyncio.sleep(0)
            assert f"read {key_of(secret)}" not in {task.get_name() for task in asyncio.all_tasks()}
            held.release()
