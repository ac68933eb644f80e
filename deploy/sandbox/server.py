"""The sandbox's HTTP server: AWS's face, and beside it the control API's."""

import io
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from moto.iam.models import get_account_id_from
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response

from deploy.sandbox.faults import Fault, Faults
from deploy.sandbox.redis_nodes import HOST
from deploy.sandbox.requests import Call, RequestLog
from deploy.sandbox.world import World

__all__ = ["CONTROL_PATH", "Gateway", "serve"]

CONTROL_PATH = "/_sandbox/"

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
        entry = self._log.begin(call, get_account_id_from(call.access_key_id))
        response = _refusal(self._strike(environ, call, body, "before"), call)
        if response is None:
            response = self._perform(environ, call, body)
            response = _refusal(self._strike(environ, call, body, "after"), call) or response
        self._log.end(entry, response.status_code, response.get_data())
        return response(environ, start_response)

    def _strike(self, environ: dict[str, Any], call: Call, body: bytes, when: Any) -> Fault | None:
        fault = self._faults.strike(call, body, when)
        if fault is not None and fault.action == "lose":
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
            return _error(
                call, "InvalidAction", f"The sandbox does not know {call.service} {call.operation}.", 400
            )


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
        return _error(call, "ThrottlingException" if call.json else "Throttling", "Rate exceeded", 400)
    return _error(call, fault.code, "The sandbox was asked to fail here.", fault.status)


def _error(call: Call, code: str, message: str, status: int) -> Response:
    if call.json:
        body = json.dumps({"__type": code, "message": message})
        return Response(body, status, {"x-amzn-errortype": code}, mimetype="application/x-amz-json-1.1")
    kind = "Sender" if status < 500 else "Receiver"
    body = (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        "</Error><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
    return Response(body, status, mimetype="text/xml")
