"""Static databases alone: no AWS, no credentials for it, and no call to it."""

import socket
from pathlib import Path

import pytest

from tests.system.harness import Valkeeper

CONFIG = """
discovery:
  sources: []
databases:
  - name: legacy
    uri: rediss://127.0.0.1:{port}
    tls: {{ca_file: {ca_file}}}
    users:
      - {{name: legacy, password_file: {folder}/legacy.password}}
      - {{name: loose, password_file: {folder}/loose.password}}
  - name: silent
    uri: rediss://127.0.0.1:{silent_port}
  - name: nobody
    uri: rediss://127.0.0.1:{closed_port}
proxy:
  listeners:
    - unix: "{{runtime_dir}}/{{database}}.sock"
    - unix: "{{runtime_dir}}/everything.sock"
  upstream: {{connect_timeout: 1s}}
"""


@pytest.fixture(scope="module")
def trap():
    """Where every HTTP client of the service is sent: whoever calls AWS calls here."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        yield trap


@pytest.fixture(scope="module")
def static(sandbox, tmp_path_factory, trap):
    """A service with a database that answers, one that accepts and says nothing, and one that is not there."""
    folder = tmp_path_factory.mktemp("passwords")
    (password,) = sandbox.passwords("legacy")
    for name, mode in (("legacy", 0o600), ("loose", 0o644)):
        file = folder / f"{name}.password"
        file.write_text(password + "\n")
        file.chmod(mode)
    primary = next(node for node in sandbox.nodes("orders") if node.role == "primary")
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = CONFIG.format(
            port=primary.port,
            ca_file=sandbox.ca_file,
            folder=folder,
            silent_port=silent.getsockname()[1],
            closed_port=closed.getsockname()[1],
        )
        proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
        with Valkeeper({"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}, config=config) as valkeeper:
            yield valkeeper.wait_for_clients("legacy", database="legacy")


def test_a_client_gets_in_with_the_password_from_the_file(static):
    commands = "AUTH legacy x\nSET static yes\nGET static\n"
    assert static.redis_cli(database="legacy", commands=commands) == ["OK", "OK", "yes"]


def test_no_call_to_aws_is_made(static, trap):
    static.discover()
    assert not [name for name in static.environment if name.startswith("AWS_")]
    assert "valkeeper_aws_requests_total{" not in static.ask("GET", "/metrics")[1]
    with pytest.raises(BlockingIOError):
        trap.accept()


def test_status_and_databases_are_told_as_ever(static):
    assert static.get("/v1/status")["ready"]
    assert [one["name"] for one in static.get("/v1/databases")] == ["legacy", "nobody", "silent"]


def test_a_password_file_that_others_can_read_is_refused_with_what_to_do_and_used_when_mended(
    static, sandbox
):
    said = static.wait_for_event("password_file_unusable", user="static/legacy/user/loose")
    assert "has mode 0644, so others can reach it: chmod 0600" in said["error"]
    assert not static.lets_in("loose", database="legacy")
    Path(said["error"].split()[1]).chmod(0o600)
    static.discover()
    static.wait_for_event("password_file_read", user="static/legacy/user/loose")


@pytest.mark.parametrize(
    ("user", "database", "says"),
    [
        (
            "app",
            "nobody",
            "database 'nobody' at 127.0.0.1:{} is unreachable (connection refused); check its security group",
        ),
        (
            "app",
            "silent",
            "database 'silent' at 127.0.0.1:{} is unreachable (no answer within 1 s); check its security group",
        ),
        (
            "app@mistyped",
            "everything",
            "there is no database 'mistyped'; list them with: valkeeper databases",
        ),
        ("app", "everything", "this address serves every database; name one by logging in as user@database"),
    ],
)
def test_a_client_that_cannot_be_served_is_told_why_and_what_to_do(static, user, database, says):
    (said,) = static.redis_cli(database=database, commands=f"AUTH {user} x\n")[:1]
    assert said.startswith(("ERR valkeeper: ", "NOAUTH valkeeper: "))
    before, _, after = says.partition("{}")
    assert before in said
    assert after in said
