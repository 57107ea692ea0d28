"""A gateway in a thread of its own, for tests of clients that block."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cmw.gateway.api_keys import API_KEY_FILE
from cmw.gateway.rest.app import ApiLimits
from tests.gateway.world import FakeWorker, open_gateway

PATIENCE_S = 20


class BackgroundGateway:
    """A gateway on loopback, and workers when asked for; a context manager, or `start` and `stop`."""

    def __init__(self, data_dir: Path, limits: ApiLimits | None = None) -> None:
        self.data_dir = data_dir
        self.url = ""
        self.port = 0
        self._limits = limits
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._workers: list[FakeWorker] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_key(self) -> str:
        """Return the first API key."""
        return (self.data_dir / API_KEY_FILE).read_text().strip()

    def link(self, worker: dict[str, Any], **options: Any) -> FakeWorker:
        """Have a worker ONLINE."""

        async def link() -> FakeWorker:
            linked = FakeWorker(self.port, worker["token"], **options).start()
            self._workers.append(linked)
            assert await self._gateway.wait_worker(worker["id"], timeout_s=PATIENCE_S)
            return linked

        return asyncio.run_coroutine_threadsafe(link(), self._loop).result(PATIENCE_S + 10)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with open_gateway(self.data_dir, limits=self._limits) as (gateway, server):
            await gateway.api_keys.create_first(self.data_dir)
            self.url, self.port, self._gateway = server.url, server.port, gateway
            self._ready.set()
            await self._stop.wait()
            for worker in self._workers:
                await worker.stop()
