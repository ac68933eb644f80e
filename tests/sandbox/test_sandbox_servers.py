"""The account's users on real servers: who gets in, where, and when."""

import pytest
import redis
from redis.exceptions import NoPermissionError

from deploy.sandbox.holdings import new_password


def lets_in(sandbox, node, name, password):
    with sandbox.redis(node, name, password) as client:
        try:
            return client.ping()
        except redis.AuthenticationError:
            return False


def everywhere(sandbox, shared_database, name, password):
    """Whether all servers let a user in, or none; never some."""
    answers = {lets_in(sandbox, node, name, password) for node in shared_database[1]}
    assert len(answers) == 1
    return answers.pop()


def test_a_database_has_a_primary_and_a_reader_over_verified_tls(sandbox, elasticache, shared_database, user):
    name, (primary, replica) = shared_database
    group = elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]
    assert (group["Status"], group["TransitEncryptionEnabled"], group["ClusterEnabled"]) == (
        "available",
        True,
        False,
    )
    node_group = group["NodeGroups"][0]
    assert node_group["PrimaryEndpoint"] == {"Address": "127.0.0.1", "Port": primary.port}
    assert node_group["ReaderEndpoint"] == {"Address": "127.0.0.1", "Port": replica.port}
    members = {
        member["CurrentRole"]: member["ReadEndpoint"]["Port"] for member in node_group["NodeGroupMembers"]
    }
    assert members == {"primary": primary.port, "replica": replica.port}
    assert group["UserGroupIds"] == [f"{name}-users"]


def test_what_the_primary_takes_the_reader_has(sandbox, shared_database, user, unique):
    primary, replica = (sandbox.redis(node, *user) for node in shared_database[1])
    with primary, replica:
        primary.set(unique, "written")
        assert primary.wait(1, 5000) == 1
        assert replica.get(unique) == "written"
        with pytest.raises(redis.ReadOnlyError):
            replica.set(unique, "no")


def test_a_user_logs_in_on_every_server_and_nobody_without_a_password(sandbox, shared_database, user):
    name, password = user
    assert everywhere(sandbox, shared_database, name, password)
    assert not everywhere(sandbox, shared_database, name, new_password())
    for node in shared_database[1]:
        with sandbox.redis(node) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_while_modifying_the_old_password_holds(sandbox, elasticache, shared_database, user):
    name, old = user
    new = new_password()
    sandbox.set_modify_delay(60)
    try:
        elasticache.modify_user(UserId=name, Passwords=[new])
        assert everywhere(sandbox, shared_database, name, old)
        assert not everywhere(sandbox, shared_database, name, new)
    finally:
        sandbox.set_modify_delay(0.02)
    sandbox.settle()
    assert everywhere(sandbox, shared_database, name, new)
    assert not everywhere(sandbox, shared_database, name, old)


def test_two_passwords_hold_side_by_side(sandbox, elasticache, shared_database, user):
    name, old = user
    new = new_password()
    elasticache.modify_user(UserId=name, Passwords=[old, new])
    sandbox.settle()
    assert everywhere(sandbox, shared_database, name, old)
    assert everywhere(sandbox, shared_database, name, new)


def test_a_new_password_keeps_open_connections(sandbox, elasticache, shared_database, user):
    name, password = user
    with sandbox.redis(shared_database[1][0], name, password, single_connection_client=True) as client:
        number = client.client_id()
        elasticache.modify_user(UserId=name, Passwords=[new_password()])
        sandbox.settle()
        assert client.client_id() == number


def test_leaving_the_group_ends_connections_and_logins(sandbox, elasticache, shared_database, user):
    name, password = user
    with sandbox.redis(shared_database[1][0], name, password, single_connection_client=True) as client:
        client.ping()
        elasticache.modify_user_group(UserGroupId=f"{shared_database[0]}-users", UserIdsToRemove=[name])
        sandbox.settle()
        with pytest.raises(redis.ConnectionError):
            client.ping()
    assert not everywhere(sandbox, shared_database, name, password)


def test_a_deleted_user_is_let_in_no_more(sandbox, elasticache, shared_database, user):
    elasticache.delete_user(UserId=user[0])
    sandbox.settle()
    assert not everywhere(sandbox, shared_database, *user)


def test_the_access_string_rules(sandbox, elasticache, shared_database, user, unique):
    name, password = user
    elasticache.modify_user(UserId=name, AccessString=f"on ~{unique}:* +get")
    sandbox.settle()
    with sandbox.redis(shared_database[1][0], name, password) as client:
        assert client.get(f"{unique}:key") is None
        with pytest.raises(NoPermissionError):
            client.get("other")
    elasticache.modify_user(UserId=name, AccessString="off ~* +@all")
    sandbox.settle()
    assert not everywhere(sandbox, shared_database, name, password)


def test_an_iam_user_has_no_password(sandbox, elasticache, shared_database, unique):
    elasticache.create_user(
        UserId=unique,
        UserName=unique,
        Engine="redis",
        AccessString="on ~* +@all",
        AuthenticationMode={"Type": "iam"},
    )
    elasticache.modify_user_group(UserGroupId=f"{shared_database[0]}-users", UserIdsToAdd=[unique])
    sandbox.settle()
    assert not everywhere(sandbox, shared_database, unique, "anything")


