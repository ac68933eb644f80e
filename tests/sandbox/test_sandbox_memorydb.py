"""MemoryDB users, ACLs and clusters, as boto3 sees them and as real servers enforce them."""

import pytest
import redis
from botocore.exceptions import ClientError

from deploy.sandbox.holdings import new_password

PASSWORD = "p" * 16


@pytest.fixture
def memorydb(sandbox):
    return sandbox.boto3("memorydb")


@pytest.fixture(scope="session")
def cluster(sandbox):
    """A cluster of a primary and a replica that tests add their own users to."""
    return sandbox.create_memorydb_cluster("shared-cluster")


@pytest.fixture
def user(sandbox, memorydb, cluster, unique):
    """A user that reaches the shared cluster, with its password."""
    password = sandbox.create_memorydb_user(unique)
    memorydb.update_acl(ACLName="shared-cluster-acl", UserNamesToAdd=[unique])
    sandbox.settle()
    return unique, password


def create(memorydb, name, **changes):
    wish = {"UserName": name, "AccessString": "on ~* +@all"}
    mode = {"AuthenticationMode": {"Type": "password", "Passwords": [PASSWORD]}}
    return memorydb.create_user(**(wish | mode | changes))["User"]


def code(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def everywhere(sandbox, cluster, name, password):
    """Whether all servers let a user in, or none; never some."""
    answers = set()
    for node in cluster:
        with sandbox.redis(node, name, password) as client:
            try:
                answers.add(client.ping())
            except redis.AuthenticationError:
                answers.add(False)
    assert len(answers) == 1
    return answers.pop()


def mode(kind, *passwords):
    return {"AuthenticationMode": {"Type": kind} | ({"Passwords": list(passwords)} if passwords else {})}


class TestUsers:
    def test_the_name_is_the_id_and_arns_have_slashes(self, sandbox, memorydb, unique):
        user = create(memorydb, unique)
        assert user["ARN"] == f"arn:aws:memorydb:us-east-1:{sandbox.account}:user/{unique}"
        assert (user["Name"], user["Status"], user["ACLNames"]) == (unique, "active", [])
        assert user["Authentication"] == {"Type": "password", "PasswordCount": 1}
        assert PASSWORD not in str(memorydb.describe_users(UserName=unique))

    def test_an_iam_user(self, memorydb, unique):
        user = create(memorydb, unique, **mode("iam"))
        assert user["Authentication"] == {"Type": "iam"}
        assert user["MinimumEngineVersion"] == "7.0"

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            (mode("password", "short"), "InvalidParameterValueException"),
            (mode("password", *[PASSWORD] * 3), "InvalidParameterValueException"),
            (mode("password", PASSWORD + "@"), "InvalidParameterValueException"),
            (mode("password"), "InvalidParameterValueException"),
            (mode("iam", PASSWORD), "InvalidParameterCombinationException"),
            ({"AccessString": "on nopass"}, "InvalidParameterValueException"),
            ({"UserName": "1st"}, "InvalidParameterValueException"),
            ({"UserName": "default"}, "UserAlreadyExistsFault"),
        ],
    )
    def test_what_aws_refuses(self, memorydb, unique, changes, expected):
        wish = {"UserName": unique, "AccessString": "on ~* +@all", **mode("password", PASSWORD), **changes}
        assert code(memorydb.create_user, **wish) == expected

    def test_unknown_users(self, sandbox, memorydb):
        assert code(memorydb.describe_users, UserName="nobody") == "UserNotFoundFault"
        assert code(memorydb.update_user, UserName="nobody") == "UserNotFoundFault"
        assert code(memorydb.delete_user, UserName="nobody") == "UserNotFoundFault"
        assert code(memorydb.delete_user, UserName="default") == "InvalidParameterValueException"

    def test_while_modifying_the_old_password_holds(self, sandbox, memorydb, cluster, user):
        name, old = user
        new = new_password()
        sandbox.set_modify_delay(60)
        try:
            shown = memorydb.update_user(UserName=name, **mode("password", new))["User"]
            assert (shown["Status"], shown["ACLNames"]) == ("modifying", ["shared-cluster-acl"])
            assert code(memorydb.update_user, UserName=name) == "InvalidUserStateFault"
            assert code(memorydb.delete_user, UserName=name) == "InvalidUserStateFault"
            assert everywhere(sandbox, cluster, name, old)
            assert not everywhere(sandbox, cluster, name, new)
        finally:
            sandbox.set_modify_delay(0.02)
        sandbox.settle()
        assert memorydb.describe_users(UserName=name)["Users"][0]["Status"] == "active"
        assert everywhere(sandbox, cluster, name, new)
        assert not everywhere(sandbox, cluster, name, old)
        assert sandbox.passwords(name, service="memorydb") == [new]

    def test_what_an_update_does_not_mention_stays(self, sandbox, memorydb, unique):
        password = sandbox.create_memorydb_user(unique)
        memorydb.update_user(UserName=unique, AccessString="on ~x:* +get")
        sandbox.settle()
        assert sandbox.passwords(unique, service="memorydb") == [password]

    def test_a_deleted_user_leaves_its_acls_and_is_let_in_no_more(self, sandbox, memorydb, cluster, user):
        memorydb.delete_user(UserName=user[0])
        sandbox.settle()
        assert not everywhere(sandbox, cluster, *user)
        acl = memorydb.describe_acls(ACLName="shared-cluster-acl")["ACLs"][0]
        assert user[0] not in acl["UserNames"]

    def test_users_come_in_pages_and_by_filter(self, memorydb, unique):
        names = [f"{unique}-{letter}" for letter in "abc"]
        for name in names:
            create(memorydb, name)
        pages = list(memorydb.get_paginator("describe_users").paginate(PaginationConfig={"PageSize": 2}))
        shown = [user["Name"] for page in pages for user in page["Users"]]
        assert all(len(page["Users"]) <= 2 for page in pages)
        assert len(set(shown)) == len(shown)
        assert {"default", *names} <= set(shown)
        found = memorydb.describe_users(Filters=[{"Name": "user-name", "Values": names[:2]}])["Users"]
        assert [user["Name"] for user in found] == names[:2]


