"""Users through both services' APIs, and whole rotations of users as discovery finds them."""

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from discovery.aws import Sessions
from discovery.errors import ConflictError, NotFoundError
from discovery.model import Authentication, Service, Tls, UserKey, UserState, UserStatus
from discovery.scanner import Scanner
from discovery.settings import DiscoverySettings
from discovery.sources.configured import configured_sources
from rotator.accounts import Accounts
from rotator.engine import Engine, Result
from rotator.users import ElastiCacheUsers, MemoryDBUsers
from rotator.verify import RealLogins
from tests.rotator.instances import PREFIX
from tests.rotator.records import INTERVAL, user

PASSWORDS = ("first-password-of-two", "second-password-of-two")
ACTIVE = UserState(UserStatus.ACTIVE, Authentication.PASSWORD, enabled=True, password_count=1)


@pytest.fixture(params=["elasticache", "memorydb"])
def service(request):
    return request.param


@pytest.fixture
def api(service, aws_session):
    return {"elasticache": ElastiCacheUsers, "memorydb": MemoryDBUsers}[service](aws_session)


def create(sandbox, service, name, **options):
    make = sandbox.create_memorydb_user if service == "memorydb" else sandbox.create_user
    return make(name, **options)


async def test_a_user_is_described_alone_and_among_all(sandbox, service, api, unique):
    create(sandbox, service, unique)
    create(sandbox, service, f"{unique}-off", access_string="off ~* +@all")
    assert await api.describe(unique) == ACTIVE
    everybody = await api.describe_all()
    assert everybody[unique] == ACTIVE
    assert everybody[f"{unique}-off"] == replace(ACTIVE, enabled=False)


async def test_a_user_that_does_not_exist_is_none(api):
    assert await api.describe("nobody") is None
    with pytest.raises(NotFoundError):
        await api.set_passwords("nobody", (SecretStr(PASSWORDS[0]),))


async def test_the_list_of_passwords_is_replaced_whole(sandbox, service, api, unique):
    create(sandbox, service, unique)
    await api.set_passwords(unique, tuple(map(SecretStr, PASSWORDS)))
    await asyncio.to_thread(sandbox.settle)
    assert sandbox.passwords(unique, service=service) == list(PASSWORDS)
    assert await api.describe(unique) == replace(ACTIVE, password_count=2)
    await api.set_passwords(unique, (SecretStr(PASSWORDS[1]),))
    await asyncio.to_thread(sandbox.settle)
    assert sandbox.passwords(unique, service=service) == [PASSWORDS[1]]


async def test_a_user_that_is_being_modified_is_a_conflict(sandbox, service, api, unique):
    create(sandbox, service, unique)
    sandbox.set_modify_delay(60)
    try:
        await api.set_passwords(unique, (SecretStr(PASSWORDS[0]),))
        found = await api.describe(unique)
        assert found is not None
        assert found.status is UserStatus.MODIFYING
        with pytest.raises(ConflictError):
            await api.set_passwords(unique, (SecretStr(PASSWORDS[1]),))
    finally:
        sandbox.set_modify_delay(0.02)


class Deaf:
    """Nobody listens."""

    def observed(self, *_):
        pass

    def stepped(self, *_):
        pass


async def acknowledged(*_):
    return True


@pytest.fixture
def sessions(sandbox, monkeypatch):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    opened = Sessions()
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", ["elasticache", "elasticache-serverless", "memorydb"])
async def test_a_discovered_cluster_mode_user_is_rotated_on_every_endpoint(sandbox, sessions, unique, kind):
    """From tag to password, with nothing between discovery and the engine, for every kind with cluster mode on."""
    service = Service.MEMORYDB if kind == "memorydb" else Service.ELASTICACHE
    create(sandbox, service, unique, managed=True)
    match kind:
        case "elasticache":
            nodes = sandbox.create_replication_group(f"{unique}-db", [unique], cluster=True)
        case "elasticache-serverless":
            nodes = sandbox.create_serverless_cache(f"{unique}-db", [unique])
        case _:
            nodes = sandbox.create_memorydb_cluster(f"{unique}-db", [unique])
    settings = DiscoverySettings.model_validate({"sources": [{"types": [kind]}]})
    scanner = Scanner(configured_sources(settings, [], sessions, default_region=sandbox.region))
    inventory = await scanner.scan()
    [found] = [one for one in inventory.users.values() if one.key.id == unique]
    assert (found.key.service, found.managed) == (service, True)
    databases = [replace(one, tls=Tls(ca_file=str(sandbox.ca_file))) for one in inventory.databases_of(found)]
    assert {end.port for one in databases for end in one.endpoints} == {node.port for node in nodes}

    account = Accounts(sessions, secret_prefix=PREFIX, kms_key_id=None).of(found)
    assert account is not None
    engine = Engine(
        interval=INTERVAL,
        verifier=RealLogins(timeout=5, ca_file=None),
        listener=Deaf(),
        acknowledged=acknowledged,
        sleep=lambda _: asyncio.sleep(0.01),
        chance=lambda: 1.0,
    )
    outcome = await engine.run(found, databases, account, None)

    assert outcome.result is Result.ADOPTED
    assert [step for step in outcome.steps if step != "settle"] == ["seed", "stage", "apply", "promote"]
    password = outcome.secret.current.password.get_secret_value()
    assert sandbox.passwords(unique, service=service) == [password]
    for node in nodes:
        with sandbox.redis(node, unique, password) as client:
            assert client.ping()
    name = f"{PREFIX}{service}/{sandbox.region}/{sandbox.account}/user/{unique}"
    described = sandbox.boto3("secretsmanager").describe_secret(SecretId=name)
    assert described["Name"] == name


async def test_each_service_has_doors_of_its_own_and_one_vault(sandbox, sessions):
    await sessions.open(sandbox.region)
    accounts = Accounts(sessions, secret_prefix=PREFIX, kms_key_id=None)
    create(sandbox, "elasticache", "same-name", managed=True)
    create(sandbox, "memorydb", "same-name", access_string="off ~* +@all")
    states = {}
    for service in Service:
        account = accounts.of(
            user("same-name", key=UserKey(service, sandbox.account, sandbox.region, "same-name"))
        )
        assert account is not None
        states[service] = await account.reads.read("same-name")
    assert states == {Service.ELASTICACHE: ACTIVE, Service.MEMORYDB: replace(ACTIVE, enabled=False)}
