"""The gate: an IAM user gets in with a token that AWS would take, and nothing else is touched."""

import itertools
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from freezegun import freeze_time
from redis.backoff import NoBackoff
from redis.retry import Retry

_numbers = itertools.count(1)


def new_name():
    return f"gate{next(_numbers)}"


def sign(
    keys, host, user, *, service="elasticache", extra="", expires=900, age=timedelta(0), region="us-east-1"
):
    """A token as a client makes it, so many seconds ago."""
    request = AWSRequest("GET", f"http://{host}/?Action=connect&User={user}{extra}")
    with freeze_time(datetime.now(UTC) - age):
        SigV4QueryAuth(Credentials(*keys), service, region, expires=expires).add_auth(request)
    return request.url.removeprefix("http://")


@pytest.fixture(scope="session")
def keys(sandbox):
    environment = sandbox.environment()
    return environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]


SERVERLESS = "&ResourceType=ServerlessCache"


@pytest.fixture(scope="session", params=["elasticache", "memorydb", "serverless"])
def place(request, sandbox):
    """A database of each kind with an IAM user; what its tokens need, and its primary."""
    name = new_name()
    user = f"iam-{name}"
    if request.param == "memorydb":
        sandbox.create_iam_user(user, service="memorydb")
        node, *_ = sandbox.create_memorydb_cluster(name, [user], replicas=0)
        return SimpleNamespace(node=node, host=name, user=user, service="memorydb", extra="")
    sandbox.create_iam_user(user)
    if request.param == "serverless":
        node, *_ = sandbox.create_serverless_cache(name, [user])
        return SimpleNamespace(node=node, host=name, user=user, service="elasticache", extra=SERVERLESS)
    node, *_ = sandbox.create_replication_group(name, [user], replicas=0)
    return SimpleNamespace(node=node, host=name, user=user, service="elasticache", extra="")


@pytest.fixture(scope="session")
def group(sandbox):
    """A replication group with an IAM user and a password user."""
    name = new_name()
    sandbox.create_iam_user(f"iam-{name}")
    password = sandbox.create_user(f"app-{name}")
    nodes = sandbox.create_replication_group(name, [f"iam-{name}", f"app-{name}"], replicas=1)
    return SimpleNamespace(
        name=name, user=f"iam-{name}", app=f"app-{name}", password=password, node=nodes[0], nodes=nodes
    )


def gets_in(sandbox, node, user, password, **options):
    """Whether a client is let in, and knows who it is."""
    with sandbox.redis(node, user, password, **options) as client:
        try:
            return client.acl_whoami() == user
        except redis.AuthenticationError:
            return False


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_valid_token_is_let_in(sandbox, keys, place, protocol):
    token = sign(keys, place.host, place.user, service=place.service, extra=place.extra)
    assert gets_in(sandbox, place.node, place.user, token, protocol=protocol)


def test_a_token_for_the_other_kind_of_cache_is_refused(sandbox, keys, place):
    other = "" if place.extra else SERVERLESS
    token = sign(keys, place.host, place.user, service=place.service, extra=other)
    assert not gets_in(sandbox, place.node, place.user, token)


