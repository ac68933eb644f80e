"""What clients see who connect through Valkeeper's sockets."""

import pytest
import redis


def test_redis_cli_reads_and_writes_as_a_managed_user_without_a_password(valkeeper):
    assert valkeeper.redis_cli(commands="AUTH app x\nSET greeting hello\nGET greeting\nACL WHOAMI\n") == [
        "OK",
        "OK",
        "hello",
        "app",
    ]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_reads_and_writes_as_a_managed_user_without_a_password(valkeeper, protocol):
    with valkeeper.client("app", protocol=protocol) as client:
        assert client.set("counter", 1)
        with client.pipeline() as pipeline:
            assert pipeline.incr("counter").get("counter").execute() == [2, "2"]
        assert client.acl_whoami() == "app"
        assert client.client_info()["resp"] == str(protocol)


def test_hello_3_with_auth_is_answered_as_by_the_database_itself(valkeeper):
    hello = valkeeper.redis_cli(commands="HELLO 3 AUTH app x SETNAME shop\nACL WHOAMI\nCLIENT GETNAME\n")
    assert hello[0] == "server redis"
    assert "proto 3" in hello
    assert hello[-2:] == ["app", "shop"]


def test_what_is_written_on_the_primary_is_read_on_the_reader(valkeeper, sandbox):
    with valkeeper.client("app") as writer, valkeeper.client("app", database="orders-reader") as reader:
        writer.set("replicated", "yes")
        assert writer.wait(1, 5000) == 1
        assert reader.get("replicated") == "yes"
        with pytest.raises(redis.ReadOnlyError):
            reader.set("replicated", "no")


def test_an_untagged_user_logs_in_with_its_own_password_only(valkeeper, sandbox):
    (own,) = sandbox.passwords("legacy")
    with valkeeper.client("legacy", own) as client:
        assert client.acl_whoami() == "legacy"
    with valkeeper.client("legacy", "wrong") as client, pytest.raises(redis.AuthenticationError) as caught:
        client.ping()
    assert "invalid username-password pair or user is disabled" in str(caught.value)


def test_without_auth_redis_itself_asks_for_it(valkeeper):
    with valkeeper.client(protocol=2) as client, pytest.raises(redis.AuthenticationError, match="required"):
        client.get("greeting")
    assert valkeeper.redis_cli("GET", "greeting") == ["NOAUTH Authentication required.", ""]


def test_changing_the_user_in_the_middle_of_a_connection(valkeeper):
    commands = "AUTH app x\nACL WHOAMI\nAUTH batch y\nACL WHOAMI\n"
    assert valkeeper.redis_cli(commands=commands) == ["OK", "app", "OK", "batch"]


def test_a_password_set_by_hand_is_healed_while_the_client_waits(valkeeper, account):
    before, mark = account.labels("batch"), valkeeper.mark()
    account.elasticache.modify_user(UserId="batch", Passwords=["set-by-hand-behind-valkeepers-back"])
    account.sandbox.settle()
    assert valkeeper.lets_in("batch")
    assert valkeeper.events("credential_rejected", mark)
    valkeeper.wait_for_event("rotation", mark, result="healed")
    assert account.labels("batch") == before
    assert account.password("batch") in account.passwords("batch")
    assert "set-by-hand-behind-valkeepers-back" not in account.passwords("batch")


def test_a_database_that_is_down_is_an_error_that_says_so(valkeeper, sandbox):
    primary = next(node for node in sandbox.nodes("orders") if node.role == "primary")
    sandbox.node(primary.id, "stop")
    try:
        (error,) = valkeeper.redis_cli("--user", "app", "--pass", "x", "--no-auth-warning", "PING")[:1]
        assert error.startswith("AUTH failed: ERR valkeeper: database 'orders' at 127.0.0.1:")
        assert "is unreachable" in error
        assert "check" in error
        assert valkeeper.lets_in("app", database="orders-reader")
    finally:
        sandbox.node(primary.id, "start")
    valkeeper.wait_for_clients("app")
