"""A route of the API: who asks, how often, and whether they may is known before the body is read.

Dependencies would be looked at after it was read and parsed, so this stands before them.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any

import ujson
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from cmw.core.clock import SECOND
from cmw.errors import RemoteProtocolError
from cmw.gateway.api_keys import KeyRow
from cmw.gateway.errors import RequestError, forbidden
from cmw.gateway.idempotency import Answered, Asked, fingerprint
from cmw.gateway.limiter import Allowance, Buckets, FailureLimiter
from cmw.gateway.roles import Role
from cmw.gateway.service import Gateway
from cmw.gateway.tokens import bearer
from cmw.link.strict_json import parse_json
from cmw.net.clock import monotonic_ns

ROLE = "x-role"
"""In the OpenAPI document: the role that an operation takes."""

SHOWN_ONCE = "x-shown-once"
"""In the OpenAPI document: the field of an answer that is a secret, and not shown again."""

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def needs(role: Role, *, shows_once: str | None = None) -> dict[str, Any]:
    """Return what a route says of itself: the role it takes, and the secret that its answer has."""
    said: dict[str, Any] = {ROLE: role.value}
    if shows_once is not None:
        said[SHOWN_ONCE] = shows_once
    return said


class GuardedRoute(APIRoute):
    """Lets a request pass that carries a key of this gateway with the role that the route `needs`."""

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        handle = super().get_route_handler()
        said = self.openapi_extra or {}
        role, secret = Role(said[ROLE]), said.get(SHOWN_ONCE)

        async def guarded(request: Request) -> Response:
            caller = await _authenticate(request)
            _count(request, caller)
            if not (has := Role(caller["role"])).includes(role):
                raise forbidden(f"expected an API key with the role {role} or more, found one with the role {has}")
            request.state.caller = caller
            strict = _StrictRequest(request.scope, request.receive)
            if request.method != "POST" or (key := request.headers.get("idempotency-key")) is None:
                return await handle(strict)
            return await _once(strict, caller, key, handle, secret)

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


async def _authenticate(request: Request) -> KeyRow:
    """Return whose key a request carries; slow down who guesses."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.api_keys.find(bearer(request.headers.get("authorization", "")))
    if caller is not None:
        return caller
    limiter: FailureLimiter = request.app.state.api_failures
    address = request.client.host if request.client is not None else ""
    wait_s = limiter.failed(address, now=monotonic_ns())
    if wait_s > 0:
        raise HTTPException(429, "too many failed attempts", {"Retry-After": str(int(wait_s) + 1)})
    raise HTTPException(
        401, "expected an API key of this gateway in the Authorization header", {"WWW-Authenticate": "Bearer"}
    )


def _count(request: Request, caller: KeyRow) -> None:
    """Count a request of a key, and have its answer say what is left."""
    requests: Buckets = request.app.state.api_requests
    left = requests.take(caller["id"], now=monotonic_ns())
    request.scope["cmw_headers"] = _rate_headers(left)
    if left.wait_ns:
        detail = f"expected at most {left.limit} requests a minute with one API key"
        raise RequestError(429, "RATE_LIMITED", detail, retry_after_s=_seconds(left.wait_ns))


def _rate_headers(left: Allowance) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(left.limit),
        "RateLimit-Remaining": str(left.remaining),
        "RateLimit-Reset": str(_seconds(left.full_in_ns)),
    }


def _seconds(span_ns: int) -> int:
    return math.ceil(span_ns / SECOND)


async def _once(request: Request, caller: KeyRow, key: str, handle: Handler, secret: str | None) -> Response:
    """Carry a request out unless it was before; then give the answer that it had."""
    if IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise RequestError(422, "INVALID_REQUEST", "Idempotency-Key: expected 1 to 255 visible ASCII characters")
    gateway: Gateway = request.app.state.gateway
    target = f"{request.url.path}?{request.url.query}"
    asked = Asked(caller["id"], key, fingerprint(request.method, target, await request.body()))
    before = await gateway.idempotency.begin(asked)
    if before is not None:
        return _replay(before, secret)
    try:
        response = await handle(request)
    except BaseException:
        await gateway.idempotency.failed(asked)
        raise
    await gateway.idempotency.succeeded(asked, Answered(response.status_code, _without(bytes(response.body), secret)))
    return response


def _without(body: bytes, secret: str | None) -> bytes:
    if secret is None:
        return body
    envelope = ujson.loads(body)
    del envelope["data"][secret]
    return ujson.dumps(envelope).encode()


def _replay(before: Answered, secret: str | None) -> Response:
    if secret is not None:
        made = ujson.loads(before.body)["data"]["id"]
        detail = f"this request was carried out, on {made}; its {secret} was shown then and is not shown again"
        raise RequestError(409, "SHOWN_ONCE", detail)
    return Response(before.body, before.status, {"Idempotency-Replayed": "true"}, "application/json")
