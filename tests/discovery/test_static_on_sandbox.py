"""Static databases on AWS endpoints, found through the real boto3 in the sandbox's accounts."""

import itertools
import os
from contextlib import contextmanager

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from discovery.aws import Sessions
from discovery.model import DatabaseKind, Endpoint, HandedOnUser, Place, Tls
from discovery.scanner import Scanner
from discovery.settings import DiscoverySettings
from discovery.sources.configured import configured_sources
from discovery.static_settings import StaticDatabases
from tests.discovery.region import DENIED, Region, managed, skipped

REGION = "eu-south-1"
_numbers = itertools.count(1)


@pytest.fixture
def sessions(sandbox, monkeypatch):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    opened = Sessions()
    yield opened
    opened.close()


@pytest.fixture
def other(sandbox):
    """Another account than the one whose credentials Valkeeper has."""
    return sandbox.open_account(f"5{os.getpid() % 10**8:08}{next(_numbers):03}")


def uri_of(account, database, number=0):
    node = account.nodes(database)[number]
    return f"rediss://{node.host}:{node.port}"


def scanner(sessions, databases, sources=()):
    settings = DiscoverySettings.model_validate({"sources": list(sources)})
    static = TypeAdapter(StaticDatabases).validate_python(databases)
    return Scanner(configured_sources(settings, static, sessions, default_region=REGION))


@contextmanager
def requests_of(sandbox):
    """The AWS requests that were made meanwhile, but for those of STS."""
    before = max((entry["sequence"] for entry in sandbox.requests()), default=0)
    made = []
    yield made
    made += [entry for entry in sandbox.requests(before) if entry["service"] != "sts"]


async def test_a_managed_user_of_a_static_database_is_found_in_another_account_through_a_role(
    sessions, sandbox, other
):
    home = Region(other, REGION, sessions)
    home.user("app", managed=True)
    home.user("viewer")
    home.user("stranger", managed=True)
    home.user_group("staff", ["app", "viewer"])
    home.user_group("strangers", ["stranger"])
    env = {"Key": "env", "Value": "test"}
    home.replication_group("orders", ["staff"], tags=[env], NumCacheClusters=1)
    home.replication_group("carts", ["strangers"], NumCacheClusters=1)
    arn = other.create_role("valkeeper", trusted=sandbox.account, external_id="an-external-id")
    legacy = {
        "name": "legacy",
        "uri": uri_of(other, "orders"),
        "tls": {"ca_file": "/etc/ca.pem"},
        "labels": {"env": "prod"},
        "description": "The old one",
        "users": [{"name": "batch", "password_file": "/run/batch.password"}],
        "aws": {
            "assume_role_arn": arn,
            "external_id": "an-external-id",
            "account_id": other.account,
            "type": "elasticache",
        },
    }
    scan = scanner(sessions, [legacy])
    with requests_of(sandbox) as made:
        inventory = await scan.scan()
    assert {entry["account"] for entry in made} == {other.account}
    assert [source.name for source in inventory.sources] == ["static", f"elasticache/{REGION}/static"]
    assert [source.error for source in inventory.sources] == [None, None]
    [database] = inventory.databases.values()
    assert database.name == "legacy"
    assert database.kind is DatabaseKind.ELASTICACHE
    assert database.place == Place(other.account, REGION)
    assert database.resource_id == "orders"
    assert database.tls == Tls(ca_file="/etc/ca.pem")
    assert database.description == "The old one"
    assert database.handed_on == (HandedOnUser("batch", "/run/batch.password"),)
    assert database.labels["env"] == "prod"
    assert database.labels["account-id"] == other.account
    assert database.engine_version is not None
    assert managed(inventory) == {"app": True, "viewer": False}
    assert {user.databases for user in inventory.users.values()} == {("legacy",)}
    assert {user.key.place for user in inventory.users.values()} == {database.place}
    assert sessions.at(database.place) is not None


async def test_without_hints_every_kind_is_looked_through_and_a_cluster_is_recognised(sessions, sandbox):
    home = Region(sandbox, REGION, sessions)
    home.memorydb_user("app", managed=True)
    home.acl("static-staff", ["app"])
    home.cluster("static-orders", "static-staff", replicas=1)
    scan = scanner(sessions, [{"name": "legacy", "uri": uri_of(sandbox, "static-orders"), "aws": {}}])
    with capture_logs() as logs:
        inventory = await scan.scan()
    assert skipped(logs) == []
    assert [source.name for source in inventory.sources if source.error is None] == [
        "static",
        f"elasticache/{REGION}/static",
        f"elasticache-serverless/{REGION}/static",
        f"memorydb/{REGION}/static",
    ]
    [database] = inventory.databases.values()
    assert (database.name, database.kind) == ("legacy", DatabaseKind.MEMORYDB)
    assert database.cluster_mode
    assert len(database.endpoints) == 2
    assert managed(inventory) == {"app": True}


