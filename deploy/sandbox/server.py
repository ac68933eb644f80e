"""The sandbox's HTTP server: AWS's face, and beside it the control API's."""

import io
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response

from deploy.sandbox.authentication import authenticate
from deploy.sandbox.faults import Fault, Faults
from deploy.sandbox.redis_nodes import HOST
from deploy.sandbox.refusals import RefusedError, answer
from deploy.sandbox.requests import Call, RequestLog
from deploy.sandbox.world import World

__all__ = ["CONTROL_PATH", "Gateway", "serve"]

CONTROL_PATH = "/_sandbox/"
_UNSIGNED = ("/moto-api", "/latest/", "/favicon.ico")  # moto's own pages
_MOTO_ACCOUNT = "HTTP_X_MOTO_ACCOUNT_ID"

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Gateway:
    """Takes a request past the log and the faults to moto, one at a time, or to the control API."""

    def __init__(self, world: World, faults: Faults, log: RequestLog, control: Wsgi) -> None:
        self._world = world
        self._faults = faults
        self._log = log
        self._control = control
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"].startswith(CONTROL_PATH):
            return self._control(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        call = Call.of(environ, body)
        caller = self._world.keys.find(call.access_key_id)
        entry = self._log.begin(call, caller.account if caller else "")
        response = self._admit(environ, call, body)
        if response is None:
            response = _refusal(self._strike(environ, call, body, "before"), call)
        if response is None:
            response = self._perform(environ, call, body)
            response = _refusal(self._strike(environ, call, body, "after"), call) or response
        self._log.end(entry, response.status_code, response.get_data())
        return response(environ, start_response)

    def _admit(self, environ: dict[str, Any], call: Call, body: bytes) -> Response | None:
        if environ["PATH_INFO"].startswith(_UNSIGNED):
            return None
        try:
            key = authenticate(environ, call, body, self._world.keys, time.time())
        except RefusedError as refusal:
            return answer(refusal.code, refusal.message, refusal.status, as_json=call.json)
        # Also where the client says something else: moto believes this header before the key.
        environ[_MOTO_ACCOUNT] = key.account
        if call.presigned:
            # Moto looks for the caller and the service nowhere else.
            environ["HTTP_AUTHORIZATION"] = (
                f"AWS4-HMAC-SHA256 Credential={key.id}/-/{call.region}/{call.signing_name}/aws4_request, "
            )
        return None

    def _strike(self, environ: dict[str, Any], call: Call, body: bytes, when: Any) -> Fault | None:
        fault = self._faults.strike(call, body, when)
        if fault is not None and (fault.action == "lose" or fault.drop):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("the answer is lost, as a fault asks for")
        return fault

    def _perform(self, environ: dict[str, Any], call: Call, body: bytes) -> Response:
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            # Moto's dispatch is not safe for threads.
            with self._world.lock:
                return Response.from_app(self._moto, environ, buffered=True)
        except NotImplementedError:
            message = f"The sandbox does not know {call.service} {call.operation}."
            return answer("InvalidAction", message, 400, as_json=call.json)
        except RefusedError as refusal:
            return answer(refusal.code, refusal.message, refusal.status, as_json=call.json)


def serve(gateway: Wsgi, port: int) -> BaseWSGIServer:
    """Listen on the loopback interface; 0 for a free port."""
    return make_server(HOST, port, gateway, threaded=True, request_handler=_Handler)


class _Handler(MotoRequestHandler):
    # Head and body of an answer are written apart; the body must not wait for the head's acknowledgement.
    disable_nagle_algorithm = True

    def log_request(self, *_: Any) -> None:
        """Say nothing: the sandbox has a log of its own."""


def _refusal(fault: Fault | None, call: Call) -> Response | None:
    if fault is None or fault.action == "hold":
        return None
    if fault.action == "throttle":
        code = "ThrottlingException" if call.json else "Throttling"
        return answer(code, "Rate exceeded", 400, as_json=call.json)
    return answer(fault.code, "The sandbox was asked to fail here.", fault.status, as_json=call.json)
