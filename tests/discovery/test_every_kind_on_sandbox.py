"""Serverless caches, and all kinds together, through the real boto3 against an account of the sandbox's."""

from structlog.testing import capture_logs

from discovery.model import DatabaseKind, Endpoint
from tests.discovery.region import DENIED, EVERY_KIND, managed, skipped

SERVERLESS = ("elasticache-serverless",)


async def test_serverless_caches_and_their_users_in_three_calls_for_each_page(region, sandbox):
    south = region("ap-south-1", SERVERLESS)
    south.user("app", managed=True)
    south.user_group("staff", ["app"])
    south.serverless_cache("carts", "staff", tags=[{"Key": "env", "Value": "prod"}])
    south.serverless_cache("memory", engine="memcached")
    with capture_logs() as logs:
        await south.start()
    assert skipped(logs) == ["serverless cache memory"]
    inventory, calls = await south.scan()
    three = {
        "elasticache.DescribeServerlessCaches": 1,
        "elasticache.DescribeUsers": 1,
        "tag.GetResources": 1,
    }
    assert calls == three
    primary, reader = (Endpoint(node.host, node.port) for node in sandbox.nodes("carts"))
    carts, carts_reader = inventory.databases.values()
    assert (carts.name, carts.endpoints) == ("carts", (primary,))
    assert (carts_reader.name, carts_reader.endpoints) == ("carts-reader", (reader,))
    assert carts.cluster_mode
    assert carts_reader.cluster_mode
    assert carts.labels["env"] == carts_reader.labels["env"] == "prod"
    assert carts.engine_version == "8.1"
    [app] = inventory.users.values()
    assert app.managed
    assert app.databases == ("carts", "carts-reader")

    for number in range(50):
        south.serverless_cache(f"memory-{number:02}", engine="memcached", settle=False)
    _, calls = await south.scan()
    assert calls == three | {"elasticache.DescribeServerlessCaches": 2}


async def test_every_kind_together_in_pages_and_with_tags_denied(region, sandbox):
    far = region("ap-southeast-2", EVERY_KIND)
    far.user("app", managed=True)
    far.user_group("staff", ["app"])
    far.replication_group("orders", ["staff"], ClusterMode="enabled", ReplicasPerNodeGroup=0)
    far.serverless_cache("carts", "staff")
    users = [f"user-{number:03}" for number in range(100)]  # and `default`, which MemoryDB always has
    for name in users:
        far.memorydb_user(name, managed=True)
    far.acl("staff", users)
    far.cluster("sessions", "staff", tags=[{"Key": "env", "Value": "prod"}])
    for number in range(100):
        far.cluster(f"plain-{number:02}", tls=False, settle=False)
    await far.start()

    inventory, calls = await far.scan()
    kinds = {name: database.kind for name, database in inventory.databases.items()}
    assert kinds == {
        "carts": DatabaseKind.SERVERLESS,
        "carts-reader": DatabaseKind.SERVERLESS,
        "orders": DatabaseKind.ELASTICACHE,
        "sessions": DatabaseKind.MEMORYDB,
    }
    assert managed(inventory) == dict.fromkeys(["app", *users], True)
    reach = {str(key): user.databases for key, user in inventory.users.items()}
    tail = f"ap-southeast-2/{sandbox.account}/user"
    # One user, whom two sources know.
    assert reach.pop(f"elasticache/{tail}/app") == ("carts", "carts-reader", "orders")
    assert reach == {f"memorydb/{tail}/{name}": ("sessions",) for name in users}
    assert calls == {
        "elasticache.DescribeReplicationGroups": 1,
        "elasticache.DescribeCacheClusters": 1,
        "elasticache.DescribeServerlessCaches": 1,
        "elasticache.DescribeUsers": 2,  # one for each source
        "memorydb.DescribeClusters": 2,
        "memorydb.DescribeUsers": 2,
        "tag.GetResources": 2 + 2,  # MemoryDB's in two pages
    }

    with (
        sandbox.fault("resourcegroupstaggingapi", "GetResources", **DENIED),
        capture_logs() as logs,
    ):
        denied, calls = await far.scan()
    assert (denied.databases, denied.users) == (inventory.databases, inventory.users)
    assert all(source.error is None for source in denied.sources)
    assert calls["elasticache.ListTagsForResource"] == 2 + 2  # a database and its user, for each source
    assert calls["memorydb.ListTags"] == 1 + len(users)
    assert [one["event"] for one in logs] == ["tags_read_one_by_one"] * 3


async def test_a_kind_that_iam_denies_fails_alone(region, sandbox):
    ireland = region("eu-west-1", EVERY_KIND)
    ireland.user("app", managed=True)
    ireland.user_group("staff", ["app"])
    ireland.replication_group("orders", ["staff"], NumCacheClusters=1)
    with (
        sandbox.fault("elasticache", "DescribeServerlessCaches", **DENIED),
        sandbox.fault("memorydb", "*", **DENIED),
    ):
        await ireland.start()
    inventory = ireland.scanner.inventory
    assert list(inventory.databases) == ["orders", "orders-reader"]
    assert managed(inventory) == {"app": True}
    errors = {source.name: source.error or "" for source in inventory.sources}
    assert errors["elasticache/eu-west-1"] == ""
    assert "elasticache:DescribeServerlessCaches" in errors["elasticache-serverless/eu-west-1"]
    assert "memorydb:DescribeClusters" in errors["memorydb/eu-west-1"]


async def test_kinds_that_nobody_uses_cost_four_calls_together(region):
    empty = region("ap-northeast-2", EVERY_KIND)
    await empty.start()
    inventory, calls = await empty.scan()
    assert (inventory.databases, inventory.users) == ({}, {})
    assert calls == {
        "elasticache.DescribeReplicationGroups": 1,
        "elasticache.DescribeCacheClusters": 1,
        "elasticache.DescribeServerlessCaches": 1,
        "memorydb.DescribeClusters": 1,
    }
