"""A route of the API: who asks is known before the body is read, and the body is strict JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from cmw.errors import RemoteProtocolError
from cmw.gateway.limiter import FailureLimiter
from cmw.gateway.service import Gateway
from cmw.gateway.tokens import bearer
from cmw.link.strict_json import parse_json
from cmw.net.clock import monotonic_ns


class GuardedRoute(APIRoute):
    """Refuse callers without a key at once: dependencies would be looked at after the body was read and parsed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await _authorize(request)
            return await handle(_StrictRequest(request.scope, request.receive))

        return guarded


class _StrictRequest(Request):
    """A request whose JSON holds nothing that could not be stored or answered: lone surrogates, NaN, names twice."""

    async def json(self) -> Any:
        """Return the value of the body; a long one is read in a thread.

        Raises:
            HTTPException: 400.
        """
        body = await self.body()
        try:
            return await asyncio.to_thread(parse_json, body.decode())
        except (RemoteProtocolError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"body: {error}") from None


async def _authorize(request: Request) -> None:
    """Let a request pass that carries a key of this gateway; slow down who guesses."""
    gateway: Gateway = request.app.state.gateway
    limiter: FailureLimiter = request.app.state.api_failures
    if await gateway.api_keys.is_valid(bearer(request.headers.get("authorization", ""))):
        return
    address = request.client.host if request.client is not None else ""
    wait_s = limiter.failed(address, now=monotonic_ns())
    if wait_s > 0:
        raise HTTPException(429, "too many failed attempts", {"Retry-After": str(int(wait_s) + 1)})
    raise HTTPException(
        401, "expected an API key of this gateway in the Authorization header", {"WWW-Authenticate": "Bearer"}
    )
