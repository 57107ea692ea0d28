"""Samples as a body that is made while it is sent: a run may have millions of rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import ujson
from fastapi import Request

from cmw.gateway.rest.answers import request_id
from cmw.gateway.service import Gateway

CHUNK_CHARACTERS = 64 * 1024


async def json_stream(request: Request, gateway: Gateway, run_id: str, endpoint: int | None) -> AsyncIterator[str]:
    """Yield one envelope with a list of rows."""
    chunk = '{"data":['
    is_first = True
    async for row in gateway.samples(run_id, endpoint=endpoint):
        chunk += ("" if is_first else ",") + ujson.dumps(row)
        is_first = False
        if len(chunk) > CHUNK_CHARACTERS:
            yield chunk
            chunk = ""
    yield chunk + '],"meta":{"requestId":' + ujson.dumps(request_id(request)) + "}}"