REFUSED = {
    "wrong signature": ({"secret": "another"}, "signature"),
    "unknown key": ({"key": "AKIANOBODYKNOWSTHIS1"}, "security token"),
    "another cache": ({"host": "orders-of-others"}, "for the cache"),
    "another user": ({"user": "somebody"}, "for the user"),
    "another service": ({"service": "memorydb"}, ""),
    "another region": ({"region": "eu-west-1"}, ""),
    "too old": ({"age": timedelta(minutes=15, seconds=5)}, "expired"),
    "not yet": ({"age": timedelta(minutes=-20)}, ""),
    "for longer than 15 minutes": ({"expires": 3600}, "at most 900"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_token_is_refused_for(sandbox, keys, group, change, reason):
    wish = {"host": group.name, "user": group.user} | change
    signing = wish.pop("key", keys[0]), wish.pop("secret", keys[1])
    token = sign(signing, wish.pop("host"), wish.pop("user"), **wish)
    since = max((entry["sequence"] for entry in sandbox.gate_logins()), default=0)
    assert not gets_in(sandbox, group.node, group.user, token)
    entry, *_ = sandbox.gate_logins(since)
    assert (entry["user"], entry["database"], entry["accepted"]) == (group.user, group.name, False)
    assert reason.lower() in entry["reason"].lower()
    assert "X-Amz" not in entry["reason"].replace("X-Amz-Expires", "").replace("X-Amz-Date", "")


def test_a_token_of_a_session_dies_with_it(sandbox, group):
    role = sandbox.create_role(new_name(), trusted=sandbox.account)
    assume = sandbox.boto3("sts").assume_role
    live = assume(RoleArn=role, RoleSessionName="session")["Credentials"]
    sandbox.set_session_lifetime(0)
    try:
        dead = assume(RoleArn=role, RoleSessionName="session")["Credentials"]
    finally:
        sandbox.set_session_lifetime(None)
    results = []
    for session in (live, dead):
        signing = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
        results.append(gets_in(sandbox, group.node, group.user, sign(signing, group.name, group.user)))
    assert results == [True, False]


def test_a_session_of_another_account_is_refused(sandbox, group):
    other = sandbox.open_account("210987654321").environment()
    token = sign((other["AWS_ACCESS_KEY_ID"], other["AWS_SECRET_ACCESS_KEY"]), group.name, group.user)
    assert not gets_in(sandbox, group.node, group.user, token)


def test_password_users_and_default_are_not_the_gates_business(sandbox, group):
    since = max((entry["sequence"] for entry in sandbox.gate_logins()), default=0)
    for node in group.nodes:
        assert gets_in(sandbox, node, group.app, group.password)
        assert not gets_in(sandbox, node, group.app, "x" * 32)
        assert not gets_in(sandbox, node, "default", "x" * 32)
    assert sandbox.gate_logins(since) == []


def test_big_values_pipelines_and_pubsub_pass(sandbox, group):
    value = bytes(range(256)) * 4096
    with (
        sandbox.redis(group.node, group.app, group.password, decode_responses=False) as client,
        client.pubsub() as listener,
    ):
        listener.subscribe("news")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        with client.pipeline(transaction=False) as pipeline:
            for number in range(50):
                pipeline.set(f"gate:{number}", value if number % 10 == 0 else b"small")
                pipeline.get(f"gate:{number}")
            replies = pipeline.execute()
        assert replies[1] == value
        assert replies[3] == b"small"
        client.publish("news", value)
        assert listener.get_message(timeout=5)["data"] == value


def test_a_login_late_in_a_session_is_checked_as_well(sandbox, keys, group):
    token = sign(keys, group.name, group.user)
    with sandbox.redis(group.node, group.app, group.password) as client, client.client() as one:
        assert one.execute_command("AUTH", group.user, token)
        assert one.acl_whoami() == group.user


def test_a_connection_ends_12_hours_after_its_latest_token(sandbox, keys, group):
    def is_alive(one):
        try:
            return one.ping()
        except redis.ConnectionError:
            return False

    def connection(client):
        client.connection.retry = Retry(NoBackoff(), 0)  # it would connect again by itself
        return client

    token = sign(keys, group.name, group.user)
    with (
        sandbox.redis(group.node, group.user, token) as of_token,
        sandbox.redis(group.node, group.app, group.password) as of_password,
        connection(of_token.client()) as left,
        connection(of_token.client()) as renewed,
        connection(of_password.client()) as without,
    ):
        sandbox.age_connections(11.9 * 3600)
        assert renewed.execute_command("AUTH", group.user, sign(keys, group.name, group.user))
        assert left.ping()
        sandbox.age_connections(0.2 * 3600)
        assert not is_alive(left)
        sandbox.age_connections(11.7 * 3600)
        assert is_alive(renewed)
        sandbox.age_connections(0.2 * 3600)
        assert not is_alive(renewed)
        assert is_alive(without)


def test_a_server_that_stops_refuses_and_one_that_is_paused_is_silent(sandbox, keys, group):
    node = group.nodes[1]
    sandbox.node(node.id, "stop")
    with pytest.raises(redis.ConnectionError):
        gets_in(sandbox, node, group.app, group.password)
    sandbox.node(node.id, "start")
    assert gets_in(sandbox, node, group.user, sign(keys, group.name, group.user))
    sandbox.node(node.id, "pause")
    with pytest.raises(redis.TimeoutError):
        gets_in(sandbox, node, group.app, group.password, socket_timeout=0.3, socket_connect_timeout=0.3)
    sandbox.node(node.id, "resume")
    assert gets_in(sandbox, node, group.user, sign(keys, group.name, group.user))


def test_a_database_that_gets_an_iam_user_later_keeps_its_address(sandbox, keys):
    name = new_name()
    password = sandbox.create_user(f"app-{name}")
    node, *_ = sandbox.create_replication_group(name, [f"app-{name}"], replicas=0)
    sandbox.create_iam_user(f"iam-{name}")
    sandbox.boto3("elasticache").modify_user_group(UserGroupId=f"{name}-users", UserIdsToAdd=[f"iam-{name}"])
    sandbox.settle()
    assert sandbox.nodes(name)[0].id == node.id
    assert gets_in(sandbox, node, f"iam-{name}", sign(keys, name, f"iam-{name}"))
    assert gets_in(sandbox, node, f"app-{name}", password)


def test_many_clients_come_and_go(sandbox, keys, group):
    token, failures = sign(keys, group.name, group.user), []

    def visit():
        failures.extend(number for number in range(5) if not gets_in(sandbox, group.node, group.user, token))

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_token_gets_in_by_hand_too_in_pieces(sandbox, keys, group):
    token = sign(keys, group.name, group.user)
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    with (
        socket.create_connection((group.node.host, group.node.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=group.node.host) as connection,
        connection.makefile("rb") as answers,
    ):
        line = f"PING\r\nAUTH {group.user} {token}\r\nACL WHOAMI\r\nQUIT\r\n".encode()
        for start in range(0, len(line), 50):
            connection.sendall(line[start : start + 50])
        user = group.user.encode()
        expected = [b"-NOAUTH Authentication required.", b"+OK", b"$%d" % len(user), user, b"+OK", b""]
        assert answers.read().split(b"\r\n") == expected


def test_a_user_goes_from_password_to_tokens_and_back(sandbox, keys, group):
    elasticache, name = sandbox.boto3("elasticache"), f"app-{new_name()}"
    password = sandbox.create_user(name)
    elasticache.modify_user_group(UserGroupId=f"{group.name}-users", UserIdsToAdd=[name])
    sandbox.settle()

    def ways_in():
        token = sign(keys, group.name, name)
        return [gets_in(sandbox, group.node, name, word) for word in (password, token)]

    assert ways_in() == [True, False]
    elasticache.modify_user(UserId=name, AuthenticationMode={"Type": "iam"})
    sandbox.settle()
    assert ways_in() == [False, True]
    elasticache.modify_user(
        UserId=name, AuthenticationMode={"Type": "password", "Passwords": [password, "p" * 16]}
    )
    sandbox.settle()
    assert ways_in() == [True, False]


def test_a_cluster_behind_gates_tells_the_addresses_of_its_gates_also_after_a_restart(sandbox, keys):
    name = new_name()
    sandbox.create_iam_user(f"iam-{name}", service="memorydb")
    primary, replica = nodes = sandbox.create_memorydb_cluster(name, [f"iam-{name}"])
    token = sign(keys, name, f"iam-{name}", service="memorydb")

    def addresses(node):
        with sandbox.redis(node, f"iam-{name}", token) as client:
            ((_, _, *servers),) = client.execute_command("CLUSTER SLOTS")
        return [server[1] for server in servers]

    assert [addresses(node) for node in nodes] == [[primary.port, replica.port]] * 2
    with sandbox.redis(replica, f"iam-{name}", token) as client, pytest.raises(redis.ResponseError) as moved:
        client.get("key")
    assert moved.value.args[0].endswith(f"127.0.0.1:{primary.port}")
    sandbox.node(replica.id, "stop")
    sandbox.node(replica.id, "start")
    # It leaves itself out until it has caught up.
    assert addresses(replica)[0] == primary.port
