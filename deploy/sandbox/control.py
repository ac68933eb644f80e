"""The control API under /_sandbox/: what tests and demo see and do behind AWS's back."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.exceptions import ServiceException
from moto.elasticache.models import elasticache_backends
from moto.memorydb.models import memorydb_backends
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from deploy.sandbox.elasticache import ElastiCache
from deploy.sandbox.faults import Fault, Faults
from deploy.sandbox.fleet import Deployment
from deploy.sandbox.iam_users import open_account
from deploy.sandbox.memorydb import MemoryDB
from deploy.sandbox.redis_nodes import Node
from deploy.sandbox.requests import RequestLog
from deploy.sandbox.secretsmanager import SecretsManager
from deploy.sandbox.secretsmanager.secret import SecretError
from deploy.sandbox.world import World

__all__ = ["Control"]

_REGION = "us-east-1"
_TIMEOUT = 30.0

_ROUTES = Map(
    [
        Rule("/_sandbox/", endpoint="describe", methods=["GET"]),
        Rule("/_sandbox/settled", endpoint="settle", methods=["GET"]),
        Rule("/_sandbox/modify-delay", endpoint="set_modify_delay", methods=["PUT", "POST"]),
        Rule("/_sandbox/session-lifetime", endpoint="set_session_lifetime", methods=["PUT", "POST"]),
        Rule("/_sandbox/accounts/<account>", endpoint="open_account", methods=["POST"]),
        Rule("/_sandbox/passwords/<user_id>", endpoint="passwords", methods=["GET"]),
        Rule("/_sandbox/secrets/<path:secret_id>/age", endpoint="age_secret", methods=["POST"]),
        Rule("/_sandbox/nodes", endpoint="nodes", methods=["GET"]),
        Rule(
            "/_sandbox/nodes/<node_id>/<any(stop,start,pause,resume):what>", endpoint="node", methods=["POST"]
        ),
        Rule("/_sandbox/gate", endpoint="gate", methods=["GET"]),
        Rule("/_sandbox/gate/age", endpoint="age_connections", methods=["POST"]),
        Rule("/_sandbox/requests", endpoint="requests", methods=["GET"]),
        Rule("/_sandbox/requests", endpoint="forget_requests", methods=["DELETE"]),
        Rule("/_sandbox/requests/counts", endpoint="request_counts", methods=["GET"]),
        Rule("/_sandbox/faults", endpoint="all_faults", methods=["GET"]),
        Rule("/_sandbox/faults", endpoint="add_fault", methods=["POST"]),
        Rule("/_sandbox/faults/<fault_id>", endpoint="fault", methods=["GET"]),
        Rule("/_sandbox/faults/<fault_id>", endpoint="remove_fault", methods=["DELETE"]),
        Rule("/_sandbox/faults/<fault_id>/wait", endpoint="wait_for_fault", methods=["GET"]),
        Rule("/_sandbox/faults/<fault_id>/release", endpoint="release_fault", methods=["POST"]),
    ],
    strict_slashes=False,
)


class Control:
    """One method per route; each returns what goes out as JSON."""

    def __init__(
        self, world: World, faults: Faults, log: RequestLog, about: Callable[[], dict[str, Any]]
    ) -> None:
        self._world = world
        self._faults = faults
        self._log = log
        self._about = about

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        # Read whole, whoever answers: the next request comes on the same connection.
        request.get_data()
        try:
            endpoint, values = _ROUTES.bind_to_environ(environ).match()
            status, answer = 200, getattr(self, f"_{endpoint}")(request, **values)
        except HTTPException as error:
            status, answer = error.code or 500, {"error": error.description}
        except (KeyError, ServiceException, SecretError) as error:
            status, answer = 404, {"error": str(error)}
        except (ValueError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        except TimeoutError as error:
            status, answer = 504, {"error": str(error)}
        response = Response(json.dumps(answer), status, mimetype="application/json")
        return response(environ, start_response)

    def _describe(self, request: Request) -> dict[str, Any]:
        return self._about() | {"nodes": self._nodes(request), "modify_delay": self._world.timeline.delay}

    def _settle(self, request: Request) -> dict[str, Any]:
        timeout = _timeout(request)
        if not self._world.timeline.settle(timeout):
            raise TimeoutError(f"something was still under way after {timeout} seconds")
        return {}

    def _set_modify_delay(self, request: Request) -> dict[str, Any]:
        self._world.timeline.delay = float(request.get_json()["seconds"])
        return {}

    def _set_session_lifetime(self, request: Request) -> dict[str, Any]:
        seconds = request.get_json()["seconds"]
        self._world.session_lifetime = None if seconds is None else float(seconds)
        return {}

    def _open_account(self, _: Request, account: str) -> dict[str, Any]:
        with self._world.lock:
            key = open_account(account)
        return {"account": account, "access_key_id": key.id, "secret_access_key": key.secret}

    def _passwords(self, request: Request, user_id: str) -> dict[str, Any]:
        backends = memorydb_backends if request.args.get("service") == "memorydb" else elasticache_backends
        account: ElastiCache | MemoryDB = _of(request, backends)
        with self._world.lock:
            user = account.user(user_id)
            return {
                "passwords": list(user.in_force.passwords),
                "changes": [list(login.passwords) for login in user.changes],
            }

    def _age_secret(self, request: Request, secret_id: str) -> dict[str, Any]:
        account: SecretsManager = _of(request, secretsmanager_backends)
        with self._world.lock:
            account.age(secret_id, float(request.get_json()["seconds"]))
        return {}

    def _age_connections(self, request: Request) -> dict[str, Any]:
        self._world.fleet.age_connections(float(request.get_json()["seconds"]))
        return {}

    def _nodes(self, _: Request) -> list[dict[str, Any]]:
        return [_shown(deployment, node) for deployment, node in self._world.fleet.nodes()]

    def _node(self, _: Request, node_id: str, what: str) -> dict[str, Any]:
        deployment, node = self._find_node(node_id)
        if what == "start" and node.state == "stopped":
            deployment.restart(node)
        elif what == "resume" and node.state == "paused":
            deployment.resume(node)
        elif what == "stop":
            node.stop()
        elif what == "pause":
            node.pause()
        return _shown(deployment, node)

    def _find_node(self, node_id: str) -> tuple[Deployment, Node]:
        for deployment, node in self._world.fleet.nodes():
            if node.id == node_id:
                return deployment, node
        raise KeyError(f"no node {node_id}")

    def _gate(self, request: Request) -> list[dict[str, Any]]:
        return self._world.fleet.gate_log.since(int(request.args.get("since", "0")))

    def _requests(self, request: Request) -> list[dict[str, Any]]:
        return self._log.since(int(request.args.get("since", "0")))

    def _request_counts(self, _: Request) -> dict[str, int]:
        return self._log.counts()

    def _forget_requests(self, _: Request) -> dict[str, Any]:
        self._log.reset()
        return {}

    def _all_faults(self, _: Request) -> list[dict[str, Any]]:
        return [fault.shown() for fault in self._faults.all()]

    def _add_fault(self, request: Request) -> dict[str, Any]:
        return self._faults.add(Fault.of(request.get_json())).shown()

    def _fault(self, _: Request, fault_id: str) -> dict[str, Any]:
        return self._faults.get(fault_id).shown()

    def _remove_fault(self, _: Request, fault_id: str) -> dict[str, Any]:
        self._faults.remove(fault_id)
        return {}

    def _release_fault(self, _: Request, fault_id: str) -> dict[str, Any]:
        return self._faults.release(fault_id).shown()

    def _wait_for_fault(self, request: Request, fault_id: str) -> dict[str, Any]:
        hits, timeout = int(request.args.get("hits", "1")), _timeout(request)
        fault, reached = self._faults.reached(fault_id, hits, timeout)
        if not reached:
            raise TimeoutError(f"fault {fault_id} was hit {fault.hit} times in {timeout} seconds, not {hits}")
        return fault.shown()


def _timeout(request: Request) -> float:
    return float(request.args.get("timeout", _TIMEOUT))


def _of(request: Request, backends: Any) -> Any:
    account = request.args.get("account", DEFAULT_ACCOUNT_ID)
    return backends[account][request.args.get("region", _REGION)]


def _shown(deployment: Deployment, node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "service": deployment.cache.service,
        "account": deployment.cache.account,
        "region": deployment.cache.region,
        "replication_group": node.owner,
        "role": node.role,
        "host": node.id.rpartition(":")[0],
        "port": node.port,
        "pid": node.pid,
        "state": node.state,
    }
