"""Orders for Debian's baresip by its module ctrl_tcp: JSON in netstrings, answers and events mixed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_S = 20


class BaresipControl:
    """A connection to one baresip."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._events: list[dict[str, Any]] = []

    async def order(self, command: str, params: str = "") -> str:
        """Carry out a command of its menu; return what it says."""
        text = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        while "response" not in (fact := await self._next()):
            self._events.append(fact)
        assert fact["ok"], fact
        return str(fact["data"])

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next event of a type, such as ``CALL_ESTABLISHED``; others are kept."""
        for fact in self._events:
            if fact.get("type") == kind:
                self._events.remove(fact)
                return fact
        while (fact := await self._next()).get("type") != kind:
            self._events.append(fact)
        return fact

    async def _next(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                length = int((await self._reader.readuntil(b":"))[:-1])
                text = await self._reader.readexactly(length + 1)
        except TimeoutError:
            raise AssertionError(f"baresip says no more after {self._events}") from None
        found: dict[str, Any] = json.loads(text[:-1])
        return found


@asynccontextmanager
async def baresip_control(ip: str, port: int) -> AsyncIterator[BaresipControl]:
    """Connect to the module, which listens once baresip runs."""
    reader, writer = await asyncio.open_connection(ip, port)
    try:
        yield BaresipControl(reader, writer)
    finally:
        writer.close()
