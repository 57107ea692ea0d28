"""A worker of its own, looked at from outside, for benches."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench.gateway import GatewayProcess
from bench.measured import MeasuredProcess

LOOK_S = 1.0


class Figures(NamedTuple):
    """One process from outside. Source: proc(5)."""

    rss_mib: float
    open_files: int
    threads: int


def figures_of(pid: int) -> Figures:
    """Look at a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    rss_kib, threads = (int(status.partition(f"\n{name}:")[2].split()[0]) for name in ("VmRSS", "Threads"))
    return Figures(round(rss_kib / 1024, 1), len(os.listdir(f"/proc/{pid}/fd")), threads)


async def run_over(gateway: GatewayProcess, run_id: str) -> dict[str, Any]:
    """Wait for the end of a run, and return it."""
    while True:
        run: dict[str, Any] = await gateway.call("GET", f"/runs/{run_id}")
        if run["exit_code"] is not None:
            return run
        await asyncio.sleep(LOOK_S)


class WorkerProcess:
    """`cmw worker` on an address, and its pages."""

    def __init__(self, token: str, gateway_port: int, ip: str) -> None:
        health_port = _free_tcp_port()
        settings = {
            "WORKER_TOKEN": token,
            "CLOUD_URL": f"ws://127.0.0.1:{gateway_port}",
            "SIP_IP": ip,
            "RTP_PORT_MIN": "10000",
            "RTP_PORT_MAX": "19999",
            "HEALTH_PORT": str(health_port),
            "LOG_LEVEL": "warn",
        }
        self.process = MeasuredProcess([sys.executable, "-m", "cmw", "worker"], environment=os.environ | settings)
        self.pid = self.process.pid
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{health_port}", timeout=60)

    async def __aenter__(self) -> WorkerProcess:
        await self._until_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self.process.stop()
        self.process.__exit__(None, None, None)

    async def gauges(self) -> dict[str, float]:
        """Return what the page of figures says, by name and labels."""
        text = (await self.client.get("/metrics")).text
        return {name: float(value) for name, value in re.findall(r"^(cmw_\S+) (\S+)$", text, re.MULTILINE)}

    async def until_in_call(self, endpoints: int) -> None:
        """Return once so many endpoints are in call."""
        while True:
            if (await self.gauges())['cmw_endpoints{phase="incall"}'] >= endpoints:
                return
            await asyncio.sleep(LOOK_S)

    async def _until_ready(self) -> None:
        while True:
            try:
                if (await self.client.get("/ready")).is_success:
                    return
            except httpx.TransportError:
                assert self.process.is_alive, self.process.errors
            await asyncio.sleep(0.1)


def _free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
