from dataclasses import replace

import pytest

from discovery.model import Authentication, Database, DatabaseKind, Endpoint, Service, UserKey, UserStatus
from discovery.sources.elasticache_records import members, replication_group
from discovery.sources.listing import Listing
from discovery.sources.users import ELASTICACHE_USERS
from discovery.tags import EVERYTHING, parse_selector
from tests.discovery.elasticache_answers import PLACE, endpoint, group, group_arn, user, user_arn


def listed(groups, users=(), nodes=()):
    """The listing of what AWS answers; `nodes` are `CacheClusters` of DescribeCacheClusters."""
    known = members(nodes)
    listing = Listing.of(ELASTICACHE_USERS, [replication_group(raw, known) for raw in groups])
    return replace(listing, users=tuple(users))


def read(
    *, groups=(), users=(), nodes=(), tags=None, selector=EVERYTHING, managed_tag="teleport.dev/managed"
):
    listing = listed(groups, users, nodes)
    return listing.answer(tags or {}, place=PLACE, selector=selector, managed_tag=managed_tag)


def node(cluster_id, version="8.0.1", *addresses):
    """A cache cluster, with one node for each address (host names, or None for one that is being made)."""
    raw = {"CacheClusterId": cluster_id, "EngineVersion": version}
    nodes = [{"Endpoint": endpoint(address) if address else None} for address in addresses]
    return raw | ({"CacheNodes": nodes} if nodes else {})


SHARDS = ("orders-0001-001", "orders-0001-002", "orders-0002-001", "orders-0002-002")


def cluster_group(**changes):
    """A replication group with cluster mode on: two shards of two nodes, whose addresses it does not tell."""
    shards = [
        {
            "NodeGroupId": number,
            "NodeGroupMembers": [{"CacheClusterId": one} for one in SHARDS if number in one],
        }
        for number in ("-0001-", "-0002-")
    ]
    configuration = endpoint("clustercfg.orders.abc123.use1.cache.amazonaws.com")
    wish = {"ClusterEnabled": True, "ConfigurationEndpoint": configuration, "NodeGroups": shards}
    return group("orders", **wish | changes)


def names(answer):
    return [found.database.name for found in answer.databases]


def reasons(answer):
    return {one.resource: one.reason for one in answer.skipped}


def test_a_group_is_a_database_for_its_primary_and_one_for_its_reader():
    answer = read(
        groups=[group("orders")],
        nodes=[node("orders-001"), node("orders-002")],
        tags={group_arn("orders"): {"env": "prod"}},
    )
    primary, reader = answer.databases
    host = "orders.abc123.use1.cache.amazonaws.com"
    labels = {
        "env": "prod",
        "region": "us-east-1",
        "account-id": "111111111111",
        "engine": "valkey",
        "engine-version": "8.0.1",
    }
    assert primary.database == Database(
        name="orders",
        kind=DatabaseKind.ELASTICACHE,
        endpoint=Endpoint(f"master.{host}", 6379),
        place=PLACE,
        resource_id="orders",
        nodes=(Endpoint(f"orders-001.{host}", 6379), Endpoint(f"orders-002.{host}", 6379)),
        labels=labels | {"endpoint-type": "primary"},
        engine="valkey",
        engine_version="8.0.1",
        description="The orders",
    )
    assert reader.database.name == "orders-reader"
    assert reader.database.endpoint == Endpoint(f"replica.{host}", 6379)
    assert reader.database.labels == labels | {"endpoint-type": "reader"}
    assert reader.database.nodes == ()  # the primary's database has them all
    assert reader.suffix == "-elasticache-us-east-1-111111111111"
    assert primary.key != reader.key


def test_a_group_without_a_reader_endpoint_is_one_database():
    raw = group()
    del raw["NodeGroups"][0]["ReaderEndpoint"]
    assert names(read(groups=[raw])) == ["orders"]


def test_the_override_tag_names_both_endpoints():
    tags = {group_arn("orders"): {"TeleportDatabaseName": "shop"}}
    assert names(read(groups=[group()], tags=tags)) == ["shop", "shop-reader"]


