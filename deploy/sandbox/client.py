"""The sandbox from Python: a real process with an account of its own, for a test, a demo or a benchmark."""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

from deploy.sandbox.holdings import MANAGED_TAG, new_password

__all__ = ["NodeInfo", "SandboxError", "SandboxFault", "SandboxProcess"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0
_EVERYTHING = "on ~* &* +@all"


class SandboxError(Exception):
    """The sandbox did not start, or its control API refused something."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One real Redis server."""

    id: str
    replication_group: str
    role: Literal["primary", "replica"]
    host: str
    port: int
    pid: int | None
    state: Literal["running", "paused", "stopped"]


class SandboxFault:
    """A fault that is set in the sandbox; see `SandboxProcess.fault`."""

    def __init__(self, sandbox: "SandboxProcess", fault_id: str) -> None:
        self._sandbox = sandbox
        self.id = fault_id

    def wait(self, hits: int = 1, timeout: float = 20.0) -> None:
        """Wait until it has been hit `hits` times; with `when="after"` these requests have had their effect.

        Raises:
            TimeoutError: it was not.
        """
        self._sandbox.control("GET", f"faults/{self.id}/wait", {"hits": hits, "timeout": timeout})

    def release(self) -> None:
        """Let the requests go on that it holds now."""
        self._sandbox.control("POST", f"faults/{self.id}/release")

    @property
    def hit(self) -> int:
        """How many requests it has reached."""
        return self._shown()["hit"]

    @property
    def waiting(self) -> int:
        """How many requests it holds now."""
        return self._shown()["waiting"]

    def _shown(self) -> dict[str, Any]:
        return self._sandbox.control("GET", f"faults/{self.id}")


class SandboxProcess:
    """``python -m deploy.sandbox`` as a child process, ready when the constructor returns.

    Args:
        empty: Start with nothing in the account; otherwise with the database `orders` and its users.
        modify_delay: Seconds for which a changed user is `modifying`.
        port: Port on 127.0.0.1; 0 for a free one.

    Raises:
        SandboxError: it did not start.
    """

    def __init__(self, *, empty: bool = False, modify_delay: float = 0.3, port: int = 0) -> None:
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        # Ours, so that it is removed even when the sandbox is killed.
        self._directory = tempfile.TemporaryDirectory(prefix="valkeeper-sandbox-")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deploy.sandbox", "--json", "--until-eof"),
                *(
                    "--port",
                    str(port),
                    "--modify-delay",
                    str(modify_delay),
                    "--directory",
                    self._directory.name,
                ),
                *(["--empty"] if empty else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
            text=True,
            # Ctrl-C is for whoever started us; they stop the sandbox when they are done with it.
            start_new_session=True,
        )
        try:
            self.about: dict[str, Any] = json.loads(self._first_line())
        except BaseException:
            self.kill()
            raise
        self.endpoint_url: str = self.about["endpoint_url"]
        self.ca_file = Path(self.about["ca_file"])
        self.account: str = self.about["account"]
        self.region: str = self.about["region"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The sandbox's process."""
        return self._process.pid

    def stop(self) -> None:
        """End the sandbox and its servers, cleanly if it can."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._collect()

    def kill(self) -> None:
        """End the sandbox as a crash would; its servers go with it."""
        self._process.kill()
        self._collect()

    def environment(self) -> dict[str, str]:
        """Return the variables with which an AWS SDK talks to the sandbox and to nothing else."""
        return dict(self.about["environment"])

    def boto3(self, service: str, *, region: str | None = None, **options: Any) -> Any:
        """Return a boto3 client, which does not retry unless `config` says otherwise.

        Making one takes long, so one without options is made once.
        """
        region = region or self.region
        if options:
            return self._client(service, region, options)
        if (service, region) not in self._clients:
            self._clients[service, region] = self._client(service, region, {})
        return self._clients[service, region]

    def _client(self, service: str, region: str, options: dict[str, Any]) -> Any:
        import boto3  # noqa: PLC0415 - not everybody who starts a sandbox asks AWS
        from botocore.config import Config  # noqa: PLC0415

        if self._session is None:
            self._session = boto3.session.Session()
        environment = self.environment()
        settings = {
            "region_name": region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            "config": Config(retries={"total_max_attempts": 1}),
        }
        return self._session.client(service, **settings | options)

    @contextmanager
    def fault(
        self,
        service: str,
        operation: str,
        action: Literal["hold", "throttle", "fail", "lose"],
        *,
        when: Literal["before", "after"] | None = None,
        count: int | None = 1,
        match: str = "",
        code: str = "InternalFailure",
        status: int = 500,
    ) -> Iterator[SandboxFault]:
        """Let something happen to the next requests of a kind; taken back, and what is held let go, at the end.

        Args:
            service: As boto3 calls it, or `*`.
            operation: As the API calls it (`ModifyUser`), or `*`.
            action: Hold the request until released; answer AWS's throttling error; fail with `code` and
                `status`; or lose the answer, so that the connection just ends.
            when: Before the request's effect (the default, but for `lose`) or after it.
            count: For how many requests; None for all.
            match: Text that the body must contain, form-encoded or JSON as it travels.
            code: The error code of `fail`.
            status: The HTTP status of `fail`.
        """
        wish: dict[str, Any] = {"service": service, "operation": operation, "action": action, "count": count}
        wish |= {"match": match, "code": code, "status": status} | ({"when": when} if when else {})
        fault = SandboxFault(self, self.control("POST", "faults", body=wish)["id"])
        try:
            yield fault
        finally:
            self.control("DELETE", f"faults/{fault.id}")

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the AWS requests with a sequence number above `since`."""
        return self.control("GET", "requests", {"since": since})

    def request_counts(self) -> dict[str, int]:
        """Return how often each `service.Operation` was asked."""
        return self.control("GET", "requests/counts")

    def reset_requests(self) -> None:
        """Forget the requests so far."""
        self.control("DELETE", "requests")

    def passwords(self, user_id: str, *, region: str | None = None) -> list[str]:
        """Return the passwords that the servers take from a user now."""
        return self.control("GET", f"passwords/{user_id}", {"region": region or self.region})["passwords"]

    def nodes(self, replication_group: str | None = None) -> list[NodeInfo]:
        """Return the Redis servers, of one replication group or of all."""
        nodes = [NodeInfo(**node) for node in self.control("GET", "nodes")]
        return [node for node in nodes if replication_group in (None, node.replication_group)]

    def node(self, node_id: str, what: Literal["stop", "start", "pause", "resume"]) -> NodeInfo:
        """Kill a server, start it again on its port, freeze it, or let it go on."""
        return NodeInfo(**self.control("POST", f"nodes/{node_id}/{what}"))

    def redis(
        self, node: NodeInfo, username: str | None = None, password: str | None = None, **options: Any
    ) -> Any:
        """Return a redis-py client of one server, over verified TLS, that does not retry."""
        import redis  # noqa: PLC0415 - not everybody who starts a sandbox talks to Redis
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        settings = {"socket_timeout": 5, "decode_responses": True, "retry": Retry(NoBackoff(), 0)}
        return redis.Redis(
            host=node.host,
            port=node.port,
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.ca_file),
            **settings | options,
        )

    def set_modify_delay(self, seconds: float) -> None:
        """Say how long a change of a user or group takes; also of those that are under way."""
        self.control("PUT", "modify-delay", body={"seconds": seconds})

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until nothing is modifying, creating or deleting. Raises TimeoutError."""
        self.control("GET", "settled", {"timeout": timeout})

    def age_secret(self, secret_id: str, seconds: float) -> None:
        """Make all versions of a secret `seconds` older, as if that time had passed since they were put."""
        self.control("POST", f"secrets/{quote(secret_id)}/age", body={"seconds": seconds})

    def create_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        password: str | None = None,
        access_string: str = _EVERYTHING,
        managed: bool = False,
        engine: str = "redis",
    ) -> str:
        """Create a user, tagged as managed or not, and return its password (a random one by default)."""
        password = password or new_password()
        self.boto3("elasticache").create_user(
            UserId=user_id,
            UserName=name or user_id,
            Engine=engine,
            AccessString=access_string,
            Passwords=[password],
            Tags=[MANAGED_TAG] if managed else [],
        )
        return password

    def create_replication_group(
        self,
        group_id: str,
        users: Sequence[str] = (),
        *,
        replicas: int = 1,
        cluster: bool = False,
        wait: bool = True,
    ) -> list[NodeInfo]:
        """Create a database that the existing `users` (ids) reach, through a user group `<group_id>-users`.

        The group's `default` user is switched off, as is AWS's advice.

        Returns:
            Its servers, primary first; none is up yet without `wait`.
        """
        elasticache = self.boto3("elasticache")
        elasticache.create_user(
            UserId=f"{group_id}-default",
            UserName="default",
            Engine="redis",
            AccessString="off -@all",
            NoPasswordRequired=True,
        )
        elasticache.create_user_group(
            UserGroupId=f"{group_id}-users", Engine="redis", UserIds=[f"{group_id}-default", *users]
        )
        elasticache.create_replication_group(
            ReplicationGroupId=group_id,
            ReplicationGroupDescription=group_id,
            Engine="redis",
            TransitEncryptionEnabled=True,
            UserGroupIds=[f"{group_id}-users"],
            ReplicasPerNodeGroup=replicas,
            ClusterMode="enabled" if cluster else "disabled",
        )
        if wait:
            self.settle()
        return self.nodes(group_id)

    def user_arn(self, user_id: str) -> str:
        """Return a user's ARN."""
        return f"arn:aws:elasticache:{self.region}:{self.account}:user:{user_id}"

    def tag(self, user_id: str, key: str = MANAGED_TAG["Key"], value: str = MANAGED_TAG["Value"]) -> None:
        """Tag a user: by default as managed."""
        self.boto3("elasticache").add_tags_to_resource(
            ResourceName=self.user_arn(user_id), Tags=[{"Key": key, "Value": value}]
        )

    def untag(self, user_id: str, key: str = MANAGED_TAG["Key"]) -> None:
        """Take a tag away: by default the managed one."""
        self.boto3("elasticache").remove_tags_from_resource(
            ResourceName=self.user_arn(user_id), TagKeys=[key]
        )

    def control(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Call the control API and return its JSON.

        Raises:
            TimeoutError: what was waited for did not happen.
            SandboxError: it refused.
        """
        address = urlsplit(self.endpoint_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
        try:
            target = f"/_sandbox/{path}" + (f"?{urlencode(query)}" if query else "")
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status == http.HTTPStatus.GATEWAY_TIMEOUT:
            raise TimeoutError(answer["error"])
        if response.status != http.HTTPStatus.OK:
            raise SandboxError(f"{method} {path}: {answer['error']}")
        return answer

    def _first_line(self) -> str:
        output = self._process.stdout
        if output is None:
            raise AssertionError
        os.set_blocking(output.fileno(), False)
        deadline, line = time.monotonic() + _READY_SECONDS, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(output.fileno(), 65536) if ready else b""
            if not chunk:
                raise SandboxError(
                    "the sandbox ended, or said nothing, before it was ready: see its error output"
                )
            line += chunk
        return line.decode()

    def _collect(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._directory.cleanup()