async def test_a_source_that_is_there_anyway_is_not_read_twice_and_the_database_is_there_once(
    sessions, sandbox
):
    region = "eu-south-2"
    home = Region(sandbox, region, sessions)
    home.user("app", managed=True)
    home.user_group("staff", ["app"])
    home.replication_group("twice", ["staff"], NumCacheClusters=2)
    nodes = [Endpoint(node.host, node.port) for node in sandbox.nodes("twice")]
    aws = {"region": region, "type": "elasticache", "resource_id": "twice"}
    alias = {"name": "alias", "uri": "rediss://orders.internal.example:7000", "aws": aws}
    scan = scanner(sessions, [alias], [{"types": ["elasticache"], "regions": [region]}])
    await scan.scan()
    with requests_of(sandbox) as made:
        inventory = await scan.scan()
    assert len(made) == 4
    assert [source.name for source in inventory.sources] == ["static", f"elasticache/{region}"]
    assert list(inventory.databases) == ["alias", "twice-reader"]
    assert inventory.databases["alias"].endpoint == Endpoint("orders.internal.example", 7000)
    assert set(inventory.databases["alias"].nodes) == set(nodes)
    [app] = inventory.users.values()
    assert app.databases == ("alias", "twice-reader")


async def test_what_aws_does_not_know_is_served_all_the_same_and_named_once(sessions, sandbox):
    region = "ca-central-1"
    aws = {"region": region, "type": "memorydb"}
    scan = scanner(sessions, [{"name": "legacy", "uri": "rediss://10.0.0.1", "aws": aws}])
    with capture_logs() as logs:
        await scan.scan()
        inventory = await scan.scan()
    assert skipped(logs) == ["static database legacy"]
    [database] = inventory.databases.values()
    assert (database.kind, database.place) == (DatabaseKind.STATIC, None)

    # As long as nobody has looked there is nothing to say, and the database is served.
    scan = scanner(sessions, [{"name": "legacy", "uri": "rediss://10.0.0.1", "aws": aws}])
    with sandbox.fault("memorydb", "DescribeClusters", **DENIED), capture_logs() as logs:
        inventory = await scan.scan()
    assert skipped(logs) == []
    assert list(inventory.databases) == ["legacy"]


async def test_another_account_than_the_one_that_is_named_is_an_error_that_says_both(sessions, sandbox):
    aws = {"account_id": "999988887777", "type": "memorydb"}
    inventory = await scanner(sessions, [{"name": "legacy", "uri": "rediss://10.0.0.1", "aws": aws}]).scan()
    [_, source] = inventory.sources
    for part in ("999988887777", sandbox.account, "aws.assume_role_arn"):
        assert part in (source.error or "")
    assert list(inventory.databases) == ["legacy"]


async def test_a_role_that_cannot_be_assumed_fails_its_source_alone(sessions, sandbox, other):
    arn = other.create_role("closed", trusted=sandbox.account, external_id="an-external-id")
    aws = {"assume_role_arn": arn, "external_id": "a-wrong-one", "type": "memorydb"}
    databases = [
        {"name": "legacy", "uri": "rediss://10.0.0.1", "aws": aws},
        {"name": "other", "uri": "rediss://10.0.0.2", "aws": {"type": "memorydb"}},
    ]
    inventory = await scanner(sessions, databases).scan()
    errors = {source.name: source.error for source in inventory.sources}
    assert errors["static"] is None
    assert errors[f"memorydb/{REGION}/static/1"] is None
    said = errors[f"memorydb/{REGION}/static"] or ""
    assert arn in said
    assert "trust policy" in said
    assert list(inventory.databases) == ["legacy", "other"]


async def test_without_sources_and_without_aws_nothing_is_asked_of_it(sessions, sandbox):
    with requests_of(sandbox) as made:
        inventory = await scanner(sessions, [{"name": "legacy", "uri": "rediss://10.0.0.1"}]).scan()
    assert made == []
    assert [source.name for source in inventory.sources] == ["static"]
