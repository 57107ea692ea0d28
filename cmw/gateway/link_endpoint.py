"""The WebSocket endpoint that workers dial: the token is looked at before the upgrade."""

from __future__ import annotations

import re

import structlog
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from cmw.gateway.hub import Hub
from cmw.gateway.limiter import FailureLimiter
from cmw.gateway.live_link import LiveLink
from cmw.gateway.tokens import bearer
from cmw.gateway.workers import WorkerRegistry
from cmw.link.limits import SESSION_HEADER, SUBPROTOCOL
from cmw.link.refusal import Refusal
from cmw.net.clock import monotonic_ns

TOO_MANY = "too many failed attempts"
SESSION = re.compile(r"[0-9a-f]{32}", re.ASCII)

log = structlog.get_logger("cmw.gateway.link")


class LinkEndpoint:
    """Allows or refuses upgrades. Refusals are HTTP answers whose body is the exact message.

    Wrong tokens are counted per address; beyond the limit they are answered 429 until the address has been quiet. The
    right token is never counted, so nobody can lock a worker out.
    """

    def __init__(self, registry: WorkerRegistry, hub: Hub, limiter: FailureLimiter) -> None:
        self._registry = registry
        self._hub = hub
        self._limiter = limiter

    async def __call__(self, websocket: WebSocket) -> None:
        """Serve one connection from its upgrade to its end."""
        link = await self._admit(websocket)
        if isinstance(link, PlainTextResponse):
            await websocket.send_denial_response(link)
            return
        try:
            await websocket.accept(SUBPROTOCOL)
        except BaseException:
            await self._hub.detach(link)
            raise
        await self._hub.serve(link)

    async def _admit(self, websocket: WebSocket) -> LiveLink | PlainTextResponse:
        worker = await self._registry.by_token(bearer(websocket.headers.get("authorization", "")))
        if worker is None:
            return self._wrong_token(websocket)
        if not worker["enabled"]:
            return self._refuse(websocket, Refusal.WORKER_DISABLED, worker["name"])
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            return PlainTextResponse(f"expected the subprotocol {SUBPROTOCOL}", status_code=400)
        session = websocket.headers.get(SESSION_HEADER, "")
        link = self._hub.attach(worker, session if SESSION.fullmatch(session) else None, websocket)
        if isinstance(link, Refusal):
            return self._refuse(websocket, link, worker["name"])
        return link

    def _wrong_token(self, websocket: WebSocket) -> PlainTextResponse:
        wait_s = self._limiter.failed(_address(websocket), now=monotonic_ns())
        if wait_s > 0:
            return PlainTextResponse(TOO_MANY, status_code=429, headers={"Retry-After": str(int(wait_s) + 1)})
        return self._refuse(websocket, Refusal.INVALID_TOKEN)

    def _refuse(self, websocket: WebSocket, refusal: Refusal, worker: str | None = None) -> PlainTextResponse:
        log.warning("worker refused", message=refusal.message, address=_address(websocket), worker=worker)
        return PlainTextResponse(refusal.message, status_code=refusal.status)


def _address(websocket: WebSocket) -> str:
    return websocket.client.host if websocket.client is not None else ""
