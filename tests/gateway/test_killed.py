"""The gateway is killed at any moment: nothing that a worker reported is missing or doubled afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.world import PATIENCE_S, PLAN, FakeWorker, run_async

pytestmark = pytest.mark.loopback

SECONDS_BETWEEN_KILLS = 25
KILLS = 3


class Program:
    """`cmw gateway` as a process of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return once it listens."""
        arguments = ["-m", "cmw", "gateway", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data_dir)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"}
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while b"gateway at" not in (line := await self._process.stderr.readline()):
                assert line, "the gateway ended"

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        key = (self.data_dir / "api-key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers) as client:
            answer = await client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def until(self, path: str, key: str, values: set[str]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await self.call("GET", path))[key] not in values:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        return found


def test_killed_three_times_during_a_run(tmp_path: Path) -> None:
    async def work() -> None:
        gateway = Program(tmp_path / "data")
        await gateway.start()
        made = await gateway.call("POST", "/workers", {"name": "w1"})
        worker = FakeWorker(gateway.port, made["token"], seconds=None).start()
        await gateway.until(f"/workers/{made['id']}", "state", {"ONLINE"})
        run_id = (await gateway.call("POST", "/runs", {"plan": PLAN}))["id"]
        await worker.ordered("start_run")
        for kill in range(KILLS):
            for second in range(SECONDS_BETWEEN_KILLS):
                worker.report_second(run_id, kill * SECONDS_BETWEEN_KILLS + second)
                await asyncio.sleep(0.005)  # some are committed, some on their way, some not sent when the kill comes
            assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
            await gateway.start()
        worker.finish(run_id)
        run = await gateway.until(f"/runs/{run_id}", "status", {"COMPLETED", "FAILED"})
        rows = await gateway.call("GET", f"/runs/{run_id}/samples")
        ended = await gateway.call("GET", f"/runs/{run_id}/endpoints?perPage=100")
        assert run["status"] == "COMPLETED"
        assert Counter((row["endpoint"], row["second"]) for row in rows) == Counter(
            (endpoint, second) for endpoint in range(8) for second in range(KILLS * SECONDS_BETWEEN_KILLS)
        )
        assert [report["index"] for report in ended] == list(range(8))
        assert worker.commands == ["prepare_run", "start_run"]
        await worker.stop()
        assert await gateway.end(signal.SIGTERM) == 143

    run_async(work())
