"""Puts the sandbox together: certificates, servers, services, faults, log, and the HTTP server in front."""

import threading
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from deploy.sandbox import elasticache, holdings, memorydb, secretsmanager, sts, tagging
from deploy.sandbox.certificates import issue
from deploy.sandbox.control import Control
from deploy.sandbox.environment import ACCESS_KEY_ID, ACCOUNT_ID, REGION, SECRET_ACCESS_KEY, variables
from deploy.sandbox.faults import Faults
from deploy.sandbox.fleet import Fleet
from deploy.sandbox.iam_users import open_account
from deploy.sandbox.redis_nodes import HOST
from deploy.sandbox.requests import RequestLog
from deploy.sandbox.server import Gateway, serve
from deploy.sandbox.timeline import Timeline
from deploy.sandbox.world import World

__all__ = ["Sandbox"]

_READY_SECONDS = 60.0


class Sandbox:
    """An account on localhost, listening from construction on. One per process: moto's state is global."""

    def __init__(self, directory: Path, port: int, modify_delay: float) -> None:
        certificates = issue(directory)
        self.ca_file = certificates.ca_file
        self._world = World(Fleet(certificates, directory), Timeline(modify_delay))
        open_account(ACCOUNT_ID, access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY)
        self._log = RequestLog()
        faults = Faults()
        elasticache.install(self._world)
        memorydb.install(self._world)
        secretsmanager.install()
        sts.install(self._world)
        tagging.install()
        control = Control(self._world, faults, self._log, self.about)
        self._server = serve(Gateway(self._world, faults, self._log, control), port)
        self.endpoint_url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="server", daemon=True).start()

    def about(self) -> dict[str, Any]:
        """Return where everything is, with no secret in it."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": REGION,
            "account": ACCOUNT_ID,
            "ca_file": str(self.ca_file),
            "environment": variables(self.endpoint_url),
        }

    def nodes(self) -> list[tuple[str, str, int]]:
        """Return replication group, role and port of each server."""
        return [(node.owner, node.role, node.port) for _, node in self._world.fleet.nodes()]

    def fill(self) -> None:
        """Put the default holdings into the account, and wait until their servers are up."""
        holdings.set_up(self._client)
        if not self._world.timeline.settle(_READY_SECONDS):
            raise TimeoutError("the Redis servers did not come up")
        self._log.reset()

    def close(self) -> None:
        """End everything that was started; the HTTP server ends with the process."""
        self._world.fleet.close()

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )
