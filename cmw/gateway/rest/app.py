"""The ASGI application: REST API, health, and the endpoint of the link."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cmw import __version__
from cmw.gateway.limiter import Buckets, FailureLimiter
from cmw.gateway.rest.answers import add_error_handlers
from cmw.gateway.rest.document import describer
from cmw.gateway.rest.routes import PREFIX, router
from cmw.gateway.service import Gateway
from cmw.link.limits import PATH

MAX_BODY_BYTES = 32 << 20
"""Largest request: a plan with 100,000 accounts takes about 10 MB."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """How often the API may be asked.

    Args:
        requests_per_minute: requests of one API key; also the size of a burst.
        failures_per_minute: wrong keys of one address.
    """

    requests_per_minute: int = 1200
    failures_per_minute: int = 10


def create_app(gateway: Gateway, limits: ApiLimits | None = None) -> FastAPI:
    """Return the application of an open gateway."""
    limits = limits or ApiLimits()
    app = FastAPI(
        title="cmw gateway",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.api_failures = FailureLimiter(per_minute=limits.failures_per_minute)
    app.state.api_requests = Buckets(limits.requests_per_minute)
    app.include_router(router)
    add_error_handlers(app)
    app.openapi = describer(app)  # type: ignore[method-assign]
    started_at = time.monotonic()

    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, Any]:
        return {"status": "healthy", "version": __version__, "uptime": int(time.monotonic() - started_at)}

    app.router.routes.append(WebSocketRoute(PATH, gateway.link_endpoint.__call__))
    app.add_middleware(RequestFrame)
    return app


class RequestFrame:
    """Give each HTTP request an id, and bound its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, framed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["cmw_request_id"] = uuid4().hex
        marked = _MarkedAnswer(send, scope)
        if _is_ambiguous(scope):
            await _ambiguous(scope["cmw_request_id"])(scope, receive, marked)
            return
        await self._app(scope, _BoundedBody(receive, _declared_length(scope)), marked)


class _BoundedBody:
    """Reads a body as far as it may go; the error is answered like any other."""

    def __init__(self, receive: Receive, declared: int) -> None:
        self._receive = receive
        self._declared = declared
        self._bytes = 0

    async def __call__(self) -> Message:
        message = {"type": ""} if self._declared > MAX_BODY_BYTES else await self._receive()
        self._bytes += len(message.get("body", b""))
        if max(self._bytes, self._declared) > MAX_BODY_BYTES:
            raise HTTPException(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")
        return message


class _MarkedAnswer:
    """Adds what every answer has, and what the guard of the route has left in `scope`."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._scope = scope

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._scope["cmw_request_id"]
            headers["Cache-Control"] = "no-store"
            headers.update(self._scope.get("cmw_headers", {}))
        await self._send(message)


def _ambiguous(request_id: str) -> JSONResponse:
    problem = {"code": "BAD_REQUEST", "message": "expected Content-Length or Transfer-Encoding, found both"}
    return JSONResponse({"error": problem, "meta": {"requestId": request_id}}, 400, {"Connection": "close"})


def _is_ambiguous(scope: Scope) -> bool:
    """Tell whether a proxy before us may see another end of the body than we do. Source: RFC 9112 6.1, 11.2."""
    names = {name for name, _ in scope["headers"]}
    return b"content-length" in names and b"transfer-encoding" in names


def _declared_length(scope: Scope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() and len(declared) < 19 else 0
