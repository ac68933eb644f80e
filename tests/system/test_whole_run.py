"""A whole run, with a restart and everything that can go wrong with a password: how it ends, and what it shows.

No password may appear anywhere but where it has to, so everything that the run shows is searched for all of them.
"""

import contextlib
import http.client
import secrets
import socket
import threading
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.system.harness import Account, Valkeeper, eventually

REGION = "ap-southeast-2"
CONFIG = """
databases:
  - name: static
    uri: rediss://127.0.0.1:{port}
    users:
      - {{name: {user}, password_file: {file}}}
log: {{level: debug}}
"""


def canary(what):
    return f"canary-{what}-{secrets.token_hex(12)}"


class Showing:
    """Everything that the product showed to anybody, by where it was."""

    def __init__(self, valkeeper):
        self.texts = {}
        self._valkeeper = valkeeper
        self._events = []
        self._thread = None

    def follow(self):
        """Read what the service streams, until it ends."""
        self._thread = threading.Thread(
            target=self._follow, args=self._valkeeper.open("/v1/events"), name="events"
        )
        self._thread.start()

    def _follow(self, connection, answer):
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            self._events.extend(iter(answer.readline, b""))

    def note(self, where, text):
        self.texts[where] = self.texts.get(where, "") + text
        return text

    def ask(self, method, path, body=None):
        status, text = self._valkeeper.ask(method, path, body)
        self.note(f"{method} {path}", text)
        return status

    def run(self, *arguments):
        done = self._valkeeper.run(*arguments)
        self.note(" ".join(arguments), done.stdout + done.stderr)
        return done.returncode

    def look_around(self):
        """Take down what is there now: the whole API, both faces' metrics, and what any user sees of the processes."""
        for path in self._valkeeper.get("/openapi.json")["paths"]:
            if "{" not in path and path not in ("/v1/events", "/v1/discoveries"):
                assert self.ask("GET", path) == 200
        for path in ("/metrics", "/readyz", "/healthz"):
            with urllib.request.urlopen(self._valkeeper.admin + path) as answer:
                self.note(f"tcp {path}", answer.read().decode())
        for role, pid in self._valkeeper.processes().items():
            for file in ("cmdline", "environ"):
                self.note(
                    f"{role.split()[0]} {file}", Path(f"/proc/{pid}/{file}").read_text().replace("\0", "\n")
                )

    def end(self):
        """When the service has ended: what it streamed, and all files it leaves."""
        self._thread.join()
        self.note("/v1/events", b"".join(self._events).decode())
        for file in self._valkeeper.folder.rglob("*"):
            if file.is_file():
                self.note(file.name, file.read_text())