def test_a_killed_server_comes_back_on_its_port_with_the_users_of_now(
    sandbox, elasticache, shared_database, user
):
    name, _ = user
    primary, replica = shared_database[1]
    new = new_password()
    stopped = sandbox.node(replica.id, "stop")
    assert (stopped.state, stopped.pid) == ("stopped", None)
    with sandbox.redis(replica, name, new) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    elasticache.modify_user(UserId=name, Passwords=[new])
    sandbox.settle()
    assert lets_in(sandbox, primary, name, new)
    assert sandbox.node(replica.id, "start").state == "running"
    assert everywhere(sandbox, shared_database, name, new)


def test_a_paused_server_accepts_connections_and_answers_nothing(sandbox, elasticache, shared_database, user):
    name, _ = user
    _, replica = shared_database[1]
    new = new_password()
    sandbox.node(replica.id, "pause")
    with sandbox.redis(replica, name, new, socket_timeout=0.1) as client, pytest.raises(redis.TimeoutError):
        client.ping()
    elasticache.modify_user(UserId=name, Passwords=[new])
    sandbox.settle()
    assert sandbox.node(replica.id, "resume").state == "running"
    assert everywhere(sandbox, shared_database, name, new)


def test_a_group_attached_and_detached(sandbox, elasticache, shared_database, unique):
    name, _ = shared_database
    password = sandbox.create_user(unique, engine="valkey")
    elasticache.create_user_group(UserGroupId=unique, Engine="valkey", UserIds=[unique])
    change = {"ReplicationGroupId": name, "ApplyImmediately": True}
    changing = elasticache.modify_replication_group(UserGroupIdsToAdd=[unique], **change)["ReplicationGroup"]
    assert changing["Status"] == "modifying"
    assert changing["PendingModifiedValues"]["UserGroups"]["UserGroupIdsToAdd"] == [unique]
    sandbox.settle()
    assert everywhere(sandbox, shared_database, unique, password)
    elasticache.modify_replication_group(UserGroupIdsToRemove=[unique], **change)
    sandbox.settle()
    assert not everywhere(sandbox, shared_database, unique, password)


def test_databases_come_in_pages_and_go(sandbox, elasticache, shared_database, unique):
    plain = {"ReplicationGroupDescription": "no encryption", "Engine": "redis"}
    ids = [f"{unique}-{letter}" for letter in "abc"]
    for group_id in ids:
        elasticache.create_replication_group(ReplicationGroupId=group_id, **plain)
    sandbox.settle()
    pages = list(
        elasticache.get_paginator("describe_replication_groups").paginate(PaginationConfig={"PageSize": 2})
    )
    assert all(len(page["ReplicationGroups"]) <= 2 for page in pages)
    shown = [group["ReplicationGroupId"] for page in pages for group in page["ReplicationGroups"]]
    assert {*ids, shared_database[0]} <= set(shown)
    for group_id in ids:
        elasticache.delete_replication_group(ReplicationGroupId=group_id)
    sandbox.settle()
    with pytest.raises(elasticache.exceptions.ReplicationGroupNotFoundFault):
        elasticache.describe_replication_groups(ReplicationGroupId=ids[0])


def test_user_groups_need_encryption(elasticache, shared_database, unique):
    with pytest.raises(elasticache.exceptions.InvalidParameterCombinationException):
        elasticache.create_replication_group(
            ReplicationGroupId=unique,
            ReplicationGroupDescription="",
            UserGroupIds=[f"{shared_database[0]}-users"],
        )


def test_a_database_has_no_endpoint_until_its_servers_are_up_and_none_when_deleted(
    sandbox, elasticache, unique
):
    (node,) = sandbox.create_replication_group(unique, replicas=0, wait=False)
    sandbox.settle()
    shown = elasticache.describe_replication_groups(ReplicationGroupId=unique)["ReplicationGroups"][0]
    assert shown["NodeGroups"][0]["ReaderEndpoint"]["Port"] == node.port
    elasticache.delete_replication_group(ReplicationGroupId=unique)
    sandbox.settle()
    assert sandbox.nodes(unique) == []
    with sandbox.redis(node) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_an_auth_token_is_the_default_users_password(sandbox, elasticache, unique):
    token = new_password()
    created = elasticache.create_replication_group(
        ReplicationGroupId=unique,
        ReplicationGroupDescription="",
        TransitEncryptionEnabled=True,
        AuthToken=token,
        NumCacheClusters=1,
    )["ReplicationGroup"]
    assert (created["Status"], created["AuthTokenEnabled"], "NodeGroups" in created) == (
        "creating",
        True,
        False,
    )
    sandbox.settle()
    (node,) = sandbox.nodes(unique)
    with sandbox.redis(node, password=token) as client:
        assert client.acl_whoami() == "default"


def test_cluster_mode_has_a_configuration_endpoint_and_owns_all_slots(sandbox, elasticache, unique):
    password = sandbox.create_user(unique)
    primary, replica = sandbox.create_replication_group(unique, [unique], cluster=True)
    group = elasticache.describe_replication_groups(ReplicationGroupId=unique)["ReplicationGroups"][0]
    assert group["ClusterEnabled"]
    assert group["ConfigurationEndpoint"] == {"Address": "127.0.0.1", "Port": primary.port}
    assert "PrimaryEndpoint" not in group["NodeGroups"][0]
    with sandbox.redis(primary, unique, password) as client:
        assert client.set("key", "value")
        ((first, last, *servers),) = client.execute_command("CLUSTER SLOTS")
    assert (first, last, [server[1] for server in servers]) == (0, 16383, [primary.port, replica.port])
