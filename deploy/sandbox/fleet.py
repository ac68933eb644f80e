"""The servers of all databases: which there are, and that they hold the users they should."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from deploy.sandbox.acl import Acl, Logins, acl_of
from deploy.sandbox.admission import Admission, GateLog
from deploy.sandbox.cache import Cache
from deploy.sandbox.certificates import Certificates
from deploy.sandbox.gate import Gates
from deploy.sandbox.keys import KeyRing
from deploy.sandbox.redis_nodes import HOST, Launcher, Node, new_administrator_password
from deploy.sandbox.shard import await_link, form

__all__ = ["Deployment", "Fleet"]


class Deployment:
    """The servers of one database: a primary and its replicas, all with the same users."""

    def __init__(
        self, cache: Cache, nodes: list[Node], wanted: Callable[[], Logins], admission: Admission
    ) -> None:
        self.cache = cache
        self.nodes = nodes
        self._wanted = wanted
        self._admission = admission
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
        with self._lock:
            self._wish()
            for node in nodes if self._admission.iam_users else ():
                node.guard()
        with ThreadPoolExecutor(max(1, len(nodes))) as pool:
            for _ in pool.map(Node.start, nodes):
                pass
        self.reconcile()

    def restart(self, node: Node) -> None:
        """Start one server again, with the users of now."""
        with self._lock:
            node.start()
            self._apply(node, self._wish())
            if node is not self.primary:
                self._follow(node)

    def resume(self, node: Node) -> None:
        """Let one server go on, and give it the users that it missed."""
        with self._lock:
            node.resume()
            self._apply(node, self._wish())

    def reconcile(self) -> None:
        """Make every server's users those that the account says now.

        What is wanted is asked under the lock, so that of two reconciliations the later one wins.
        """
        with self._lock:
            wanted = self._wish()
            for node in self.nodes:
                try:
                    self._apply(node, wanted)
                except (redis.RedisError, OSError) as error:
                    # A server that somebody killed, or a rule that Redis does not know, as AWS may.
                    print(
                        f"sandbox: {node.id} of {node.owner} did not take its users: {error}", file=sys.stderr
                    )

    def _wish(self) -> Acl:
        logins = self._wanted()
        self._admission.iam_users = frozenset(
            name for name, login in logins.items() if login.authentication == "iam"
        )
        return acl_of(logins, self._admission.gate_password)

    def _apply(self, node: Node, wanted: Acl) -> None:
        if self._admission.iam_users:
            node.guard()
        node.apply(wanted)
        node.open()

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
        self._gates = Gates(certificates)
        self.gate_log = GateLog()

    def deploy(
        self,
        cache: Cache,
        replicas: int,
        wanted: Callable[[], Logins],
        *,
        keys: KeyRing,
        cluster: bool = False,
    ) -> Deployment:
        """Lay out the servers of a database, not yet started.

        Args:
            cache: Whose servers they are.
            replicas: How many there are beside the primary.
            wanted: Tells its users at any time.
            keys: What its IAM users' tokens may be signed with.
            cluster: Whether they speak the cluster protocol.
        """
        admission = Admission(cache, keys, self.gate_log)
        password = new_administrator_password()
        nodes = [
            Node(
                self._launcher,
                self._certificates,
                self._directory,
                owner=cache.name,
                role="replica" if index else "primary",
                administrator_password=password,
                gates=self._gates,
                judge=admission.judge,
                cluster=cluster,
            )
            for index in range(1 + replicas)
        ]
        deployment = Deployment(cache, nodes, wanted, admission)
        self._deployments.append(deployment)
        return deployment

    def retire(self, deployment: Deployment) -> None:
        """End a database's servers for good."""
        deployment.close()
        with contextlib.suppress(ValueError):
            self._deployments.remove(deployment)

    def age_connections(self, seconds: float) -> None:
        """Let so much time pass for connections that were opened with a token."""
        self._gates.age(seconds)

    def nodes(self) -> Iterator[tuple[Deployment, Node]]:
        """Yield every node and the deployment it is part of."""
        for deployment in list(self._deployments):
            for node in deployment.nodes:
                yield deployment, node

    def close(self) -> None:
        """End every server."""
        for deployment in list(self._deployments):
            self.retire(deployment)
