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
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from deploy.sandbox.controls import NodeInfo, SandboxError, SandboxFault
from deploy.sandbox.provisioning import Provisioning

__all__ = ["NodeInfo", "SandboxError", "SandboxFault", "SandboxProcess"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0


class SandboxProcess(Provisioning):
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

    def control(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Call the control API and return its JSON; raises TimeoutError, or SandboxError if it refused."""
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
