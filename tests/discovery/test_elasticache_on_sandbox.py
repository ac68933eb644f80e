"""The ElastiCache source through the real boto3, against an account of the sandbox's."""

from structlog.testing import capture_logs

from discovery.model import Endpoint, UserStatus
from tests.discovery.region import DENIED, MANAGED, TAG, managed

FOUR_CALLS = {
    "elasticache.DescribeReplicationGroups": 1,
    "elasticache.DescribeUsers": 1,
    "elasticache.DescribeCacheClusters": 1,
    "tag.GetResources": 1,
}


async def test_a_group_its_users_and_a_change_of_tag_in_four_calls_a_pass(region, sandbox):
    east = region("us-east-2")
    app, _ = east.user("app", managed=True), east.user("legacy")
    east.user("stranger", managed=True)
    east.user_group("staff", ["app", "legacy"])
    east.replication_group("orders", ["staff"], tags=[{"Key": "env", "Value": "prod"}])
    east.replication_group("plain", tls=False)

    with capture_logs() as logs:
        await east.start()
    assert [one["resource"] for one in logs if one["event"] == "resource_skipped"] == [
        "replication group plain"
    ]

    inventory, calls = await east.scan()
    assert calls == FOUR_CALLS
    orders, reader = inventory.databases.values()
    assert (orders.name, reader.name) == ("orders", "orders-reader")
    raw = east.elasticache.describe_replication_groups(ReplicationGroupId="orders")["ReplicationGroups"][0]
    node_group = raw["NodeGroups"][0]
    assert orders.endpoint == Endpoint(*node_group["PrimaryEndpoint"].values())
    assert reader.endpoint == Endpoint(*node_group["ReaderEndpoint"].values())
    assert len(orders.endpoints) == 2
    assert orders.labels["env"] == "prod"
    assert orders.labels["account-id"] == sandbox.account
    assert managed(inventory) == {"app": True, "legacy": False}
    assert all(user.databases == ("orders", "orders-reader") for user in inventory.users.values())
    assert all(user.status is UserStatus.ACTIVE for user in inventory.users.values())

    east.elasticache.remove_tags_from_resource(ResourceName=app, TagKeys=[TAG])
    legacy = app.replace(":app", ":legacy")
    east.elasticache.add_tags_to_resource(ResourceName=legacy, Tags=[MANAGED])
    with capture_logs() as logs:
        inventory, _ = await east.scan()
    assert managed(inventory) == {"app": False, "legacy": True}
    assert [(one["event"], one["user_name"]) for one in logs] == [
        ("user_untagged", "app"),
        ("user_tagged", "legacy"),
    ]


async def test_everything_is_paged(region):
    west = region("us-west-1")
    users = [f"app-{number:03}" for number in range(101)]
    for user in users:
        west.user(user, managed=True)
    west.user_group("staff", users)
    west.replication_group("orders", ["staff"], NumCacheClusters=1)
    for number in range(100):
        west.replication_group(f"plain-{number:03}", tls=False, settle=False)
    await west.start()
    inventory, calls = await west.scan()
    assert managed(inventory) == dict.fromkeys(users, True)
    assert calls == {
        "elasticache.DescribeReplicationGroups": 2,
        "elasticache.DescribeUsers": 2,
        "elasticache.DescribeCacheClusters": 1,
        "tag.GetResources": 2,
    }


async def test_without_getresources_tags_are_read_one_by_one_and_only_where_needed(region, sandbox):
    central = region("ca-central-1")
    for user in ("app", "legacy", "stranger"):
        central.user(user, managed=user != "legacy")
    central.user_group("staff", ["app", "legacy"])
    central.replication_group("orders", ["staff"], tags=[{"Key": "env", "Value": "prod"}], NumCacheClusters=1)
    central.replication_group("plain", tls=False)
    await central.start()
    expected, _ = await central.scan()
    with (
        sandbox.fault("resourcegroupstaggingapi", "GetResources", **DENIED),
        capture_logs() as logs,
    ):
        inventory, calls = await central.scan()
        await central.scan()
    assert inventory.databases == expected.databases
    assert inventory.users == expected.users
    assert calls == FOUR_CALLS | {"elasticache.ListTagsForResource": 3}
    assert [one["event"] for one in logs] == ["tags_read_one_by_one"]  # once

    with (
        sandbox.fault("resourcegroupstaggingapi", "GetResources", **DENIED),
        sandbox.fault("elasticache", "ListTagsForResource", **DENIED),
    ):
        inventory, _ = await central.scan()
    assert inventory.users == expected.users  # nobody is released because IAM hides the tags
    [source] = inventory.sources
    assert source.stale
    assert source.error is not None
    assert "elasticache:ListTagsForResource" in source.error


