"""Every kind of database and user that the product is named for, in two accounts, with one service."""

import json
from types import SimpleNamespace

import pytest
import redis

from deploy.sandbox.client import SandboxProcess
from tests.system.harness import Valkeeper, eventually, nobody_fails

EXTERNAL_ID = "the-id-that-was-agreed-on"
WRONG_ID = "some-other-id"
OLD_ENGINE = "6.2"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two accounts: the service's own, and one that it reaches through a role that asks for an ExternalId."""
    with SandboxProcess(empty=True, modify_delay=0.05) as sandbox:
        far = sandbox.open_account("210987654321")
        role = far.create_role("valkeeper", trusted=sandbox.account, external_id=EXTERNAL_ID)
        sandbox.create_user("app", managed=True)
        sandbox.create_iam_user("reporting")
        sandbox.create_replication_group("orders", ["app", "reporting"], replicas=1, wait=False)
        sandbox.create_user("sharded", managed=True)
        sandbox.create_replication_group("carts", ["sharded"], replicas=1, cluster=True, wait=False)
        sandbox.create_memorydb_user("web", managed=True)
        sandbox.create_iam_user("audit", service="memorydb")
        sandbox.create_memorydb_cluster("sessions", ["web", "audit"], replicas=1, wait=False)
        sandbox.create_user("edge", managed=True, engine="valkey")
        sandbox.create_iam_user("edge-iam")
        sandbox.create_serverless_cache("flash", ["edge", "edge-iam"], wait=False)
        far.create_user("app", managed=True)
        far.create_iam_user("reporting")
        far.create_replication_group("remote", ["app", "reporting"], replicas=0, wait=False)
        shared, filed = far.create_user("shared"), far.create_user("filed")
        far.create_user("kept", managed=True)
        far.create_replication_group("pinned", ["shared", "filed", "kept"], replicas=0, wait=False)
        far.boto3("secretsmanager").create_secret(Name="legacy/shared", SecretString=theirs("shared", shared))
        folder = tmp_path_factory.mktemp("files")
        write_password(folder, filed)
        sandbox.settle(60)
        yield SimpleNamespace(
            sandbox=sandbox,
            far=far,
            role=role,
            nodes=far.nodes("remote"),
            pinned=far.nodes("pinned"),
            folder=folder,
            shared=shared,
            filed=filed,
        )


def theirs(user, password):
    """A secret in AWS's own form, as somebody else keeps it."""
    return json.dumps({"username": user, "password": password, "engine": "redis"})


def write_password(folder, password):
    """Replace the file as people do: write beside it, and rename over it."""
    new = folder / "new"
    new.touch(mode=0o600)
    new.write_text(f"{password}\n")
    new.rename(folder / "filed.password")


def new_password_of(world, user, old):
    """Somebody else's rotation: the user has both passwords for a while."""
    new = f"{user}-and-a-password-of-somebody-else"
    world.far.boto3("elasticache").modify_user(UserId=user, Passwords=[old, new])
    world.sandbox.settle()
    return new


def config(world, folder):
    """Sources in both accounts, a role's wrong ExternalId, and two static databases on the same endpoint's account."""
    (pinned,) = [node for node in world.pinned if node.role == "primary"]
    (remote,) = [node for node in world.nodes if node.role == "primary"]
    return f"""
databases:
  - name: legacy
    uri: rediss://{pinned.id}
    labels: {{team: archive}}
    aws: {{region: us-east-1, assume_role_arn: "{world.role}", external_id: "{EXTERNAL_ID}"}}
    users:
      - {{name: shared, secret: legacy/shared}}
      - {{name: filed, password_file: {folder}/filed.password}}
  - name: far-away
    uri: rediss://{remote.id}
    description: the remote one under a name of our own
    aws: {{region: us-east-1, assume_role_arn: "{world.role}", external_id: "{EXTERNAL_ID}"}}
discovery:
  sources:
    - types: [elasticache, elasticache-serverless, memorydb]
      regions: [us-east-1]
    - {{types: [elasticache], regions: [us-east-1], assume_role_arn: "{world.role}", external_id: "{EXTERNAL_ID}"}}
    - {{types: [memorydb], regions: [us-east-1], assume_role_arn: "{world.role}", external_id: "{WRONG_ID}"}}
"""


