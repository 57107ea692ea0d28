"""Whether an hour of calls that come and go leaves anything behind in a worker or in its gateway.

    python -m bench.soak --endpoints 200 --minutes 60

A gateway, a worker and `cmw answer` are processes of their own on loopback. The endpoints are split into lanes; each
lane has runs one after the other, whose calls come by Poisson and are held for 20 to 40 s, another time for each run.
Every minute the three are looked at from outside: resident memory, open files and threads, and the worker's own count
of tasks. That every call succeeded is asserted before any figure is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.gateway import GatewayProcess
from bench.measured import MeasuredProcess
from bench.worker_process import WorkerProcess, figures_of, run_over
from cmw.core.words import OutcomeKind

LANE_ENDPOINTS = 20
ARRIVALS_PER_S = 2
HOLD_S = 20.0, 40.0


class Lane:
    """Runs one after the other; `outcomes` counts how their endpoints ended, `limits` why a run was INVALID."""

    def __init__(
        self, gateway: GatewayProcess, number: int, target: str, endpoints: int, hold_s: tuple[float, float]
    ) -> None:
        self.runs = 0
        self.outcomes: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self._gateway = gateway
        self._number = number
        self._target = target
        self._endpoints = endpoints
        self._hold_s = hold_s
        self._random = random.Random(number)

    async def work(self, ends_at: float) -> None:
        """Have runs, the last of which has ended by `ends_at`, monotonic seconds."""
        while True:
            hold_s = self._random.uniform(*self._hold_s)
            if time.monotonic() + hold_s + 3 * self._endpoints / ARRIVALS_PER_S > ends_at:
                return
            run = await self._gateway.call("POST", "/runs", {"plan": self._plan(round(hold_s, 1))})
            found = await run_over(self._gateway, run["id"])
            summary = await self._gateway.call("GET", f"/runs/{run['id']}/summary")
            self.runs += 1
            self.outcomes.update(summary["endpoints"]["by_outcome"])
            self.verdicts[found["verdict"]] += 1
            self.limits.update(f"{limit['resource']}: {limit['metric']}" for limit in summary["generator"]["limits"])

    def _plan(self, hold_s: float) -> dict[str, Any]:
        load = {"arrivals": "poisson", "rate": f"{ARRIVALS_PER_S}/s"}
        callers = {"endpoints": self._endpoints, "call": {"uri": self._target}, "load": load}
        seed = self._random.randrange(2**32)
        return {
            "version": 1,
            "name": f"lane-{self._number}",
            "seed": seed,
            "duration": f"{hold_s}s",
            "groups": {"callers": callers},
        }


class Soak:
    """The three programs, the lanes and the rows of figures.

    Args:
        network: first three bytes of the loopback addresses.
        period_s: time between two looks.
        hold_s: bounds of how long calls are held.
    """

    def __init__(
        self,
        gateway: GatewayProcess,
        network: str,
        endpoints: int,
        *,
        period_s: float = 60.0,
        hold_s: tuple[float, float] = HOLD_S,
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self._gateway = gateway
        self._network = network
        self._endpoints = endpoints
        self._period_s = period_s
        self._hold_s = hold_s

    async def run(self, seconds: float) -> dict[str, Any]:
        """Have calls for so long, and return what was seen."""
        created = await self._gateway.call("POST", "/workers", {"name": "soak", "capacity": self._endpoints})
        callee_ip = f"{self._network}.2"
        words = ["--listen", f"{callee_ip}:5060", "--rtp-ports", "20000-29999", "--log-level", "error"]
        with MeasuredProcess([sys.executable, "-m", "cmw", "answer", *words]) as callee:
            callee.wait_until_bound(callee_ip, 5060)
            async with WorkerProcess(created["token"], self._gateway.port, f"{self._network}.1") as worker:
                return await self._soak(worker, callee.pid, f"sip:bob@{callee_ip}", seconds)

    async def _soak(self, worker: WorkerProcess, callee_pid: int, target: str, seconds: float) -> dict[str, Any]:
        began = time.monotonic()
        sizes = [min(LANE_ENDPOINTS, self._endpoints - k) for k in range(0, self._endpoints, LANE_ENDPOINTS)]
        lanes = [Lane(self._gateway, k, target, size, self._hold_s) for k, size in enumerate(sizes)]
        work = [asyncio.create_task(lane.work(began + seconds)) for lane in lanes]
        await self._look(worker, callee_pid, 0.0)
        while not all(task.done() for task in work):
            await asyncio.wait(work, timeout=self._period_s)
            await self._look(worker, callee_pid, time.monotonic() - began)
        await asyncio.gather(*work)
        outcomes = sum((lane.outcomes for lane in lanes), Counter[str]())
        assert set(+outcomes) == {OutcomeKind.SUCCESS.value}, outcomes
        verdicts = sum((lane.verdicts for lane in lanes), Counter[str]())
        limits = sum((lane.limits for lane in lanes), Counter[str]())
        return {
            "runs": sum(lane.runs for lane in lanes),
            "calls": outcomes.total(),
            "verdicts": verdicts,
            "limits": limits,
            "rows": self.rows,
        }

    async def _look(self, worker: WorkerProcess, callee_pid: int, after_s: float) -> None:
        gauges = await worker.gauges()
        row = {
            "minute": round(after_s / 60, 1),
            "in_call": int(gauges['cmw_endpoints{phase="incall"}']),
            "tasks": int(gauges["cmw_event_loop_tasks"]),
            "worker": figures_of(worker.pid)._asdict(),
            "gateway": figures_of(self._gateway.pid)._asdict(),
            "callee": figures_of(callee_pid)._asdict(),
        }
        self.rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)


async def measure(*, endpoints: int, seconds: float, network: str, **how: Any) -> dict[str, Any]:
    """Have calls come and go for so many seconds, and return what was seen of the programs."""
    with tempfile.TemporaryDirectory() as directory:
        async with GatewayProcess(Path(directory)) as gateway:
            return await Soak(gateway, network, endpoints, **how).run(seconds)


def main() -> None:
    """Run the bench from the command line; rows go to stderr as they come, the result to stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--network", default="127.33.10", help="first three bytes of loopback addresses to use")
    options = parser.parse_args()
    figures = measure(endpoints=options.endpoints, seconds=60 * options.minutes, network=options.network)
    print(json.dumps(asyncio.run(figures)))


if __name__ == "__main__":
    main()
