"""The MemoryDB source through the real boto3, against an account of the sandbox's."""

from structlog.testing import capture_logs

from discovery.model import Endpoint, UserStatus
from tests.discovery.region import DENIED, MANAGED, TAG, managed, skipped

MEMORYDB = ("memorydb",)
THREE_CALLS = {"memorydb.DescribeClusters": 1, "memorydb.DescribeUsers": 1, "tag.GetResources": 1}


async def test_a_cluster_its_users_and_a_change_of_tag_in_three_calls_a_pass(region, sandbox):
    east = region("us-east-2", MEMORYDB)
    app, legacy = east.memorydb_user("app", managed=True), east.memorydb_user("legacy")
    east.memorydb_user("stranger", managed=True)
    east.acl("staff", ["app", "legacy"])
    east.cluster("orders", "staff", tags=[{"Key": "env", "Value": "prod"}], replicas=1)
    east.cluster("plain", tls=False)

    with capture_logs() as logs:
        await east.start()
    assert skipped(logs) == ["MemoryDB cluster plain"]

    inventory, calls = await east.scan()
    assert calls == THREE_CALLS
    [orders] = inventory.databases.values()
    servers = [Endpoint(node.host, node.port) for node in sandbox.nodes("orders", "memorydb")]
    assert orders.endpoint == servers[0]
    assert set(orders.endpoints) == set(servers)
    assert len(orders.endpoints) == 2
    assert orders.cluster_mode
    assert orders.labels["env"] == "prod"
    assert managed(inventory) == {"app": True, "legacy": False}
    assert [user.arn for user in inventory.users.values()] == [app, legacy]
    assert all(user.databases == ("orders",) for user in inventory.users.values())
    assert all(user.status is UserStatus.ACTIVE for user in inventory.users.values())

    east.memorydb.untag_resource(ResourceArn=app, TagKeys=[TAG])
    east.memorydb.tag_resource(ResourceArn=legacy, Tags=[MANAGED])
    with capture_logs() as logs:
        inventory, _ = await east.scan()
    assert managed(inventory) == {"app": False, "legacy": True}
    assert [(one["event"], one["user_name"]) for one in logs] == [
        ("user_untagged", "app"),
        ("user_tagged", "legacy"),
    ]

    east.memorydb.update_acl(ACLName="staff", UserNamesToRemove=["app"])
    sandbox.settle()
    inventory, _ = await east.scan()
    assert managed(inventory) == {"legacy": True}


async def test_an_open_access_cluster_is_served_without_asking_for_users(region):
    west = region("us-west-1", MEMORYDB)
    west.cluster("open", tags=[{"Key": "env", "Value": "test"}])
    await west.start()
    inventory, calls = await west.scan()
    assert list(inventory.databases) == ["open"]
    assert inventory.users == {}
    assert calls == {"memorydb.DescribeClusters": 1, "tag.GetResources": 1}


async def test_one_by_one_a_busy_cluster_keeps_its_tags_and_a_deleted_user_has_none(region, sandbox):
    tokyo = region("ap-northeast-1", MEMORYDB)
    for name in ("app", "going"):
        tokyo.memorydb_user(name, managed=True)
    tokyo.acl("staff", ["app", "going"])
    tokyo.cluster("orders", "staff", tags=[{"Key": "env", "Value": "prod"}])
    busy = {"action": "fail", "status": 400, "code": "InvalidClusterStateFault", "match": "cluster/orders"}
    gone = {"action": "fail", "status": 400, "code": "UserNotFoundFault", "match": "user/going"}
    with sandbox.fault("resourcegroupstaggingapi", "GetResources", **DENIED):
        await tokyo.start()
        assert managed(tokyo.scanner.inventory) == {"app": True, "going": True}
        with (
            sandbox.fault("memorydb", "ListTags", **busy) as hit_cluster,
            sandbox.fault("memorydb", "ListTags", **gone) as hit_user,
        ):
            inventory, calls = await tokyo.scan()
            assert (hit_cluster.hit, hit_user.hit) == (1, 1)
    assert calls == THREE_CALLS | {"memorydb.ListTags": 3}
    assert inventory.sources[0].error is None
    assert inventory.databases["orders"].labels["env"] == "prod"
    assert managed(inventory) == {"app": True, "going": False}


async def test_nothing_disappears_because_aws_fails(region, sandbox):
    north = region("eu-north-1", MEMORYDB)
    north.memorydb_user("app", managed=True)
    north.acl("staff", ["app"])
    north.cluster("orders", "staff")
    await north.start()
    north.memorydb.delete_user(UserName="app")
    sandbox.settle()
    for operation in ("DescribeClusters", "DescribeUsers"):
        with sandbox.fault("memorydb", operation, **DENIED):
            inventory, _ = await north.scan()
        assert list(inventory.databases) == ["orders"]
        assert managed(inventory) == {"app": True}
        [source] = inventory.sources
        assert source.stale
        assert f"memorydb:{operation}" in (source.error or "")
    inventory, _ = await north.scan()
    assert inventory.users == {}