def test_a_tag_cannot_pass_for_a_fact():
    tags = {group_arn("orders"): {"region": "eu-west-1", "account-id": "999999999999"}}
    [found, _] = read(groups=[group()], tags=tags).databases
    assert found.database.labels["region"] == "us-east-1"
    assert found.database.labels["account-id"] == "111111111111"


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [node("orders-001", "7.1.0")],
        [node("orders-001", "7.0.7"), node("orders-002", "7.1.0")],
        [node("orders-001", ""), node("orders-002", "")],
    ],
)
def test_an_engine_version_that_is_unknown_or_changing_is_left_out(nodes):
    [found, _] = read(groups=[group()], nodes=nodes).databases
    assert found.database.engine_version is None
    assert "engine-version" not in found.database.labels


@pytest.mark.parametrize(
    ("changes", "reason", "passing"),
    [
        ({"Status": "creating", "NodeGroups": []}, "it is creating", True),
        ({"Status": "deleting"}, "it is deleting", True),
        ({"Status": "create-failed"}, "it is create-failed", True),
        ({"TransitEncryptionEnabled": False}, "in-transit encryption is off", False),
        ({"Engine": "memcached"}, "its engine is memcached", False),
        ({"ClusterEnabled": True}, "it has no endpoint yet", True),
        ({"ClusterEnabled": True, "ConfigurationEndpoint": {"Port": 6379}}, "it has no endpoint yet", True),
        ({"NodeGroups": [{"NodeGroupId": "0001"}]}, "it has no endpoint yet", True),
        ({"NodeGroups": [{"PrimaryEndpoint": {"Port": 6379}}]}, "it has no endpoint yet", True),
    ],
)
def test_a_group_that_cannot_be_served_is_left_out_with_a_reason(changes, reason, passing):
    answer = read(groups=[group(**changes), group("other")], users=[user()])
    assert names(answer) == ["other", "other-reader"]
    [skipped] = answer.skipped
    assert skipped.resource == "replication group orders"
    assert skipped.reason.startswith(reason)
    assert skipped.passing is passing


@pytest.mark.parametrize("status", ["available", "modifying", "snapshotting"])
def test_a_group_that_is_being_worked_on_is_served(status):
    assert names(read(groups=[group(Status=status)])) == ["orders", "orders-reader"]


def test_with_cluster_mode_on_a_group_is_one_database_with_every_shards_nodes():
    nodes = [node(one, "7.1.0", f"{one}.orders.abc123.use1") for one in SHARDS]
    [found] = read(groups=[cluster_group()], nodes=nodes).databases
    database = found.database
    assert database.name == "orders"
    assert database.cluster_mode
    assert database.endpoint == Endpoint("clustercfg.orders.abc123.use1.cache.amazonaws.com", 6379)
    assert database.nodes == tuple(Endpoint(f"{one}.orders.abc123.use1", 6379) for one in SHARDS)
    assert database.engine_version == "7.1.0"
    assert database.labels["endpoint-type"] == "configuration"
    assert found.key == f"{group_arn('orders')}/configuration"


def test_a_configuration_endpoint_alone_says_cluster_mode():
    [found] = read(groups=[cluster_group(ClusterEnabled=None)]).databases
    assert found.database.cluster_mode


def test_nodes_that_are_unknown_being_made_or_of_another_group_are_left_out():
    known, making = SHARDS[0], SHARDS[1]
    nodes = [node(known, "7.1.0", "first"), node(making, "7.1.0", None), node("stock-0001-001", "7.1.0", "x")]
    [found] = read(groups=[cluster_group()], nodes=nodes).databases
    assert found.database.nodes == (Endpoint("first", 6379),)
    assert found.database.engine_version is None


def test_without_known_nodes_the_configuration_endpoint_is_left():
    [found] = read(groups=[cluster_group()]).databases
    assert found.database.endpoints == (found.database.endpoint,)


def test_a_user_reaches_a_cluster_mode_database():
    [found] = read(groups=[cluster_group()], users=[user()]).users
    assert found.databases == (f"{group_arn('orders')}/configuration",)


