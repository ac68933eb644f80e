"""The product as a user starts it: the console script, its proxy and workers, as real processes that can be killed."""

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONSOLE_SCRIPT = str(Path(sys.executable).parent / "valkeeper")
PATIENCE = 30.0

_FAST = {
    "VALKEEPER_ROTATION__INTERVAL": "1h",
    "VALKEEPER_ROTATION__JITTER": "0s",
    "VALKEEPER_DISCOVERY__INTERVAL": "1h",
    "VALKEEPER_PROXY__DRAIN_TIMEOUT": "0.2s",
    "VALKEEPER_ADMIN__LISTEN": "127.0.0.1:0",
}
_OURS = ("AWS_", "VALKEEPER_", "COV_CORE_")
_numbers = itertools.count(1)


def eventually(question, *, patience=PATIENCE, what="it"):
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + patience
    while not (answer := question()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {patience:g} s")
        time.sleep(0.01)
    return answer


def is_running(pid):
    """Whether a process lives: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def redis_client(path, user=None, password="whatever", **options):
    """A redis-py client that connects anew and never retries, so that every failure is seen."""
    settings = {"decode_responses": True, "socket_timeout": 15, "retry": Retry(NoBackoff(), 0)}
    login = {"username": user, "password": password} if user is not None else {}
    return redis.Redis(unix_socket_path=str(path), **settings | login | options)


class Valkeeper:
    """`valkeeper serve` with a runtime folder of its own, and everything that it starts.

    Args:
        environment: what it is told: AWS's variables and `VALKEEPER_…`.
        config: the text of a configuration file, if it has one.
        arguments: of `valkeeper serve`.
    """

    def __init__(self, environment, *, config=None, arguments=()):
        # Short: a Unix socket's path has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="vk"))
        self.folder.chmod(0o755)
        self.runtime_dir = self.folder / "run"
        self._log = self.folder / "log"
        self._log.touch()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        mine = {"VALKEEPER_PROXY__RUNTIME_DIR": str(self.runtime_dir)}
        if config is not None:
            file = self.folder / "valkeeper.yaml"
            file.write_text(config)
            mine["VALKEEPER_CONFIG"] = str(file)
        self.environment = inherited | _FAST | dict(environment) | mine
        self._arguments = arguments
        self._process = None
        self._started_at = 0  # where in the log the latest rotator's part begins

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    # Its life.

    def start(self, *, wait=True):
        """Start a rotator, which starts a proxy where there is none; ready when this returns."""
        self._started_at = self._log.stat().st_size
        self._process = self.spawn("serve", *self._arguments)
        return self.wait_until_ready() if wait else self

    def spawn(self, *arguments):
        """Start any of its commands, with its settings and its log."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [CONSOLE_SCRIPT, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self):
        eventually(self._is_ready, what=f"readiness, as told by the log:\n{self.log()}\nit")
        return self

    def _is_ready(self):
        if self._process.poll() is not None:
            pytest.fail(f"valkeeper serve ended with {self._process.returncode}:\n{self.log()}")
        # Not by the file alone: a rotator that was killed leaves its socket behind.
        with contextlib.suppress(OSError):
            return self.ask("GET", "/readyz")[0] == 200
        return False

    def stop(self, timeout=PATIENCE):
        """End it as systemd does, and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill_rotator(self):
        """End it as the kernel does when memory runs out."""
        self._process.kill()
        self._process.wait()

    def close(self):
        """End everything, and leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self.kill_rotator()
        for _ in range(3):  # a parent that is being killed may just have started a worker
            for pid in self.processes().values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes(), what="the end of all processes")
        shutil.rmtree(self.folder)

    # Its processes.

    @property
    def rotator(self):
        """The rotator's process id."""
        return self._process.pid

    @property
    def proxy(self):
        """The proxy parent's process id; None: there is none."""
        return self._only("proxy")

    @property
    def worker(self):
        """The worker's process id; None: there is none."""
        return self._only("worker")

    def _only(self, role):
        pids = [pid for name, pid in self.processes().items() if name.startswith(role)]
        assert len(pids) < 2, f"{len(pids)} processes are {role}"
        return pids[0] if pids else None

    def processes(self):
        """All that live with this runtime folder in their environment, by role and process id."""
        mark = f"VALKEEPER_PROXY__RUNTIME_DIR={self.runtime_dir}\0".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes() + b"\0" and is_running(folder.name):
                    command = (folder / "cmdline").read_bytes().split(b"\0")
                    found[f"{_role(command)} {folder.name}"] = int(folder.name)
        return found

    # What it says.

    def log(self):
        """Everything that its processes wrote."""
        return self._log.read_text()

    def mark(self):
        """A place in the log, for `events`."""
        return self._log.stat().st_size

    def events(self, name=None, since=0):
        """The log's events, of one name or of all, from a place in it on."""
        found = []
        with self._log.open("rb") as log:
            log.seek(since)
            for line in log.read().splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if name in (None, event["event"]):
                        found.append(event)
        return found

    def wait_for_event(self, name, since=0, **facts):
        """Wait for an event with these facts, and return it."""

        def found():
            events = self.events(name, since)
            return next((one for one in events if facts.items() <= one.items()), None)

        return eventually(found, what=f"the event {name} with {facts} in the log:\n{self.log()}\nit")

    @property
    def admin(self):
        """The address of /metrics and the probes of the latest rotator."""
        return self.wait_for_event("service_started", self._started_at)["admin"]

    # What it is asked.

    def run(self, *arguments, timeout=60):
        """Run a command of its command line to its end."""
        return subprocess.run(
            [CONSOLE_SCRIPT, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def open(self, path):
        """A connection to the admin API and its answer, unread: for what never ends."""
        connection = _ControlConnection(self.runtime_dir / "control" / "admin.sock")
        connection.request("GET", path)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None):
        """The admin API's status and text."""
        connection = _ControlConnection(self.runtime_dir / "control" / "admin.sock")
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def get(self, path):
        """What the admin API answers."""
        status, text = self.ask("GET", path)
        assert status == 200, text
        return json.loads(text)

    def post(self, path, body=None):
        """What the admin API answers to an order."""
        status, text = self.ask("POST", path, body)
        assert status < 300, text
        return json.loads(text)

    def user(self, user_id):
        """How a user stands; None: it is not known."""
        return next((one for one in self.get("/v1/users") if one["id"] == user_id), None)

    def wait_for_user(self, user_id, **facts):
        """Wait until a user stands so, and return how it stands."""

        def found():
            user = self.user(user_id)
            return user if user is not None and facts.items() <= user.items() else None

        return eventually(found, what=f"user {user_id} with {facts}, as told by the log:\n{self.log()}\nit")

    def discover(self):
        """Have it look at AWS now, not when its interval is over."""
        self.post("/v1/discoveries")

    def rotate(self, *users):
        """Rotate users, and wait; what became of each."""
        return self.post("/v1/rotations", {"users": users, "wait": True, "wait_seconds": 30})

    # Its clients.

    def socket(self, database):
        """Where clients of a database connect."""
        return self.runtime_dir / f"{database}.sock"

    def client(self, user=None, password="whatever", *, database="orders", **options):
        """A redis-py client; without `user` it sends no AUTH."""
        return redis_client(self.socket(database), user, password, **options)

    def redis_cli(self, *arguments, database="orders", commands=""):
        """What redis-cli prints for commands, one a line."""
        cli = subprocess.run(
            ["redis-cli", "-s", str(self.socket(database)), *arguments],
            input=commands,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return (cli.stdout + cli.stderr).splitlines()

    def lets_in(self, user, *, database="orders", password="whatever"):
        """Whether a client that connects now is logged in as a user."""
        try:
            with self.client(user, password, database=database) as client:
                return client.acl_whoami() == user
        except redis.RedisError:
            return False

    def wait_for_clients(self, *users, database="orders"):
        """Wait until clients get in as these users."""
        for user in users:
            eventually(
                lambda user=user: self.lets_in(user, database=database),
                what=f"a login as {user} at {database}, as told by the log:\n{self.log()}\nit",
            )
        return self


class _ControlConnection(http.client.HTTPConnection):
    """HTTP on the control socket."""

    def __init__(self, path):
        super().__init__("valkeeper", timeout=60)
        self._path = path

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        self.sock = connection


def _role(command):
    if b"proxy.worker" in command:
        return "worker"
    if b"proxy" in command:
        return "proxy"
    return "rotator" if b"serve" in command else "command"


class Hammer:
    """A thread of clients that each connect anew, write and read, and leave; it counts how that goes.

    Args:
        valkeeper: through whose sockets.
        users: who they log in as, with any password.
        databases: where; all users at all of them, in turn.
        pause: seconds between clients, so that a core is left for those who are tested.
    """

    def __init__(self, valkeeper, users, databases=("orders", "orders-reader"), *, pause=0.02):
        self._clients = [(valkeeper.socket(database), user) for user in users for database in databases]
        self._pause = pause
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hammer")
        self.successes = 0
        self.failures = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._enough.set()
        self._thread.join()

    def wait_for(self, rounds=1):
        """Wait until clients of every kind have come that many times more, well or not."""
        end = self.successes + len(self.failures) + rounds * len(self._clients) + 1
        eventually(lambda: self.successes + len(self.failures) >= end, what="more clients")

    def _run(self):
        for path, user in itertools.cycle(self._clients):
            try:
                with redis_client(path, user) as client:
                    assert client.acl_whoami() == user
                self.successes += 1
            except (redis.RedisError, OSError, AssertionError) as error:
                self.failures.append(f"{user} at {path.name}: {type(error).__name__}: {error}")
            if self._enough.wait(self._pause):
                return


@contextlib.contextmanager
def nobody_fails(valkeeper, *users, **options):
    """Hammer all the while, and see that not one client failed."""
    with Hammer(valkeeper, users, **options) as hammer:
        hammer.wait_for()
        yield hammer
        hammer.wait_for()
    assert hammer.failures == []


class Account:
    """A sandbox's AWS account in one region: what the product wrote there, and the users it is to manage."""

    def __init__(self, sandbox, region=None):
        self.sandbox = sandbox
        self.region = region or sandbox.region
        self.elasticache = sandbox.boto3("elasticache", region=self.region)
        self.secrets = sandbox.boto3("secretsmanager", region=self.region)

    def settings(self):
        """The environment in which `valkeeper serve` looks after this account."""
        return self.sandbox.environment() | {
            "AWS_DEFAULT_REGION": self.region,
            "VALKEEPER_PROXY__UPSTREAM__CA_FILE": str(self.sandbox.ca_file),
        }

    def new_user(self, database="orders", *, user_id=None, managed=True):
        """A user of a database, of a name that nobody else has; its id and its first password."""
        user_id = user_id or f"user-{next(_numbers)}"
        password = f"first-password-of-{user_id}"
        self.elasticache.create_user(
            UserId=user_id,
            UserName=user_id,
            Engine="redis",
            AccessString="on ~* &* +@all",
            Passwords=[password],
            Tags=[{"Key": "teleport.dev/managed", "Value": "true"}] if managed else [],
        )
        self.elasticache.modify_user_group(UserGroupId=f"{database}-users", UserIdsToAdd=[user_id])
        self.sandbox.settle()
        return user_id, password

    def new_database(self, name):
        """A replication group of one primary and one reader."""
        default = f"{name}-default"
        self.elasticache.create_user(
            UserId=default,
            UserName="default",
            Engine="redis",
            AccessString="off -@all",
            NoPasswordRequired=True,
        )
        self.elasticache.create_user_group(UserGroupId=f"{name}-users", Engine="redis", UserIds=[default])
        self.elasticache.create_replication_group(
            ReplicationGroupId=name,
            ReplicationGroupDescription=name,
            Engine="redis",
            TransitEncryptionEnabled=True,
            UserGroupIds=[f"{name}-users"],
            ReplicasPerNodeGroup=1,
        )
        self.sandbox.settle()

    def secret_id(self, user_id):
        return f"valkeeper/elasticache/{self.region}/{self.sandbox.account}/user/{user_id}"

    def labels(self, user_id):
        """Version ids by staging label; empty: there is no secret."""
        try:
            described = self.secrets.describe_secret(SecretId=self.secret_id(user_id))
        except self.secrets.exceptions.ResourceNotFoundException:
            return {}
        versions = described.get("VersionIdsToStages", {})
        return {label: version for version, labels in versions.items() for label in labels}

    def versions(self, user_id):
        """All versions of a user's secret, oldest first: their ids."""
        listed = self.secrets.list_secret_version_ids(
            SecretId=self.secret_id(user_id), IncludeDeprecated=True
        )["Versions"]
        return [one["VersionId"] for one in sorted(listed, key=lambda one: one["CreatedDate"])]

    def created(self, user_id):
        """When these versions were made, in seconds since the epoch."""
        listed = self.secrets.list_secret_version_ids(
            SecretId=self.secret_id(user_id), IncludeDeprecated=True
        )["Versions"]
        return sorted(one["CreatedDate"].timestamp() for one in listed)

    def pending(self, user_id, current):
        """The version that was staged to succeed `current`; None: there is none yet."""
        pending = self.labels(user_id).get("AWSPENDING")
        return pending if pending != current else None

    def value(self, user_id, version):
        """What a version holds."""
        answer = self.secrets.get_secret_value(SecretId=self.secret_id(user_id), VersionId=version)
        return json.loads(answer["SecretString"])

    def password(self, user_id):
        """AWSCURRENT's password."""
        return self.value(user_id, self.labels(user_id)["AWSCURRENT"])["password"]

    def passwords(self, user_id):
        """What the servers take from a user now."""
        return self.sandbox.passwords(user_id, region=self.region)
