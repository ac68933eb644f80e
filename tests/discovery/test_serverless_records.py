"""What DescribeServerlessCaches means; that which all kinds share is tested with replication groups."""

from dataclasses import replace

import pytest

from discovery.model import Database, DatabaseKind, Endpoint
from discovery.sources.listing import Listing
from discovery.sources.serverless_records import serverless_cache
from discovery.sources.users import ELASTICACHE_USERS
from discovery.tags import EVERYTHING
from tests.discovery.elasticache_answers import PLACE, endpoint, user

HOST = "carts-abc123.serverless.use1.cache.amazonaws.com"
ARN = f"arn:aws:elasticache:{PLACE.region}:{PLACE.account}:serverlesscache:carts"


def cache(**changes):
    """A cache with both endpoints and a user group."""
    return {
        "ServerlessCacheName": "carts",
        "ARN": ARN,
        "Description": "The carts",
        "Status": "available",
        "Engine": "valkey",
        "MajorEngineVersion": "8",
        "FullEngineVersion": "8.1",
        "UserGroupId": "staff",
        "Endpoint": endpoint(HOST),
        "ReaderEndpoint": endpoint(HOST, 6380),
    } | changes


def listed(raw, users=()):
    return replace(Listing.of(ELASTICACHE_USERS, [serverless_cache(raw)]), users=tuple(users))


def read(raw, users=()):
    return listed(raw, users).answer({ARN: {"env": "prod"}}, place=PLACE, selector=EVERYTHING)


def test_a_cache_is_a_database_for_its_endpoint_and_one_for_its_reader():
    primary, reader = read(cache()).databases
    labels = {
        "env": "prod",
        "region": "us-east-1",
        "account-id": "111111111111",
        "engine": "valkey",
        "engine-version": "8.1",
    }
    assert primary.database == Database(
        name="carts",
        kind=DatabaseKind.SERVERLESS,
        endpoint=Endpoint(HOST, 6379),
        place=PLACE,
        resource_id="carts",
        cluster_mode=True,
        labels=labels | {"endpoint-type": "primary"},
        engine="valkey",
        engine_version="8.1",
        description="The carts",
    )
    assert reader.database == replace(
        primary.database,
        name="carts-reader",
        endpoint=Endpoint(HOST, 6380),
        labels=labels | {"endpoint-type": "reader"},
    )
    assert (primary.key, reader.key) == (f"{ARN}/primary", f"{ARN}/reader")
    assert primary.suffix == "-elasticache-serverless-us-east-1-111111111111"


def test_a_cache_without_a_reader_endpoint_is_one_database():
    assert [one.database.name for one in read(cache(ReaderEndpoint=None)).databases] == ["carts"]


@pytest.mark.parametrize(
    ("full", "major", "version"),
    [
        ("7.1", "7", "7.1"),
        ("redis 7.1", "7", "7.1"),
        ("unknown", "7", "7"),
        (None, "8", "8"),
        (None, None, None),
        ("unknown", "", None),
    ],
)
def test_the_engine_version_is_the_most_exact_number_that_aws_tells(full, major, version):
    primary = read(cache(FullEngineVersion=full, MajorEngineVersion=major)).databases[0].database
    assert primary.engine_version == version
    assert primary.labels.get("engine-version") == version


@pytest.mark.parametrize(
    ("changes", "reason", "passing"),
    [
        ({"Engine": "memcached"}, "its engine is memcached", False),
        ({"Status": "creating", "Endpoint": None}, "it is creating", True),
        ({"Status": "CREATING"}, "it is creating", True),
        ({"Status": "DELETING"}, "it is deleting", True),
        ({"Status": "CREATE-FAILED"}, "it is create-failed", True),
        ({"Endpoint": None}, "it has no endpoint yet", True),
        ({"Endpoint": {"Port": 6379}}, "it has no endpoint yet", True),
    ],
)
def test_a_cache_that_cannot_be_served_is_left_out_with_a_reason(changes, reason, passing):
    answer = read(cache(**changes), [user()])
    assert (answer.databases, answer.users) == ((), ())
    [skipped] = answer.skipped
    assert skipped.resource == "serverless cache carts"
    assert skipped.reason.startswith(reason)
    assert skipped.passing is passing


@pytest.mark.parametrize("status", ["available", "AVAILABLE", "modifying", "MODIFYING"])
def test_a_cache_that_is_being_worked_on_is_served(status):
    assert read(cache(Status=status)).databases


def test_the_users_of_its_group_reach_both_endpoints():
    answer = read(cache(), [user("app"), user("robot", UserGroupIds=["robots"])])
    assert [(one.name, one.databases) for one in answer.users] == [
        ("app", (f"{ARN}/primary", f"{ARN}/reader"))
    ]


@pytest.mark.parametrize("group", [None, ""])
def test_without_a_user_group_nobody_is_asked_for(group):
    listing = listed(cache(UserGroupId=group), [user(UserGroupIds=[""])])
    assert not listing.has_groups
    assert listing.answer({}, place=PLACE, selector=EVERYTHING).users == ()
