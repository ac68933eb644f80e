"""The sandbox as a process: what it starts with, says, and leaves behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.sandbox.client import SandboxError, SandboxProcess

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def filled():
    """A sandbox with its default holdings."""
    with SandboxProcess(modify_delay=0.05) as process:
        yield process


def gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_it_holds_one_database_and_users_of_every_kind(filled):
    elasticache = filled.boto3("elasticache")
    assert {(node.replication_group, node.role) for node in filled.nodes()} == {
        ("orders", "primary"),
        ("orders", "replica"),
    }
    tagged = filled.boto3("resourcegroupstaggingapi").get_resources(
        ResourceTypeFilters=["elasticache:user"], TagFilters=[{"Key": "teleport.dev/managed"}]
    )
    arns = [resource["ResourceARN"] for resource in tagged["ResourceTagMappingList"]]
    assert arns == [filled.user_arn("app"), filled.user_arn("batch")]
    group = elasticache.describe_user_groups(UserGroupId="orders-users")["UserGroups"][0]
    assert group["UserIds"] == ["orders-default", "app", "batch", "legacy"]
    for user in ("app", "batch", "legacy"):
        for node in filled.nodes():
            with filled.redis(node, user, *filled.passwords(user)) as client:
                assert client.acl_whoami() == user


def test_what_it_tells_has_no_password_in_it(filled):
    passwords = [password for user in ("app", "batch", "legacy") for password in filled.passwords(user)]
    told = str(filled.control("GET", "")) + str(filled.about)
    assert len(passwords) == 3
    assert not any(password in told for password in passwords)


def test_no_password_is_in_a_process_listing(filled):
    for node in filled.nodes():
        command = Path(f"/proc/{node.pid}/cmdline").read_bytes().split(b"\0")
        assert command[0].endswith(b"redis-server") or b"redis-server" in command[0]
        assert b">" not in b" ".join(command)


def test_wrong_addresses_of_the_control_api(filled):
    for method, path in [("GET", "nowhere"), ("GET", "passwords/nobody"), ("POST", "nodes/nowhere/stop")]:
        with pytest.raises(SandboxError):
            filled.control(method, path)


def test_a_person_is_told_what_to_export_and_try_and_no_secret():
    command = [sys.executable, "-m", "deploy.sandbox", "--port", "0", "--empty", "--until-eof"]
    said = subprocess.run(
        command, cwd=REPOSITORY, input="", capture_output=True, text=True, check=True, timeout=30
    )
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:" in said.stdout
    assert said.stderr == ""


def test_stopping_leaves_no_server_and_no_file():
    sandbox = SandboxProcess(empty=True)
    pids = [node.pid for node in sandbox.create_replication_group("short-lived", replicas=0)]
    assert sandbox.ca_file.exists()
    sandbox.stop()
    assert all(gone(pid) for pid in pids)
    assert not sandbox.ca_file.parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_servers_do_not_outlive_a_killed_sandbox():
    sandbox = SandboxProcess(empty=True)
    pids = [node.pid for node in sandbox.create_replication_group("short-lived", replicas=0)]
    sandbox.kill()
    until(lambda: all(gone(pid) for pid in pids))
    assert not sandbox.ca_file.exists()
