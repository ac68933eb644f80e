"""What MemoryDB's answers mean; that which all kinds share is tested with ElastiCache's."""

from dataclasses import replace

import pytest

from discovery.model import Authentication, Database, DatabaseKind, Endpoint, Service, UserKey, UserStatus
from discovery.sources.listing import Listing
from discovery.sources.memorydb_records import cluster
from discovery.sources.users import MEMORYDB_USERS
from discovery.tags import EVERYTHING
from tests.discovery.elasticache_answers import PLACE, endpoint

HOST = "orders.abc123.memorydb.us-east-1.amazonaws.com"


def arn(kind, name):
    return f"arn:aws:memorydb:{PLACE.region}:{PLACE.account}:{kind}/{name}"


def a_cluster(name="orders", **changes):
    """A cluster of two shards, the second of which has a node that is still being made."""
    shards = [
        {"Name": shard, "Nodes": [{"Name": node, "Endpoint": endpoint(node)}]}
        for shard, node in (("0001", f"{name}-0001-001"), ("0002", f"{name}-0002-001"))
    ]
    shards[1]["Nodes"].append({"Name": f"{name}-0002-002", "Status": "creating"})
    return {
        "Name": name,
        "ARN": arn("cluster", name),
        "Description": f"The {name}",
        "Status": "available",
        "Engine": "valkey",
        "EngineVersion": "7.2",
        "TLSEnabled": True,
        "ACLName": "staff",
        "ClusterEndpoint": endpoint(f"clustercfg.{HOST}"),
        "Shards": shards,
    } | changes


def a_user(name="app", **changes):
    return {
        "Name": name,
        "ARN": arn("user", name),
        "Status": "active",
        "AccessString": "on ~* +@all",
        "ACLNames": ["staff"],
        "Authentication": {"Type": "password", "PasswordCount": 1},
    } | changes


def listed(clusters, users=()):
    return replace(Listing.of(MEMORYDB_USERS, map(cluster, clusters)), users=tuple(users))


def read(clusters, users=(), tags=None):
    return listed(clusters, users).answer(tags or {}, place=PLACE, selector=EVERYTHING)


def test_a_cluster_is_one_database_with_the_nodes_of_all_its_shards():
    [found] = read([a_cluster()], tags={arn("cluster", "orders"): {"env": "prod"}}).databases
    assert found.database == Database(
        name="orders",
        kind=DatabaseKind.MEMORYDB,
        endpoint=Endpoint(f"clustercfg.{HOST}", 6379),
        place=PLACE,
        resource_id="orders",
        cluster_mode=True,
        nodes=(Endpoint("orders-0001-001", 6379), Endpoint("orders-0002-001", 6379)),
        labels={
            "env": "prod",
            "region": "us-east-1",
            "account-id": "111111111111",
            "engine": "valkey",
            "engine-version": "7.2",
            "endpoint-type": "cluster",
        },
        engine="valkey",
        engine_version="7.2",
        description="The orders",
    )
    assert found.key == f"{arn('cluster', 'orders')}/cluster"
    assert found.suffix == "-memorydb-us-east-1-111111111111"


@pytest.mark.parametrize(
    ("changes", "reason", "passing"),
    [
        ({"Status": "creating", "ClusterEndpoint": None}, "it is creating", True),
        ({"Status": "deleting"}, "it is deleting", True),
        ({"Status": "create-failed"}, "it is create-failed", True),
        ({"TLSEnabled": False, "ACLName": "open-access"}, "in-transit encryption is off", False),
        ({"TLSEnabled": None}, "in-transit encryption is off", False),
        ({"Engine": "hedis"}, "its engine is hedis", False),
        ({"ClusterEndpoint": None}, "it has no endpoint yet", True),
        ({"ClusterEndpoint": {"Port": 6379}}, "it has no endpoint yet", True),
    ],
)
def test_a_cluster_that_cannot_be_served_is_left_out_with_a_reason(changes, reason, passing):
    answer = read([a_cluster(**changes), a_cluster("other")], [a_user()])
    assert [one.database.name for one in answer.databases] == ["other"]
    [skipped] = answer.skipped
    assert skipped.resource == "MemoryDB cluster orders"
    assert skipped.reason.startswith(reason)
    assert skipped.passing is passing


@pytest.mark.parametrize("status", ["available", "updating", "snapshotting"])
def test_a_cluster_that_is_being_worked_on_is_served(status):
    assert read([a_cluster(Status=status)]).databases


def test_without_shard_details_the_endpoint_is_left():
    [found] = read([a_cluster(Shards=[])]).databases
    assert found.database.endpoints == (found.database.endpoint,)


def test_users_reach_the_clusters_of_their_acls():
    answer = read(
        [a_cluster("orders"), a_cluster("stock"), a_cluster("carts", ACLName="robots")],
        [
            a_user("app"),
            a_user("robot", ACLNames=["robots", "unused"]),
            a_user("both", ACLNames=["robots", "staff"]),
            a_user("nobody", ACLNames=[]),
            a_user("elsewhere", ACLNames=["unused"]),
        ],
    )
    orders, stock, carts = (f"{arn('cluster', name)}/cluster" for name in ("orders", "stock", "carts"))
    assert {one.name: one.databases for one in answer.users} == {
        "app": (orders, stock),
        "robot": (carts,),
        "both": (carts, orders, stock),
    }


def test_an_open_access_cluster_is_served_and_has_no_users():
    listing = listed([a_cluster(ACLName="open-access")], [a_user("default", ACLNames=["open-access"])])
    answer = listing.answer({}, place=PLACE, selector=EVERYTHING)
    assert [one.database.name for one in answer.databases] == ["orders"]
    assert answer.users == ()
    assert not listing.has_groups  # and nobody has to be asked for
    assert listing.arns_of_interest() == (arn("cluster", "orders"),)


def test_a_users_name_is_its_id():
    tags = {arn("user", "app"): {"teleport.dev/managed": ""}}
    [found] = read([a_cluster()], [a_user()], tags).users
    assert found.key == UserKey(Service.MEMORYDB, "111111111111", "us-east-1", "app")
    assert str(found.key) == "memorydb/us-east-1/111111111111/user/app"
    assert (found.name, found.arn) == ("app", arn("user", "app"))
    assert found.status is UserStatus.ACTIVE
    assert found.managed
    assert found.enabled


@pytest.mark.parametrize("kind", ["password", "no-password", "iam"])
def test_every_authentication_is_read(kind):
    [found] = read([a_cluster()], [a_user(Authentication={"Type": kind})]).users
    assert found.authentication is Authentication(kind)


@pytest.mark.parametrize(
    ("authentication", "reason"),
    [
        ({"Type": "passkey"}, "it authenticates by 'passkey', which is not known"),
        ({}, "it authenticates by None, which is not known"),
        (None, "it authenticates by None, which is not known"),
    ],
)
def test_a_user_that_authenticates_otherwise_is_left_out(authentication, reason):
    answer = read([a_cluster()], [a_user(Authentication=authentication)])
    assert answer.users == ()
    assert [(one.resource, one.reason) for one in answer.skipped] == [("user app", reason)]


def test_a_user_that_its_access_string_turns_off_says_so():
    [found] = read([a_cluster()], [a_user(AccessString="off ~* +@all")]).users
    assert not found.enabled
