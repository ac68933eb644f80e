"""One account of the sandbox from Python: AWS's clients, Redis's clients, and the control API."""

import functools
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from deploy.sandbox.controls import NodeInfo, SandboxError
from deploy.sandbox.environment import variables
from deploy.sandbox.provisioning import Provisioning

__all__ = ["Account"]


class Account(Provisioning):
    """What one can do in an account of a running sandbox, as its user `valkeeper`.

    Args:
        about: What the sandbox tells about itself: `endpoint_url`, `region`, `account`, `ca_file`, `environment`.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        self._clients: dict[tuple[str, str], Any] = {}
        self.about = about
        self.endpoint_url: str = about["endpoint_url"]
        self.ca_file = Path(about["ca_file"])
        self.account: str = about["account"]
        self.region: str = about["region"]

    def open_account(self, account: str, *, region: str | None = None) -> "Account":
        """Return another account, by its number of twelve digits: it is there once it is asked for."""
        key = self.control("POST", f"accounts/{account}")
        environment = variables(self.endpoint_url, key["access_key_id"], key["secret_access_key"])
        region = region or self.region
        environment["AWS_DEFAULT_REGION"] = region
        return Account(self.about | {"account": account, "region": region, "environment": environment})

    def environment(self) -> dict[str, str]:
        """Return the variables with which an AWS SDK talks to the sandbox and to nothing else."""
        return dict(self.about["environment"])

    def create_role(
        self,
        name: str,
        *,
        trusted: str,
        external_id: str | None = None,
        max_session_duration: int = 3600,
    ) -> str:
        """Create a role and return its ARN.

        Args:
            name: Its name.
            trusted: Who may assume it: an account's number, or the ARN of a user or role.
            external_id: What they have to say besides.
            max_session_duration: The longest that a session may be asked for, in seconds.
        """
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": trusted},
            "Action": "sts:AssumeRole",
        }
        if external_id is not None:
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        role = self.boto3("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            MaxSessionDuration=max_session_duration,
        )["Role"]
        return role["Arn"]

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
        from botocore.config import Config  # noqa: PLC0415 - not everybody who starts a sandbox asks AWS

        environment = self.environment()
        settings = {
            "region_name": region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            "config": Config(retries={"total_max_attempts": 1}),
        }
        return _session().client(service, **settings | options)

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


@functools.cache
def _session() -> Any:
    # One for all accounts: it reads AWS's models, which takes long.
    import boto3  # noqa: PLC0415 - as above

    return boto3.session.Session()