@pytest.fixture(scope="module")
def run(sandbox, tmp_path_factory):
    """A whole run at log level debug, with everything that can go wrong with a password; then all that it showed."""
    account = Account(sandbox, REGION)
    account.new_database("vault")
    user, first = account.new_user("vault")
    batch, handed_on = account.new_user("vault", managed=False)
    canaries = {"first": first, "handed on": handed_on}
    canaries |= {
        what: canary(what) for what in ("guessed", "typed", "hello", "misspelt", "by-hand", "in-vain")
    }
    file = tmp_path_factory.mktemp("static") / "batch.password"
    file.touch(0o600)
    file.write_text(handed_on)
    port = sandbox.boto3("elasticache", region=REGION).describe_replication_groups(
        ReplicationGroupId="vault"
    )["ReplicationGroups"][0]["NodeGroups"][0]["PrimaryEndpoint"]["Port"]
    config = CONFIG.format(port=port, user=batch, file=file)
    with Valkeeper(
        account.settings() | {"VALKEEPER_PROXY__UPSTREAM__CONNECT_TIMEOUT": "2s"}, config=config
    ) as valkeeper:
        showing = Showing(valkeeper)
        showing.follow()
        valkeeper.wait_for_clients(user, database="vault").wait_for_clients(batch, database="static")
        assert showing.run("rotate", "--all", "--wait") == 0
        assert showing.run("users", "--json") == 0
        said = valkeeper.redis_cli(
            database="vault",
            commands=f"AUTH {batch} {canaries['guessed']}\n"
            f"AUTH {user} {canaries['typed']}\n"
            f"HELLO 3 AUTH {user} {canaries['hello']} SETNAME me\n"
            f"AUTH {user} {canaries['misspelt']} superfluous\n"
            f"HELLO 3 AUTH {user} {canaries['misspelt']} NONSENSE\n",
        )
        assert said[0].startswith("WRONGPASS")
        showing.look_around()
        valkeeper.kill_rotator()
        mark = valkeeper.mark()
        valkeeper.start()
        showing.follow()
        valkeeper.wait_for_event("proxy_connected", mark)
        account.elasticache.modify_user(UserId=user, Passwords=[canaries["by-hand"]])
        sandbox.settle()
        # A busy machine may take longer to heal than a client waits.
        valkeeper.wait_for_clients(user, database="vault").wait_for_event("rotation", mark, result="healed")
        with sandbox.fault(
            "elasticache", "DescribeUsers", "fail", code="AccessDenied", status=403, count=None
        ):
            account.elasticache.modify_user(UserId=user, Passwords=[canaries["in-vain"]])
            sandbox.settle()
            assert not valkeeper.lets_in(user, database="vault")
            showing.ask("POST", "/v1/rotations", {"users": [user], "wait": True})
            showing.look_around()
        refused = sandbox.fault(
            "secretsmanager", "PutSecretValue", "fail", code="EncryptionFailure", status=400
        )
        lost = sandbox.fault("elasticache", "ModifyUser", "lose")
        for fault in (refused, lost):
            with fault:
                showing.ask("POST", "/v1/rotations", {"users": [user], "wait": True})
        showing.ask("POST", "/v1/rotations", {"users": ["nobody"]})
        showing.ask("POST", "/v1/discoveries")
        eventually(lambda: valkeeper.lets_in(user, database="vault"), what="the end of all trouble")
        showing.look_around()
        for version in account.versions(user):
            if "password" in (value := account.value(user, version)):
                canaries[f"version {version}"] = value["password"]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(valkeeper.socket("vault")))
            client.sendall(f"AUTH {user} x\r\n".encode())
            assert client.recv(100) == b"+OK\r\n"
            status = valkeeper.stop()
            last_words = client.recv(1000)
        eventually(lambda: not valkeeper.processes(), what="the end of all processes")
        sockets = list(valkeeper.runtime_dir.rglob("*.sock"))
        showing.end()
        yield SimpleNamespace(
            canaries=canaries,
            texts=showing.texts,
            events=[event["event"] for event in valkeeper.events()],
            status=status,
            last_words=last_words,
            sockets=sockets,
        )


def test_the_run_was_a_whole_one(run):
    """Otherwise the search below would find nothing because there was nothing."""
    log = run.texts["log"]
    for event in (
        "adopted",
        "rotated",
        "healed",
        "credential_rejected",
        "password_file_read",
        "client refused",
    ):
        assert event in log
    for event in ("session opened", "service_stopped", "proxy stopped"):
        assert event in log
    assert sum(name.startswith("version") for name in run.canaries) >= 3
    for where in ("users --json", "GET /v1/users", "GET /v1/rotations", "/v1/events", "POST /v1/rotations"):
        assert len(run.texts[where]) > 100
    for where in ("GET /metrics", "tcp /metrics"):
        assert "valkeeper_rotations_total" in run.texts[where]
    for role in ("rotator", "proxy", "worker"):
        assert run.texts[f"{role} cmdline"]
        assert "VALKEEPER_PROXY__RUNTIME_DIR" in run.texts[f"{role} environ"]


def test_no_password_is_shown_anywhere(run):
    shown = {
        (where, what)
        for where, text in run.texts.items()
        for what, password in run.canaries.items()
        if password in text
    }
    assert shown == set()


def test_sigterm_ends_rotator_and_proxy_and_takes_the_sockets_away(run):
    assert run.status == 0
    assert run.sockets == []
    assert "proxy stopped" in run.events
    assert run.last_words == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"


def test_the_rotator_ends_after_its_proxy(run):
    assert run.events.index("proxy stopped") < run.events.index("service_stopped")
