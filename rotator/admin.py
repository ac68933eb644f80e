"""The HTTP API in two faces: what a scraper needs on TCP, everything else on the control socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from discovery.model import Inventory
from rotator.errors import UnknownUserError, UsageError
from rotator.metrics import CONTENT_TYPE
from rotator.requests import Request as RotationAsked
from rotator.requests import Rotation
from rotator.views import (
    DatabaseView,
    EndedView,
    RotationRequest,
    RotationView,
    SessionsView,
    SourceView,
    StatusView,
    UserView,
    rotation_view,
    source_view,
)

__all__ = ["Backend", "control_app", "public_app"]

_LONGEST_REASON = 200  # characters


class Backend(Protocol):
    """What the API asks of the service."""

    def readiness(self) -> tuple[bool, str]:
        """Whether clients can be served, and if not, what is waited for."""

    def metrics(self) -> bytes:
        """Prometheus's text."""

    def status(self) -> StatusView:
        """The service as a whole."""

    def databases(self) -> list[DatabaseView]:
        """All databases."""

    def users(self) -> list[UserView]:
        """All users."""

    def rotations(self) -> list[Rotation]:
        """Runs, the latest first."""

    def ask(self, wanted: RotationRequest, asked_by: str) -> list[RotationAsked]:
        """Ask for rotations."""

    def asked(self, request_id: str) -> RotationAsked | None:
        """A rotation that was asked for."""

    async def discover(self) -> Inventory:
        """Look at AWS now."""

    async def sessions(self) -> SessionsView:
        """Clients' sessions, as far as the proxies tell of them in time."""

    async def end_sessions(self, ids: Sequence[str], reason: str, asked_by: str) -> SessionsView:
        """End clients' sessions, who read the reason if there is one; those that there were."""

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """What happens from now on."""


def public_app(backend: Backend) -> FastAPI:
    """`/healthz`, `/readyz` and `/metrics`: nothing that changes anything, nothing that names a password."""
    app = FastAPI(
        title="Valkeeper", version=version("valkeeper"), docs_url=None, redoc_url=None, openapi_url=None
    )
    _add_probes(app, backend)
    return app


def control_app(backend: Backend) -> FastAPI:
    """Everything, for callers that the control socket has let in."""
    app = FastAPI(title="Valkeeper", version=version("valkeeper"), docs_url=None, redoc_url=None)
    _add_probes(app, backend)
    _add_views(app, backend)
    _add_orders(app, backend)
    _add_sessions(app, backend)
    app.add_exception_handler(UsageError, _refuse)
    return app


def _add_probes(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz", summary="The process answers")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", summary="A directory is published and every source has answered or failed once")
    async def readyz() -> PlainTextResponse:
        ready, reason = backend.readiness()
        return PlainTextResponse("ready\n" if ready else f"{reason}\n", 200 if ready else 503)

    @app.get("/metrics", summary="Metrics in Prometheus's text format")
    async def metrics() -> Response:
        return Response(backend.metrics(), media_type=CONTENT_TYPE)


def _add_views(app: FastAPI, backend: Backend) -> None:
    @app.get("/v1/status")
    async def status() -> StatusView:
        return backend.status()

    @app.get("/v1/databases")
    async def databases() -> list[DatabaseView]:
        return backend.databases()

    @app.get("/v1/users")
    async def users() -> list[UserView]:
        return backend.users()

    @app.get("/v1/rotations")
    async def rotations(limit: int = 100) -> list[RotationView]:
        return [rotation_view(rotation) for rotation in backend.rotations()[: max(limit, 0)]]

    @app.get(
        "/v1/rotations/{request_id}", summary="One that was asked for; `wait`: seconds to wait for its end"
    )
    async def rotation(request_id: str, wait: Annotated[float, Query(ge=0, le=30)] = 0) -> RotationView:
        asked = backend.asked(request_id)
        if asked is None:
            raise HTTPException(404, f"no rotation {request_id} was asked for, or it is long ago")
        await asyncio.wait([asked.done], timeout=wait)
        return rotation_view(asked.rotation)

    @app.get("/v1/events", summary="What happens, as server-sent events", response_class=StreamingResponse)
    async def events() -> StreamingResponse:
        return StreamingResponse(_server_sent(backend.events()), media_type="text/event-stream")


def _add_orders(app: FastAPI, backend: Backend) -> None:
    @app.post("/v1/rotations", summary="Rotate now", status_code=202)
    async def rotate(wanted: RotationRequest, request: Request, response: Response) -> list[RotationView]:
        if bool(wanted.users) == wanted.all:
            raise UsageError('say either "users": [...] or "all": true')
        asked = backend.ask(wanted, _caller(request))
        if wanted.wait and asked:
            await asyncio.wait([one.done for one in asked], timeout=wanted.wait_seconds)
            response.status_code = 200
        return [rotation_view(one.rotation) for one in asked]

    @app.post("/v1/discoveries", summary="Look at AWS now")
    async def discover() -> list[SourceView]:
        inventory = await backend.discover()
        return [source_view(source) for source in inventory.sources]


def _add_sessions(app: FastAPI, backend: Backend) -> None:
    @app.get("/v1/sessions", summary="Clients' connections; of one database or database user, if asked so")
    async def sessions(database: str | None = None, user: str | None = None) -> SessionsView:
        answer = await backend.sessions()
        wanted = [
            one
            for one in answer.sessions
            if database in (None, one.database) and (user is None or one.user == user)
        ]
        return answer.model_copy(update={"sessions": wanted})

    @app.delete("/v1/sessions/{session_id}", summary="End a client's connection; it reads the reason")
    async def end_session(
        session_id: str, request: Request, reason: Annotated[str, Query(max_length=_LONGEST_REASON)] = ""
    ) -> EndedView:
        answer = await backend.end_sessions([session_id], reason, _caller(request))
        if not answer.sessions:
            raise HTTPException(404, _no_session(session_id, answer))
        return EndedView(ended=[one.id for one in answer.sessions])


def _no_session(session_id: str, answer: SessionsView) -> str:
    if not answer.proxies:
        return f"there is no session {session_id}: no proxy is connected; is `valkeeper proxy` running?"
    if answer.silent:
        return (
            f"no session {session_id} among those of the workers that answered; {answer.silent} did not in time, "
            "and will end it if it is theirs"
        )
    return f"there is no session {session_id}; list them with: valkeeper sessions"


async def _server_sent(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    yield ": what happens from now on\n\n"
    async for event in events:
        yield f"event: {event.get('event', 'event')}\ndata: {json.dumps(event, default=str)}\n\n"


def _caller(request: Request) -> str:
    """Who asks: the control socket's server puts the peer's credentials where TCP has an address."""
    return str(request.client.host) if request.client is not None else "api"


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404 if isinstance(error, UnknownUserError) else 422)
