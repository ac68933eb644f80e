"""The ElastiCache source through the real boto3, against an account of the sandbox's."""

from collections import Counter

import pytest
from structlog.testing import capture_logs

from discovery.aws import Sessions
from discovery.model import Endpoint, UserStatus
from discovery.scanner import Scanner
from discovery.settings import DiscoverySettings
from discovery.sources.configured import configured_sources

pytest_plugins = ["deploy.sandbox.fixtures"]

TAG = "teleport.dev/managed"
MANAGED = {"Key": TAG, "Value": "true"}
FOUR_CALLS = {
    "DescribeReplicationGroups": 1,
    "DescribeUsers": 1,
    "DescribeCacheClusters": 1,
    "GetResources": 1,
}


class Account:
    """One region of the sandbox's account, which no other test looks at, and a scanner that reads it."""

    def __init__(self, sandbox, region, sessions):
        self.sandbox = sandbox
        self.region = region
        self.elasticache = sandbox.boto3("elasticache", region=region)
        settings = DiscoverySettings.model_validate(
            {"sources": [{"types": ["elasticache"], "regions": [region]}]}
        )
        self.scanner = Scanner(configured_sources(settings, [], sessions, default_region=None))
        self._seen = 0

    def user(self, user_id, *, managed=False):
        return self.elasticache.create_user(
            UserId=user_id,
            UserName=user_id,
            Engine="valkey",
            AccessString="on ~* +@all",
            Passwords=["long-enough-for-aws"],
            Tags=[MANAGED] if managed else [],
        )["ARN"]

    def user_group(self, group_id, users):
        self.elasticache.create_user_group(UserGroupId=group_id, Engine="valkey", UserIds=users)
        self.sandbox.settle()

    def replication_group(self, group_id, user_groups=(), *, tls=True, tags=(), settle=True, **options):
        self.elasticache.create_replication_group(
            ReplicationGroupId=group_id,
            ReplicationGroupDescription=group_id,
            Engine="valkey",
            TransitEncryptionEnabled=tls,
            Tags=list(tags),
            **({"UserGroupIds": list(user_groups)} if user_groups else {}),
            **options,
        )
        if settle:
            self.sandbox.settle()

    async def scan(self):
        """An inventory, and how often each operation was called for it in this region."""
        await self.scanner.scan()
        entries = self.sandbox.requests(self._seen)
        self._seen = max((entry["sequence"] for entry in entries), default=self._seen)
        calls = Counter(
            entry["operation"]
            for entry in entries
            if entry["region"] == self.region and entry["operation"] != "GetCallerIdentity"
        )
        return self.scanner.inventory, dict(calls)

    async def start(self):
        """A first scan, so that what a test counts is a pass like any other."""
        self._seen = max((entry["sequence"] for entry in self.sandbox.requests()), default=0)
        await self.scan()


