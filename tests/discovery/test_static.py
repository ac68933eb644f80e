"""Static databases: what the configuration says of them, and what of AWS they are recognised in."""

import pytest
from pydantic import TypeAdapter

from discovery.aws import Sessions
from discovery.errors import ConfigurationError
from discovery.model import (
    Database,
    DatabaseKind,
    Endpoint,
    HandedOnUser,
    Role,
    SecretReference,
    Tls,
)
from discovery.settings import DiscoverySettings
from discovery.source import Answer, Skipped
from discovery.sources.configured import asks_aws, configured_sources
from discovery.sources.stand_ins import Sought, sought, with_stand_ins
from discovery.sources.static import StaticSource
from discovery.static_settings import StaticDatabases
from tests.discovery.records import answer, database, key, user

ARN = "arn:aws:iam::222233334444:role/valkeeper"
ROLE = Role(ARN, "an-external-id")
ELASTICACHE_HOST = "master.orders.ab12cd.euw1.cache.amazonaws.com"
MEMORYDB_HOST = "clustercfg.orders.ab12cd.memorydb.eu-west-1.amazonaws.com"


def read(*sections):
    named = [
        {"name": f"db{number}", "uri": "rediss://redis.internal.example"} | section
        for number, section in enumerate(sections)
    ]
    return TypeAdapter(StaticDatabases).validate_python(named)


def on(host, **aws):
    return {"uri": f"rediss://{host}:6379"} | ({"aws": aws} if aws else {})


async def test_a_static_database_is_what_the_configuration_says():
    settings = read(
        {
            "name": "legacy",
            "tls": {"ca_file": "/etc/ca.pem"},
            "labels": {"env": "prod"},
            "description": "The old one",
            "users": [{"name": "batch", "password_file": "/run/batch.password"}],
        }
    )
    answer = await StaticSource(settings).read()
    [found] = answer.databases
    assert found.fixed
    assert found.sought_in == ()
    assert found.database == Database(
        name="legacy",
        kind=DatabaseKind.STATIC,
        endpoint=Endpoint("redis.internal.example", 6379),
        tls=Tls(ca_file="/etc/ca.pem"),
        labels={"env": "prod"},
        handed_on=(HandedOnUser("batch", "/run/batch.password"),),
        description="The old one",
    )
    assert answer.users == ()


async def test_a_cluster_is_one_if_its_uri_says_so():
    found = (await StaticSource(read({"uri": "rediss://redis.example?mode=cluster"}, {})).read()).databases
    assert [one.database.cluster_mode for one in found] == [True, False]


@pytest.mark.parametrize(
    ("section", "secret", "default", "region"),
    [
        ({}, "arn:aws:secretsmanager:sa-east-1:111111111111:secret:app-AbCdEf", None, "sa-east-1"),
        (
            on(ELASTICACHE_HOST),
            "arn:aws-cn:secretsmanager:cn-north-1:1" + "1" * 11 + ":secret:a",
            "x",
            "cn-north-1",
        ),
        (on(ELASTICACHE_HOST, region="us-west-2"), "prod/app", "us-east-1", "us-west-2"),
        (on(ELASTICACHE_HOST), "prod/app", "us-east-1", "eu-west-1"),
        (on(MEMORYDB_HOST), "prod/app", None, "eu-west-1"),
        ({}, "prod/app", "us-east-1", "us-east-1"),
    ],
)
async def test_a_secret_is_where_its_arn_the_database_or_the_default_says(section, secret, default, region):
    settings = read(section | {"users": [{"name": "app", "secret": secret}]})
    [found] = (await StaticSource(settings, default_region=default).read()).databases
    assert found.database.handed_on == (HandedOnUser("app", secret=SecretReference(secret, region)),)


async def test_a_secret_is_read_by_the_role_of_its_database():
    aws = {"assume_role_arn": ARN, "external_id": "an-external-id"}
    settings = read({"aws": aws, "users": [{"name": "app", "secret": "prod/app"}]})
    [found] = (await StaticSource(settings, default_region="us-east-1").read()).databases
    assert found.database.handed_on[0].secret == SecretReference("prod/app", "us-east-1", ROLE)


