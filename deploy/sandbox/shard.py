"""A cluster of one shard that owns all slots, in service within a fraction of a second.

A primary that comes up waits two seconds before it takes writes (CLUSTER_WRITABLE_DELAY in Redis's
cluster.c), and nodes that meet wait for gossip. So the nodes' configuration files are written before
they start, as if the cluster had existed for long, with the later primary as the replica of a ghost: a
replica does not wait, and with CLUSTER FAILOVER TAKEOVER it is the primary at once.
"""

import secrets
import time
from collections.abc import Callable, Sequence

from deploy.sandbox.redis_nodes import HOST, Node

__all__ = ["await_link", "form"]

_SECONDS = 20.0
_SLOTS = "0-16383"
_FIRST_KEY = "valkeeper-sandbox"
# Nodes tell each other what they know twice in this time; long enough, later, for a frozen test machine.
_FORMING_TIMEOUT_MS = 200
_TIMEOUT_MS = 15_000


def form(nodes: Sequence[Node], start: Callable[[Sequence[Node]], None]) -> None:
    """Bring a primary and its replicas, none of which is running, into service with `start`."""
    primary, *replicas = nodes
    ids = {node: secrets.token_hex(20) for node in nodes}
    ghost = secrets.token_hex(20)
    ghost_line = f"{ghost} {HOST}:1@1 master - 0 0 1 connected {_SLOTS}"
    followers = [_line(node, ids[node], f"slave {ids[primary]}") for node in replicas]
    _write(primary, [ghost_line, _line(primary, ids[primary], f"myself,slave {ghost}"), *followers])
    for replica in replicas:
        others = [_line(node, ids[node], f"slave {ids[primary]}") for node in replicas if node is not replica]
        myself = _line(replica, ids[replica], f"myself,slave {ids[primary]}")
        _write(replica, [_line(primary, ids[primary], "master -", _SLOTS), myself, *others])

    start([primary])
    primary.admin.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
    primary.admin.execute_command("CLUSTER", "FORGET", ghost)
    start(replicas)
    for node in nodes:
        node.admin.config_set("cluster-node-timeout", _FORMING_TIMEOUT_MS)
    for replica in replicas:
        await_link(replica)
    # A replica is missing in CLUSTER SLOTS until it has received something.
    primary.admin.set(_FIRST_KEY, "")
    primary.admin.delete(_FIRST_KEY)
    for node in nodes:
        _until(lambda node=node: _in_service(node, len(nodes)), f"{node.id} knows every node")
    for node in nodes:
        node.admin.config_set("cluster-node-timeout", _TIMEOUT_MS)


def await_link(replica: Node) -> None:
    """Wait until a replica follows its primary; raises TimeoutError."""
    _until(lambda: replica.admin.role()[3] == "connected", f"{replica.id} follows its primary")


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting until {what}")
        time.sleep(0.005)


def _in_service(node: Node, size: int) -> bool:
    if node.admin.cluster("INFO")["cluster_state"] != "ok":
        return False
    shards = node.admin.execute_command("CLUSTER SLOTS")
    # Its two ends, and then the primary and every replica.
    return len(shards) == 1 and len(shards[0]) == 2 + size


def _line(node: Node, node_id: str, flags: str, slots: str = "") -> str:
    return f"{node_id} {HOST}:{node.port}@{node.bus_port} {flags} 0 0 1 connected {slots}".rstrip()


def _write(node: Node, lines: list[str]) -> None:
    node.cluster_file.write_text("\n".join([*lines, "vars currentEpoch 1 lastVoteEpoch 0", ""]))