@pytest.fixture
def account(sandbox, monkeypatch):
    """Opens a region of the account; each test names one of its own."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    sessions = Sessions()
    yield lambda region: Account(sandbox, region, sessions)
    sessions.close()


def managed(inventory):
    return {user.key.id: user.managed for user in inventory.users.values()}


async def test_a_group_its_users_and_a_change_of_tag_in_four_calls_a_pass(account, sandbox):
    east = account("us-east-2")
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


async def test_everything_is_paged(account):
    west = account("us-west-1")
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
        "DescribeReplicationGroups": 2,
        "DescribeUsers": 2,
        "DescribeCacheClusters": 1,
        "GetResources": 2,
    }


async def test_without_getresources_tags_are_read_one_by_one_and_only_where_needed(account, sandbox):
    central = account("ca-central-1")
    for user in ("app", "legacy", "stranger"):
        central.user(user, managed=user != "legacy")
    central.user_group("staff", ["app", "legacy"])
    central.replication_group("orders", ["staff"], tags=[{"Key": "env", "Value": "prod"}], NumCacheClusters=1)
    central.replication_group("plain", tls=False)
    await central.start()
    expected, _ = await central.scan()
    denied = {"action": "fail", "code": "AccessDeniedException", "status": 400, "count": None}
    with (
        sandbox.fault("resourcegroupstaggingapi", "GetResources", **denied),
        capture_logs() as logs,
    ):
        inventory, calls = await central.scan()
        await central.scan()
    assert inventory.databases == expected.databases
    assert inventory.users == expected.users
    assert calls == FOUR_CALLS | {"ListTagsForResource": 3}
    assert [one["event"] for one in logs] == ["tags_read_one_by_one"]  # once

    both = {"action": "fail", "code": "AccessDenied", "status": 403, "count": None}
    with (
        sandbox.fault("resourcegroupstaggingapi", "GetResources", **denied),
        sandbox.fault("elasticache", "ListTagsForResource", **both),
    ):
        inventory, _ = await central.scan()
    assert inventory.users == expected.users  # nobody is released because IAM hides the tags
    [source] = inventory.sources
    assert source.stale
    assert source.error is not None
    assert "elasticache:ListTagsForResource" in source.error


async def test_one_by_one_a_busy_group_keeps_its_tags_and_a_deleted_user_has_none(account, sandbox):
    tokyo = account("ap-northeast-1")
    for user in ("app", "going"):
        tokyo.user(user, managed=True)
    tokyo.user_group("staff", ["app", "going"])
    tokyo.replication_group("orders", ["staff"], tags=[{"Key": "env", "Value": "prod"}], NumCacheClusters=1)
    denied = {"action": "fail", "code": "AccessDeniedException", "status": 400, "count": None}
    busy = {"action": "fail", "code": "InvalidReplicationGroupState", "match": "replicationgroup%3Aorders"}
    gone = {"action": "fail", "code": "UserNotFound", "match": "user%3Agoing"}
    with sandbox.fault("resourcegroupstaggingapi", "GetResources", **denied):
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


async def test_an_index_that_knows_nothing_is_not_believed(account):
    south = account("sa-east-1")
    south.user("app")
    south.user_group("staff", ["app"])
    south.replication_group("orders", ["staff"], NumCacheClusters=1)
    await south.start()
    inventory, calls = await south.scan()
    assert managed(inventory) == {"app": False}
    assert calls == FOUR_CALLS | {"ListTagsForResource": 2}


async def test_nothing_disappears_because_aws_fails(account, sandbox):
    north = account("eu-north-1")
    north.user("app", managed=True)
    north.user_group("staff", ["app"])
    north.replication_group("orders", ["staff"], NumCacheClusters=1)
    await north.start()
    denied = {"action": "fail", "code": "AccessDenied", "status": 403, "count": None}
    north.elasticache.modify_user_group(UserGroupId="staff", UserIdsToRemove=["app"])
    sandbox.settle()
    for operation in ("DescribeUsers", "DescribeReplicationGroups"):
        if operation == "DescribeReplicationGroups":
            north.elasticache.delete_replication_group(ReplicationGroupId="orders")
            sandbox.settle()
        with sandbox.fault("elasticache", operation, **denied):
            inventory, _ = await north.scan()
        assert list(inventory.databases) == ["orders", "orders-reader"]
        assert managed(inventory) == {"app": True}
        assert inventory.sources[0].stale
        assert f"elasticache:{operation}" in (inventory.sources[0].error or "")
    inventory, _ = await north.scan()
    assert not inventory.sources[0].stale
    assert inventory.databases == {}
    assert inventory.users == {}


async def test_engine_versions_are_worth_no_failure(account, sandbox):
    paris = account("eu-west-3")
    paris.replication_group("orders", NumCacheClusters=1)
    with sandbox.fault("elasticache", "DescribeCacheClusters", "fail", code="AccessDenied", status=403):
        await paris.start()
    assert list(paris.scanner.inventory.databases) == ["orders", "orders-reader"]
    assert paris.scanner.inventory.sources[0].error is None