def test_a_secret_without_a_region_is_named_with_what_to_do():
    settings = read({}, {"users": [{"name": "a", "password_file": "x"}, {"name": "b", "secret": "prod/app"}]})
    with pytest.raises(
        ConfigurationError, match=r"databases\[1\]\.users\[1\]\.secret.*aws\.region.*AWS_REGION"
    ):
        StaticSource(settings)


EVERY_KIND = (DatabaseKind.ELASTICACHE, DatabaseKind.SERVERLESS, DatabaseKind.MEMORYDB)


@pytest.mark.parametrize(
    ("section", "default", "expected"),
    [
        ({}, "us-east-1", None),
        ({"aws": {}}, "us-east-1", (EVERY_KIND, "us-east-1", None)),
        ({"aws": {"region": "us-west-2"}}, "us-east-1", (EVERY_KIND, "us-west-2", None)),
        ({"aws": {"region": "us-west-2", "type": "memorydb"}}, None, (EVERY_KIND[2:], "us-west-2", None)),
        (on(ELASTICACHE_HOST), None, (EVERY_KIND[:1], "eu-west-1", "orders")),
        (on(MEMORYDB_HOST.upper()), "us-east-1", (EVERY_KIND[2:], "eu-west-1", "orders")),
        (on(ELASTICACHE_HOST.replace("euw1", "moon1")), "us-east-1", (EVERY_KIND[:1], "us-east-1", "orders")),
        (
            {"aws": {"region": "us-west-2", "type": "elasticache", "resource_id": "o"}},
            None,
            (EVERY_KIND[:1], "us-west-2", "o"),
        ),
    ],
)
def test_host_and_hints_say_where_to_look(section, default, expected):
    [settings] = read(section)
    found = sought(settings, 0, default)
    assert (None if found is None else (found.kinds, found.region, found.resource_id)) == expected


def test_a_database_in_aws_without_a_region_is_named_with_what_to_do():
    [_, settings] = read({}, {"aws": {}})
    with pytest.raises(ConfigurationError, match=r"databases\[1\]\.aws\.region.*db1.*AWS_REGION"):
        sought(settings, 1, None)


# What a source's answer holds of it.

ORDERS = database("orders", resource_id="orders", labels={"endpoint-type": "primary"})
READER = database("orders-reader", resource_id="orders", labels={"endpoint-type": "reader"})
OTHER = database("other", resource_id="other", labels={"endpoint-type": "primary"})
ANSWER = answer(
    [READER, ORDERS, OTHER],
    [user("app", ["orders", "other"]), user("viewer", ["orders-reader"]), user("stranger", ["other"])],
    [Skipped("replication group Orders", "it is creating"), Skipped("replication group other", "no TLS")],
)


def looking(host="orders.example", port=6379, **changes):
    return Sought("static/legacy", Endpoint(host, port), EVERY_KIND, "us-east-1", **changes)


def marked(answer):
    return {one.database.name: one.stood_in_by for one in answer.databases if one.stood_in_by}


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (looking(), "orders"),
        (looking("ORDERS.example."), "orders"),
        (looking("orders-reader.example"), "orders-reader"),
        (looking(port=6380), None),
        (looking("alias.example"), None),
        (looking("alias.example", alias_of="orders"), "orders"),
        (looking("alias.example", alias_of="Orders"), "orders"),
        (looking("orders-reader.example", alias_of="orders"), "orders-reader"),
        (looking("alias.example", alias_of="gone"), None),
        (looking("alias.example", resource_id="orders"), None),  # an id read off a host name proves nothing
    ],
)
def test_a_static_database_means_the_same_endpoint_or_the_named_resource(wanted, meant):
    expected = {} if meant is None else {meant: ("static/legacy",)}
    every = with_stand_ins(ANSWER, [wanted], only=False)
    assert marked(every) == expected
    assert (every.users, every.skipped) == (ANSWER.users, ANSWER.skipped)
    assert [one.database for one in every.databases] == [one.database for one in ANSWER.databases]
    assert marked(with_stand_ins(ANSWER, [wanted], only=True)) == expected


