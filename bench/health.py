"""How long a worker takes for `/health` while its endpoints call.

    python -m bench.health --endpoints 500 --seconds 30

A gateway, a worker and `cmw answer` are processes of their own on loopback. The page is asked for at random instants
over one connection, before the run and while all its endpoints are in call. In turn with the worker a server is
asked that answers and does nothing else: what that takes is the machine's part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.gateway import GatewayProcess
from bench.measured import MeasuredProcess
from bench.worker_process import WorkerProcess, run_over

MEAN_PAUSE_S = 0.05
PLACED_PER_S = 100
BARE_SERVER = """
import asyncio
async def answer(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Asked:
    """Answers of a page: how long each took, milliseconds."""

    def __init__(self) -> None:
        self.worker_ms: list[float] = []
        self.bare_ms: list[float] = []

    async def ask(self, worker: httpx.AsyncClient, bare: httpx.AsyncClient, drawn: random.Random) -> None:
        """Ask both once, after a pause of a random length."""
        await asyncio.sleep(drawn.expovariate(1 / MEAN_PAUSE_S))
        self.worker_ms.append(await _time_ms(worker))
        self.bare_ms.append(await _time_ms(bare))

    def figures(self) -> dict[str, Any]:
        """Return the percentiles of both."""
        return {
            "asked": len(self.worker_ms),
            "health": _percentiles(self.worker_ms),
            "bare": _percentiles(self.bare_ms),
        }


async def measure(*, endpoints: int, seconds: float, network: str) -> dict[str, Any]:
    """Ask a worker at rest and one whose endpoints are in call, for so many seconds each."""
    with tempfile.TemporaryDirectory() as directory, MeasuredProcess([sys.executable, "-c", BARE_SERVER]) as server:
        server.wait_for("port")
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{int(server.output.split()[1])}", timeout=60) as bare,
            GatewayProcess(Path(directory)) as gateway,
        ):
            created = await gateway.call("POST", "/workers", {"name": "health", "capacity": endpoints})
            words = ["--listen", f"{network}.2:5060", "--rtp-ports", "20000-29999", "--log-level", "error"]
            with MeasuredProcess([sys.executable, "-m", "cmw", "answer", *words]) as callee:
                callee.wait_until_bound(f"{network}.2", 5060)
                async with WorkerProcess(created["token"], gateway.port, f"{network}.1") as worker:
                    idle = await _ask_for(seconds, worker, bare)
                    busy = await _ask_in_call(seconds, worker, bare, gateway, f"sip:bob@{network}.2", endpoints)
    return {"endpoints": endpoints, "at_rest": idle.figures(), "in_call": busy.figures()}


async def _ask_in_call(
    seconds: float, worker: WorkerProcess, bare: httpx.AsyncClient, gateway: GatewayProcess, uri: str, endpoints: int
) -> Asked:
    load = {"arrivals": "constant", "rate": f"{PLACED_PER_S}/s"}
    hold_s = seconds + endpoints / PLACED_PER_S + 2
    groups = {"callers": {"endpoints": endpoints, "call": {"uri": uri}, "load": load}}
    plan = {"version": 1, "name": "health", "duration": f"{hold_s:.1f}s", "groups": groups}
    run = await gateway.call("POST", "/runs", {"plan": plan})
    await worker.until_in_call(endpoints)
    asked = await _ask_for(seconds, worker, bare)
    await run_over(gateway, run["id"])
    outcomes = (await gateway.call("GET", f"/runs/{run['id']}/summary"))["endpoints"]["by_outcome"]
    assert outcomes["SUCCESS"] == endpoints, outcomes
    return asked


async def _ask_for(seconds: float, worker: WorkerProcess, bare: httpx.AsyncClient) -> Asked:
    asked, drawn, ends_at = Asked(), random.Random(1), time.monotonic() + seconds
    while time.monotonic() < ends_at:
        await asked.ask(worker.client, bare, drawn)
    return asked


async def _time_ms(client: httpx.AsyncClient) -> float:
    began = time.perf_counter()
    answer = await client.get("/health")
    taken = 1000 * (time.perf_counter() - began)
    assert answer.status_code == httpx.codes.OK, answer.text
    return taken


def _percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {f"p{p}_ms": round(ordered[(len(ordered) - 1) * p // 100], 1) for p in (50, 95, 99, 100)}


def main() -> None:
    """Run the bench from the command line, and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--network", default="127.33.11", help="first three bytes of loopback addresses to use")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(**vars(options)))))


if __name__ == "__main__":
    main()