async def test_one_by_one_a_busy_group_keeps_its_tags_and_a_deleted_user_has_none(region, sandbox):
    tokyo = region("ap-northeast-1")
    for user in ("app", "going"):
        tokyo.user(user, managed=True)
    tokyo.user_group("staff", ["app", "going"])
    tokyo.replication_group("orders", ["staff"], tags=[{"Key": "env", "Value": "prod"}], NumCacheClusters=1)
    busy = {"action": "fail", "code": "InvalidReplicationGroupState", "match": "replicationgroup%3Aorders"}
    gone = {"action": "fail", "code": "UserNotFound", "match": "user%3Agoing"}
    with sandbox.fault("resourcegroupstaggingapi", "GetResources", **DENIED):
        await tokyo.start()
        assert managed(tokyo.scanner.inventory) == {"app": True, "going": True}
        with (
            sandbox.fault("elasticache", "ListTagsForResource", status=400, **busy) as hit_group,
            sandbox.fault("elasticache", "ListTagsForResource", status=404, **gone) as hit_user,
        ):
            inventory, _ = await tokyo.scan()
            assert (hit_group.hit, hit_user.hit) == (1, 1)
    assert inventory.sources[0].error is None
    assert inventory.databases["orders"].labels["env"] == "prod"
    assert managed(inventory) == {"app": True, "going": False}


async def test_an_index_that_knows_nothing_is_not_believed(region):
    south = region("sa-east-1")
    south.user("app")
    south.user_group("staff", ["app"])
    south.replication_group("orders", ["staff"], NumCacheClusters=1)
    await south.start()
    inventory, calls = await south.scan()
    assert managed(inventory) == {"app": False}
    assert calls == FOUR_CALLS | {"elasticache.ListTagsForResource": 2}


async def test_nothing_disappears_because_aws_fails(region, sandbox):
    north = region("eu-north-1")
    north.user("app", managed=True)
    north.user_group("staff", ["app"])
    north.replication_group("orders", ["staff"], NumCacheClusters=1)
    await north.start()
    north.elasticache.modify_user_group(UserGroupId="staff", UserIdsToRemove=["app"])
    sandbox.settle()
    for operation in ("DescribeUsers", "DescribeReplicationGroups"):
        if operation == "DescribeReplicationGroups":
            north.elasticache.delete_replication_group(ReplicationGroupId="orders")
            sandbox.settle()
        with sandbox.fault("elasticache", operation, **DENIED):
            inventory, _ = await north.scan()
        assert list(inventory.databases) == ["orders", "orders-reader"]
        assert managed(inventory) == {"app": True}
        assert inventory.sources[0].stale
        assert f"elasticache:{operation}" in (inventory.sources[0].error or "")
    inventory, _ = await north.scan()
    assert not inventory.sources[0].stale
    assert inventory.databases == {}
    assert inventory.users == {}


async def test_engine_versions_are_worth_no_failure(region, sandbox):
    paris = region("eu-west-3")
    paris.replication_group("orders", NumCacheClusters=1)
    with sandbox.fault("elasticache", "DescribeCacheClusters", **DENIED), capture_logs() as logs:
        await paris.start()
        await paris.scan()
    assert list(paris.scanner.inventory.databases) == ["orders", "orders-reader"]
    assert paris.scanner.inventory.sources[0].error is None
    [warning] = [one for one in logs if one["log_level"] == "warning"]  # once
    assert "elasticache:DescribeCacheClusters" in warning["error"]


async def test_a_cluster_mode_group_is_verified_on_every_node(region, sandbox):
    london = region("eu-west-2")
    london.user("app", managed=True)
    london.user_group("staff", ["app"])
    london.replication_group("orders", ["staff"], ClusterMode="enabled", ReplicasPerNodeGroup=1)
    raw = london.elasticache.describe_replication_groups(ReplicationGroupId="orders")["ReplicationGroups"][0]
    with sandbox.fault("elasticache", "DescribeCacheClusters", **DENIED):
        await london.start()
    [orders] = london.scanner.inventory.databases.values()
    assert orders.endpoint == Endpoint(*raw["ConfigurationEndpoint"].values())
    assert orders.cluster_mode
    assert orders.endpoints == (orders.endpoint,)  # nothing tells of the others

    inventory, calls = await london.scan()
    assert calls == FOUR_CALLS
    [orders] = inventory.databases.values()
    assert {node.port for node in orders.endpoints} == {
        node.port for node in sandbox.nodes("orders") if node.region == "eu-west-2"
    }
    assert len(orders.endpoints) == 2
    assert orders.engine_version == "8.1.0"
    [app] = inventory.users.values()
    assert app.databases == ("orders",)

    with sandbox.fault("elasticache", "DescribeCacheClusters", **DENIED) as hit:
        inventory, _ = await london.scan()
        assert hit.hit
    assert inventory.databases["orders"] == orders  # the nodes that were known


async def test_a_region_without_groups_costs_two_calls(region):
    empty = region("ap-southeast-1")
    await empty.start()
    _, calls = await empty.scan()
    assert calls == {"elasticache.DescribeReplicationGroups": 1, "elasticache.DescribeCacheClusters": 1}