def test_a_source_for_static_databases_alone_tells_of_these_their_users_and_why_they_are_left_out():
    found = with_stand_ins(ANSWER, [looking(resource_id="orders")], only=True)
    assert [one.database for one in found.databases] == [ORDERS]
    assert [(one.key.id, one.databases) for one in found.users] == [("app", (key("orders"),))]
    assert found.skipped == ANSWER.skipped[:1]
    assert with_stand_ins(ANSWER, [looking("gone.example")], only=True) == Answer()


# Which sources there are.


def sources(databases, section=None, *, default_region=None):
    settings = DiscoverySettings.model_validate(section or {"sources": []})
    return configured_sources(settings, databases, Sessions(), default_region=default_region)


def names(*arguments, **options):
    return [one.name for one in sources(*arguments, **options)]


def test_each_kind_region_and_role_that_static_databases_need_is_one_source():
    role = {"assume_role_arn": ARN}
    databases = read(
        on(ELASTICACHE_HOST),
        on("replica.carts.ab12cd.euw1.cache.amazonaws.com"),
        on(MEMORYDB_HOST),
        on(MEMORYDB_HOST, **role),
        on("10.0.0.1", region="us-east-1", type="elasticache-serverless"),
        {},
    )
    assert names(databases) == [
        "static",
        "elasticache/eu-west-1/static",
        "memorydb/eu-west-1/static",
        "memorydb/eu-west-1/static/2",
        "elasticache-serverless/us-east-1/static",
    ]


def test_where_the_kind_is_not_known_all_are_looked_through():
    assert names(read({"aws": {}}), default_region="us-east-1") == [
        "static",
        "elasticache/us-east-1/static",
        "elasticache-serverless/us-east-1/static",
        "memorydb/us-east-1/static",
    ]


@pytest.mark.parametrize(
    ("entry", "aws", "own"),
    [
        ({}, {}, False),
        ({"tags": {"*": "*", "env": "prod"}}, {}, False),
        ({"tags": {"env": "*"}}, {}, True),
        ({"regions": ["us-east-1"]}, {}, True),
        ({"types": ["elasticache"]}, {}, True),
        ({"assume_role_arn": ARN}, {}, True),
        ({"assume_role_arn": ARN}, {"assume_role_arn": ARN}, False),
        ({"assume_role_arn": ARN, "external_id": "xyz"}, {"assume_role_arn": ARN}, True),
        ({}, {"account_id": "222233334444"}, True),  # that has to be checked for these alone
    ],
)
async def test_a_source_that_reads_all_of_it_anyway_is_enough(entry, aws, own):
    section = {"sources": [{"types": ["memorydb"], "regions": ["eu-west-1"]} | entry]}
    found = sources(read(on(MEMORYDB_HOST, **aws)), section)
    assert ("memorydb/eu-west-1/static" in [one.name for one in found]) is own
    [static] = (await found[0].read()).databases
    assert static.sought_in == (("memorydb/eu-west-1/static",) if own else ("memorydb/eu-west-1",))


@pytest.mark.parametrize(
    ("section", "databases", "asks"),
    [
        ({}, [], True),
        ({"sources": []}, [], False),
        ({"sources": []}, [{"users": [{"name": "a", "password_file": "x"}]}], False),
        ({"sources": []}, [{"users": [{"name": "a", "secret": "x"}]}], True),
        ({"sources": []}, [{"aws": {}}], True),
        ({"sources": []}, [on(MEMORYDB_HOST)], True),
    ],
)
def test_whether_aws_is_needed_at_all(section, databases, asks):
    assert asks_aws(DiscoverySettings.model_validate(section), read(*databases)) is asks
