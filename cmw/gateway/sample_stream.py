"""Samples as a body that is made while it is sent: a run may have millions of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import ujson
from fastapi import Request

from cmw.gateway.answers import request_id
from cmw.gateway.service import Gateway

FIXED_COLUMNS = ("endpoint", "second", "at_unix_ms")
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


async def csv_stream(gateway: Gateway, run_id: str, endpoint: int | None) -> AsyncIterator[str]:
    """Yield a header and one line per row; what is absent is an empty field."""
    keys = await gateway.sample_keys(run_id)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*FIXED_COLUMNS, *keys])
    async for row in gateway.samples(run_id, endpoint=endpoint):
        writer.writerow([row[name] for name in FIXED_COLUMNS] + [row.get(key) for key in keys])
        if buffer.tell() > CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