def test_a_user_reaches_the_databases_that_share_a_user_group_with_it():
    answer = read(
        groups=[
            group("orders", UserGroupIds=["staff"]),
            group("stock", UserGroupIds=["staff", "robots"]),
            group("open", UserGroupIds=[]),
        ],
        users=[
            user("app", UserGroupIds=["staff"]),
            user("robot", UserGroupIds=["robots", "unused"]),
            user("nobody", UserGroupIds=[]),
            user("elsewhere", UserGroupIds=["unused"]),
        ],
    )
    reached = {one.key.id: one.databases for one in answer.users}
    orders = tuple(f"{group_arn('orders')}/{kind}" for kind in ("primary", "reader"))
    stock = tuple(f"{group_arn('stock')}/{kind}" for kind in ("primary", "reader"))
    assert reached == {"app": (*orders, *stock), "robot": stock}


def test_a_user_is_what_aws_says_of_it():
    [found] = read(
        groups=[group()],
        users=[user("app-1", UserName="app")],
        tags={user_arn("app-1"): {"teleport.dev/managed": "true"}},
    ).users
    assert found.key == UserKey(Service.ELASTICACHE, "111111111111", "us-east-1", "app-1")
    assert found.name == "app"
    assert found.arn == user_arn("app-1")
    assert found.status is UserStatus.ACTIVE
    assert found.authentication is Authentication.PASSWORD
    assert found.managed
    assert found.enabled


def test_users_without_the_tag_are_known_and_not_managed():
    users = [user("app"), user("off"), user("on")]
    tags = {
        user_arn("off"): {"teleport.dev/managed": "disabled"},
        user_arn("on"): {"teleport.dev/managed": ""},
    }
    answer = read(groups=[group()], users=users, tags=tags)
    assert {one.key.id: one.managed for one in answer.users} == {"app": False, "off": False, "on": True}


def test_another_opt_in_tag_can_be_named():
    tags = {user_arn("app"): {"acme/rotate": "yes"}}
    [found] = read(groups=[group()], users=[user()], tags=tags, managed_tag="acme/rotate").users
    assert found.managed


@pytest.mark.parametrize(
    ("access", "enabled"),
    [
        ("on ~* +@all", True),
        ("off ~* +@all", False),
        ("on ~* off", False),
        ("~* +@all", False),
        ("OFF", False),
    ],
)
def test_a_user_that_its_access_string_turns_off_says_so(access, enabled):
    [found] = read(groups=[group()], users=[user(AccessString=access)]).users
    assert found.enabled is enabled


@pytest.mark.parametrize(
    ("status", "read_as"),
    [("modifying", UserStatus.MODIFYING), ("deleting", UserStatus.DELETING), ("thinking", UserStatus.OTHER)],
)
def test_a_status_is_read_even_if_it_is_new(status, read_as):
    [found] = read(groups=[group()], users=[user(Status=status)]).users
    assert found.status is read_as


@pytest.mark.parametrize("engine", ["redis", "valkey", "Valkey"])
def test_both_engines_have_users(engine):
    assert read(groups=[group()], users=[user(Engine=engine)]).users


def test_users_of_another_engine_or_authentication_are_left_out():
    answer = read(
        groups=[group()],
        users=[user("cached", Engine="memcached"), user("future", Authentication={"Type": "passkey"})],
    )
    assert answer.users == ()
    assert reasons(answer) == {"user future": "it authenticates by 'passkey', which is not known"}


def test_the_selector_chooses_databases_and_with_them_users():
    answer = read(
        groups=[group("orders"), group("stock", UserGroupIds=["robots"])],
        users=[user("app"), user("robot", UserGroupIds=["robots"])],
        tags={group_arn("orders"): {"env": "prod"}, group_arn("stock"): {"env": "test"}},
        selector=parse_selector({"env": "prod", "endpoint-type": "primary"}),
    )
    assert names(answer) == ["orders"]
    assert [one.key.id for one in answer.users] == ["app"]
    assert answer.users[0].databases == (f"{group_arn('orders')}/primary",)


def test_tags_are_needed_only_of_what_can_be_served_and_who_reaches_it():
    listing = listed(
        [group("orders"), group("plain", TransitEncryptionEnabled=False, UserGroupIds=["robots"])],
        [user("app"), user("robot", UserGroupIds=["robots"]), user("nobody", UserGroupIds=[])],
    )
    assert listing.arns_of_interest() == (group_arn("orders"), user_arn("app"))


def test_an_empty_account_is_an_empty_answer():
    assert read() == read(groups=[], users=[user()])
