"""The servers of all databases: which there are, and that they hold the users they should."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis

from deploy.sandbox.acl import Logins, acl_of
from deploy.sandbox.certificates import Certificates
from deploy.sandbox.redis_nodes import HOST, Launcher, Node, new_administrator_password
from deploy.sandbox.shard import await_link, form

__all__ = ["Cache", "Deployment", "Fleet"]


@dataclass(frozen=True, slots=True)
class Cache:
    """Which database servers are of."""

    service: Literal["elasticache", "memorydb"]
    account: str
    region: str
    name: str
    serverless: bool = False


class Deployment:
    """The servers of one database: a primary and its replicas, all with the same users."""

    def __init__(self, cache: Cache, nodes: list[Node], wanted: Callable[[], Logins]) -> None:
        self.cache = cache
        self.nodes = nodes
        self._wanted = wanted
        self._lock = threading.Lock()

    @property
    def primary(self) -> Node:
        """The node that takes writes."""
        return self.nodes[0]

    @property
    def replicas(self) -> list[Node]:
        """The nodes that only read."""
        return self.nodes[1:]

    def start(self) -> None:
        """Start every server, give it its users, and wait until the replicas follow."""
        if self.primary.cluster:
            form(self.nodes, self._start)
        else:
            self._start(self.nodes)
            for replica in self.replicas:
                self._follow(replica)
            for replica in self.replicas:
                await_link(replica)

    def _start(self, nodes: Sequence[Node]) -> None:
        with ThreadPoolExecutor(max(1, len(nodes))) as pool:
            for _ in pool.map(Node.start, nodes):
                pass
        self.reconcile()

    def restart(self, node: Node) -> None:
        """Start one server again, with the users of now."""
        with self._lock:
            node.start()
            node.apply(acl_of(self._wanted()))
            if node is not self.primary:
                self._follow(node)

    def resume(self, node: Node) -> None:
        """Let one server go on, and give it the users that it missed."""
        with self._lock:
            node.resume()
            node.apply(acl_of(self._wanted()))

    def reconcile(self) -> None:
        """Make every server's users those that the account says now.

        What is wanted is asked under the lock, so that of two reconciliations the later one wins.
        """
        with self._lock:
            wanted = acl_of(self._wanted())
            for node in self.nodes:
                try:
                    node.apply(wanted)
                except redis.RedisError as error:
                    # A server that somebody killed, or a rule that Redis does not know, as AWS may.
                    print(
                        f"sandbox: {node.id} of {node.owner} did not take its users: {error}", file=sys.stderr
                    )

    def close(self) -> None:
        """End every server."""
        for node in self.nodes:
            node.close()

    def _follow(self, replica: Node) -> None:
        if not self.primary.cluster:
            replica.admin.execute_command("REPLICAOF", HOST, self.primary.port)


class Fleet:
    """Every server of the sandbox."""

    def __init__(self, certificates: Certificates, directory: Path) -> None:
        self._certificates = certificates
        self._directory = directory
        self._launcher = Launcher()
        self._deployments: list[Deployment] = []

    def deploy(
        self, cache: Cache, replicas: int, wanted: Callable[[], Logins], *, cluster: bool = False
    ) -> Deployment:
        """Lay out the servers of a database, not yet started, whose users `wanted` tells at any time."""
        password = new_administrator_password()
        nodes = [
            Node(
                self._launcher,
                self._certificates,
                self._directory,
                owner=cache.name,
                role="replica" if index else "primary",
                administrator_password=password,
                cluster=cluster,
            )
            for index in range(1 + replicas)
        ]
        deployment = Deployment(cache, nodes, wanted)
        self._deployments.append(deployment)
        return deployment

    def retire(self, deployment: Deployment) -> None:
        """End a database's servers for good."""
        deployment.close()
        with contextlib.suppress(ValueError):
            self._deployments.remove(deployment)

    def nodes(self) -> Iterator[tuple[Deployment, Node]]:
        """Yield every node and the deployment it is part of."""
        for deployment in list(self._deployments):
            for node in deployment.nodes:
                yield deployment, node

    def close(self) -> None:
        """End every server."""
        for deployment in list(self._deployments):
            self.retire(deployment)