class TestAcls:
    def test_one_is_built_in(self, memorydb):
        acl = memorydb.describe_acls(ACLName="open-access")["ACLs"][0]
        assert (acl["UserNames"], acl["Status"]) == (["default"], "active")
        assert code(memorydb.delete_acl, ACLName="open-access") == "InvalidParameterValueException"

    def test_changes_are_pending_until_they_are_through(self, sandbox, memorydb, unique):
        for suffix in "ab":
            create(memorydb, f"{unique}-{suffix}")
        acl = memorydb.create_acl(ACLName=unique, UserNames=[f"{unique}-a"])["ACL"]
        assert acl["ARN"] == f"arn:aws:memorydb:us-east-1:{sandbox.account}:acl/{unique}"
        change = {"UserNamesToAdd": [f"{unique}-b"], "UserNamesToRemove": [f"{unique}-a"]}
        sandbox.set_modify_delay(60)
        try:
            changing = memorydb.update_acl(ACLName=unique, **change)["ACL"]
            assert (changing["Status"], changing["PendingChanges"]) == ("modifying", change)
            assert changing["UserNames"] == [f"{unique}-a"]
            assert code(memorydb.update_acl, ACLName=unique, **change) == "InvalidACLStateFault"
        finally:
            sandbox.set_modify_delay(0.02)
        sandbox.settle()
        assert memorydb.describe_acls(ACLName=unique)["ACLs"][0]["UserNames"] == [f"{unique}-b"]
        memorydb.delete_acl(ACLName=unique)
        sandbox.settle()
        assert code(memorydb.describe_acls, ACLName=unique) == "ACLNotFoundFault"

    def test_one_in_use_stays(self, memorydb, cluster):
        assert code(memorydb.delete_acl, ACLName="shared-cluster-acl") == "InvalidACLStateFault"
        acl = memorydb.describe_acls(ACLName="shared-cluster-acl")["ACLs"][0]
        assert acl["Clusters"] == ["shared-cluster"]

    def test_leaving_ends_connections_and_logins(self, sandbox, memorydb, cluster, user):
        name, password = user
        with sandbox.redis(cluster[0], name, password, single_connection_client=True) as client:
            client.ping()
            memorydb.update_acl(ACLName="shared-cluster-acl", UserNamesToRemove=[name])
            sandbox.settle()
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert not everywhere(sandbox, cluster, name, password)


class TestClusters:
    def test_one_shard_owns_all_slots_and_every_node_has_an_address(self, sandbox, memorydb, cluster, user):
        shown = memorydb.describe_clusters(ClusterName="shared-cluster", ShowShardDetails=True)["Clusters"][0]
        assert shown["ARN"] == f"arn:aws:memorydb:us-east-1:{sandbox.account}:cluster/shared-cluster"
        assert (shown["Status"], shown["TLSEnabled"], shown["ACLName"], shown["Engine"]) == (
            "available",
            True,
            "shared-cluster-acl",
            "redis",
        )
        assert shown["EngineVersion"] == "7.1"
        assert shown["ClusterEndpoint"] == {"Address": "127.0.0.1", "Port": cluster[0].port}
        (shard,) = shown["Shards"]
        assert [node["Endpoint"]["Port"] for node in shard["Nodes"]] == [node.port for node in cluster]
        with sandbox.redis(cluster[0], *user) as client:
            assert client.set("key", "value")
            ((first, last, *servers),) = client.execute_command("CLUSTER SLOTS")
        assert (first, last, [server[1] for server in servers]) == (0, 16383, [node.port for node in cluster])

    def test_shards_are_shown_when_asked_for(self, memorydb, cluster):
        assert "Shards" not in memorydb.describe_clusters(ClusterName="shared-cluster")["Clusters"][0]

    def test_another_acl_lets_others_in(self, sandbox, memorydb, cluster, user, unique):
        create(memorydb, f"{unique}-other")
        memorydb.create_acl(ACLName=unique, UserNames=[f"{unique}-other"])
        changing = memorydb.update_cluster(ClusterName="shared-cluster", ACLName=unique)["Cluster"]
        assert (changing["Status"], changing["PendingUpdates"]) == (
            "updating",
            {"ACLs": {"ACLToApply": unique}},
        )
        sandbox.settle()
        assert everywhere(sandbox, cluster, f"{unique}-other", PASSWORD)
        assert not everywhere(sandbox, cluster, *user)
        memorydb.update_cluster(ClusterName="shared-cluster", ACLName="shared-cluster-acl")
        sandbox.settle()
        assert everywhere(sandbox, cluster, *user)

    def test_clusters_come_in_pages_and_go(self, sandbox, memorydb, unique):
        names = [f"{unique}-{letter}" for letter in "abc"]
        for name in names:
            created = memorydb.create_cluster(
                ClusterName=name, NodeType="db.t4g.small", ACLName="open-access", TLSEnabled=False
            )["Cluster"]
            assert (created["Status"], "ClusterEndpoint" in created) == ("creating", False)
        sandbox.settle()
        pages = list(memorydb.get_paginator("describe_clusters").paginate(PaginationConfig={"PageSize": 2}))
        assert all(len(page["Clusters"]) <= 2 for page in pages)
        assert set(names) <= {cluster["Name"] for page in pages for cluster in page["Clusters"]}
        for name in names:
            memorydb.delete_cluster(ClusterName=name)
        sandbox.settle()
        assert code(memorydb.describe_clusters, ClusterName=names[0]) == "ClusterNotFoundFault"

    def test_without_tls_there_is_only_open_access(self, memorydb, cluster, unique):
        wish = {"ClusterName": unique, "NodeType": "db.t4g.small", "TLSEnabled": False}
        refused = code(memorydb.create_cluster, ACLName="shared-cluster-acl", **wish)
        assert refused == "InvalidParameterCombinationException"

    def test_open_access_is_open(self, sandbox, memorydb, unique):
        memorydb.create_cluster(
            ClusterName=unique, NodeType="db.t4g.small", ACLName="open-access", NumReplicasPerShard=0
        )
        sandbox.settle()
        (node,) = sandbox.nodes(unique)
        with sandbox.redis(node) as client:
            assert client.acl_whoami() == "default"


class TestTags:
    def test_tags_are_added_listed_and_removed(self, sandbox, memorydb, unique):
        arn = create(memorydb, unique, Tags=[{"Key": "a", "Value": "1"}])["ARN"]
        sandbox.tag(unique, service="memorydb")
        tags = memorydb.list_tags(ResourceArn=arn)["TagList"]
        assert tags == [{"Key": "a", "Value": "1"}, {"Key": "teleport.dev/managed", "Value": "true"}]
        memorydb.untag_resource(ResourceArn=arn, TagKeys=["a"])
        sandbox.untag(unique, service="memorydb")
        assert memorydb.list_tags(ResourceArn=arn)["TagList"] == []
        assert code(memorydb.untag_resource, ResourceArn=arn, TagKeys=["a"]) == "TagNotFoundFault"

    def test_what_is_not_there_has_no_tags(self, sandbox, memorydb):
        nobody = sandbox.user_arn("nobody", "memorydb")
        assert code(memorydb.list_tags, ResourceArn=nobody) == "UserNotFoundFault"
        assert code(memorydb.list_tags, ResourceArn="arn:nonsense") == "InvalidARNFault"

    def test_the_tagging_api_knows_users_and_clusters(self, sandbox, memorydb, cluster, unique):
        tagging, tag = sandbox.boto3("resourcegroupstaggingapi"), {"Key": unique, "Value": "v"}
        user = create(memorydb, unique, Tags=[tag])["ARN"]
        database = memorydb.describe_clusters(ClusterName="shared-cluster")["Clusters"][0]["ARN"]
        memorydb.tag_resource(ResourceArn=database, Tags=[tag])

        def found(*types):
            answer = tagging.get_resources(ResourceTypeFilters=types, TagFilters=[{"Key": unique}])
            return [resource["ResourceARN"] for resource in answer["ResourceTagMappingList"]]

        assert found("memorydb:user") == [user]
        assert found("memorydb:cluster") == [database]
        assert found("memorydb") == [database, user]
        assert found("elasticache:user") == []