@pytest.fixture(scope="module")
def valkeeper(world):
    settings = world.sandbox.environment() | {
        "VALKEEPER_PROXY__UPSTREAM__CA_FILE": str(world.sandbox.ca_file),
    }
    with Valkeeper(settings, config=config(world, world.folder)) as service:
        yield service


EVERYBODY = [
    ("orders", "app"),
    ("orders-reader", "app"),
    ("orders", "reporting"),
    ("orders-reader", "reporting"),
    ("carts", "sharded"),
    ("sessions", "web"),
    ("sessions", "audit"),
    ("flash", "edge"),
    ("flash", "edge-iam"),
    ("far-away", "app"),
    ("far-away", "reporting"),
    ("legacy", "shared"),
    ("legacy", "filed"),
    ("legacy", "kept"),
]


@pytest.mark.parametrize(("database", "user"), EVERYBODY)
def test_every_kind_of_user_gets_in_without_a_password(valkeeper, database, user):
    valkeeper.wait_for_clients(user, database=database)


def user_of(valkeeper, user_id, service, account):
    (found,) = [
        one
        for one in valkeeper.get("/v1/users")
        if (one["id"], one["service"], one["account"]) == (user_id, service, account)
    ]
    return found


def test_users_of_every_service_and_account_are_rotated_while_clients_connect(valkeeper, world):
    """Each into the secrets of its own account, whatever else is called the same."""
    for database, user in EVERYBODY:
        valkeeper.wait_for_clients(user, database=database)
    with nobody_fails(valkeeper, "app", databases=("orders", "orders-reader", "far-away")):
        done = valkeeper.post("/v1/rotations", {"all": True, "wait": True, "wait_seconds": 60})
    assert {one["result"] for one in done} == {"rotated"}
    assert len(done) == 6
    for account, here in ((world.sandbox, world.sandbox.account), (world.far, world.far.account)):
        name = f"valkeeper/elasticache/us-east-1/{here}/user/app"
        listed = account.boto3("secretsmanager").list_secrets()["SecretList"]
        assert name in {one["Name"] for one in listed}
        ours = [one["Name"] for one in listed if one["Name"].startswith("valkeeper/")]
        assert all(f"/{here}/" in name for name in ours)


def test_an_iam_user_has_a_token_and_no_secret(valkeeper, world):
    for user, service in (("reporting", "elasticache"), ("audit", "memorydb")):
        shown = user_of(valkeeper, user, service, world.sandbox.account)
        assert (shown["care"], shown["state"], shown["secret_arn"]) == ("iam", "fresh", None)
        assert 0 < shown["token_life_seconds"] <= 900
    assert valkeeper.run("rotate", "audit").returncode == 2


def test_the_gate_saw_tokens_signed_by_the_accounts_own_session(world):
    accepted = {
        (one["account"], one["database"], one["user"])
        for account in (world.sandbox, world.far)
        for one in account.gate_logins()
        if one["accepted"]
    }
    assert (world.sandbox.account, "orders", "reporting") in accepted
    assert (world.far.account, "remote", "reporting") in accepted
    assert not [one for one in world.far.gate_logins() if not one["accepted"]]


def test_a_wrong_external_id_fails_its_own_source_and_says_what_to_check(valkeeper, world):
    sources = {one["name"]: one for one in valkeeper.get("/v1/status")["sources"]}
    failing = {name: one["error"] for name, one in sources.items() if one["error"]}
    assert len(failing) == 1
    (error,) = failing.values()
    assert f"the role {world.role} can't be assumed" in error
    assert "external_id" in error
    assert WRONG_ID not in error


def test_no_login_fails_while_a_sessions_credentials_roll_over(valkeeper, world):
    """Sessions of the role live for three seconds, so tokens are renewed with other keys every second."""
    valkeeper.wait_for_clients("reporting", database="far-away")
    world.sandbox.set_session_lifetime(3)
    try:
        # The session that is in use lives for an hour, so a new service is what meets short ones.
        valkeeper.kill_rotator()
        since = max((one["sequence"] for one in world.far.gate_logins()), default=0)
        valkeeper.start()
        with nobody_fails(valkeeper, "reporting", databases=("far-away",)):
            keys = set()

            def three_sessions_signed():
                asked = world.sandbox.requests()
                keys.update(
                    one["sequence"]
                    for one in asked
                    if (one["operation"], one["status"]) == ("AssumeRole", 200)
                )
                return len(keys) >= 4

            eventually(three_sessions_signed, what="four sessions, one after another")
    finally:
        world.sandbox.set_session_lifetime(None)
    assert [one for one in world.far.gate_logins(since) if not one["accepted"]] == []


