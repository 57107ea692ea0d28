"""The ASGI application: REST API, health, and the endpoint of the link."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cmw import __version__
from cmw.gateway.answers import add_error_handlers
from cmw.gateway.api import router
from cmw.gateway.limiter import FailureLimiter
from cmw.gateway.service import Gateway
from cmw.link.limits import PATH

MAX_BODY_BYTES = 32 << 20
"""Largest request: a plan with 100,000 accounts takes about 10 MB."""


def create_app(gateway: Gateway) -> FastAPI:
    """Return the application of an open gateway."""
    app = FastAPI(
        title="cmw gateway",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.api_failures = FailureLimiter()
    app.include_router(router)
    add_error_handlers(app)
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
        body = _BoundedBody(receive)
        answer = _MarkedAnswer(send, scope["cmw_request_id"])
        if _declared_length(scope) > MAX_BODY_BYTES:
            await _too_large(scope, receive, answer)
            return
        try:
            await self._app(scope, body, answer)
        except _TooLargeError:
            if answer.is_started:
                raise
            await _too_large(scope, receive, answer)


class _TooLargeError(Exception):
    """The body is longer than it may be."""


class _BoundedBody:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MAX_BODY_BYTES:
            raise _TooLargeError
        return message


class _MarkedAnswer:
    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.is_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_started = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers["Cache-Control"] = "no-store"
        await self._send(message)


def _declared_length(scope: Scope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() and len(declared) < 19 else 0


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    error = {"code": "TOO_LARGE", "message": f"expected a body of at most {MAX_BODY_BYTES} bytes"}
    answer = JSONResponse({"error": error, "meta": {"requestId": scope["cmw_request_id"]}}, 413)
    await answer(scope, receive, send)