def test_a_static_database_stands_in_for_the_discovered_one(valkeeper, world):
    valkeeper.wait_for_user("kept", state="fresh")
    databases = {one["name"]: one for one in valkeeper.get("/v1/databases")}
    assert "remote" not in databases
    assert "pinned" not in databases
    assert databases["far-away"]["description"] == "the remote one under a name of our own"
    legacy = databases["legacy"]
    assert (legacy["kind"], legacy["account"]) == ("elasticache", world.far.account)
    assert legacy["labels"]["team"] == "archive"
    assert legacy["users"] == ["filed", "kept", "shared"]


def test_an_existing_secret_is_followed_when_somebody_else_rotates_it(valkeeper, world):
    valkeeper.wait_for_clients("shared", database="legacy")
    with nobody_fails(valkeeper, "shared", databases=("legacy",)):
        new = new_password_of(world, "shared", world.shared)
        secrets = world.far.boto3("secretsmanager")
        secrets.put_secret_value(SecretId="legacy/shared", SecretString=theirs("shared", new))
        # The old one ends at once, and no discovery is due for an hour: a client's refusal is what it is noticed by.
        world.far.boto3("elasticache").modify_user(UserId="shared", Passwords=[new])
        world.sandbox.settle()
    assert world.far.passwords("shared") == [new]


def test_a_password_file_is_read_again_when_it_is_replaced(valkeeper, world):
    valkeeper.wait_for_clients("filed", database="legacy")
    mark = valkeeper.mark()
    with nobody_fails(valkeeper, "filed", databases=("legacy",)):
        new = new_password_of(world, "filed", world.filed)
        write_password(world.folder, new)
        valkeeper.wait_for_event("password_file_read", mark)
        world.far.boto3("elasticache").modify_user(UserId="filed", Passwords=[new])
        world.sandbox.settle()


def handed_on(valkeeper, state):
    users = [one for one in valkeeper.get("/v1/users") if one["care"] == "handed-on" and one["id"] == "filed"]
    return next((one for one in users if one["state"] == state), None)


def test_a_password_file_that_others_can_read_is_told_and_the_last_good_password_kept(valkeeper, world):
    file = world.folder / "filed.password"
    file.chmod(0o644)
    try:
        shown = eventually(lambda: handed_on(valkeeper, "failing"), what="the failing file")
        assert "chmod 0600" in shown["reason"]
        assert shown["source"] == f"password_file {file}"
        assert valkeeper.get("/v1/status")["users"]["failing"] == 1
        assert valkeeper.lets_in("filed", database="legacy")
    finally:
        file.chmod(0o600)
    eventually(lambda: handed_on(valkeeper, "fresh"), what="the mended file")


def test_who_can_have_no_token_is_told_why(valkeeper, world):
    elasticache = world.sandbox.boto3("elasticache")
    world.sandbox.create_iam_user("late")
    elasticache.modify_user_group(UserGroupId="orders-users", UserIdsToAdd=["late"])
    world.sandbox.settle()
    valkeeper.discover()
    valkeeper.wait_for_clients("late")
    elasticache.modify_user(UserId="late", AccessString="off ~* +@all")
    world.sandbox.settle()
    valkeeper.discover()
    shown = valkeeper.wait_for_user("late", state="blocked")
    assert "its access string says off" in shown["reason"]
    assert "iam_user_not_served" in {event["event"] for event in valkeeper.events()}
    with pytest.raises(redis.RedisError):
        valkeeper.client("late").ping()


def test_the_command_line_shows_what_each_is_logged_in_with(valkeeper):
    shown = valkeeper.run("users").stdout
    assert "memorydb 123456789012/us-east-1" in shown
    assert "elasticache 210987654321/us-east-1" in shown
    assert "token, ends in" in shown
    assert "password, " in shown
