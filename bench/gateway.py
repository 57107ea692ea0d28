"""What one gateway costs: workers on real links that report every second, and a run that is summed up in the end.

    python -m bench.gateway --workers 20 --endpoints 50 --columns 25 --seconds 60

The gateway is a process of its own, the workers share this one. That nothing is missing or doubled is asserted before
any cost is given. `acknowledged_ms` is from a worker's report to the gateway's acknowledgement, commit included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import uvloop

from cmw.core.address import Address
from cmw.link import events
from cmw.link.presence import WorkerInfo
from cmw.link.samples import SampleBatch
from cmw.link.url import GatewayUrl
from cmw.load.outcome import CallReport, EndpointReport, RunTotals
from cmw.load.share import EndpointShare, RunShare
from cmw.metrics.histogram import ExponentialHistogram
from cmw.metrics.keys import COLUMNS
from cmw.net.link_client import LinkClient

PATIENCE_S = 60
CHECKED = "receive.jitter_ms"
"""The column that is always filled, and whose values are counted in the end."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class GatewayProcess:
    """`cmw gateway` on a directory, and its API."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.port = 0

    async def __aenter__(self) -> GatewayProcess:
        arguments = [
            "-m",
            "cmw",
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--data",
            str(self._data),
            "--log-level",
            "warn",
        ]
        self._process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.PIPE)
        assert self._process.stderr is not None
        while b"gateway at" not in (line := await self._process.stderr.readline()):
            assert line, "the gateway ended"
        url = line.decode().split()[3].rstrip(",")
        self.port = int(url.rpartition(":")[2])
        key = (self._data / "api-key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=PATIENCE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self._process.terminate()
        await self._process.communicate()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the API and return the data of the answer."""
        answer = await self.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return what the process has used so far. Source: proc(5)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def peak_rss_bytes(self) -> int:
        """Return the largest resident set of the process so far. Source: proc(5)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def store_bytes(self) -> int:
        """Return the size of the database and its log."""
        return sum(file.stat().st_size for file in self._data.glob("gateway.db*"))


class Reporter:
    """A worker that reports made-up figures once in a period.

    Args:
        columns: how many columns of samples it fills.
        seconds: how many batches it sends.
        period_s: time between them.
    """

    def __init__(self, port: int, token: str, *, capacity: int, columns: int, seconds: int, period_s: float) -> None:
        self.acknowledged_ms = ExponentialHistogram()
        self.frame_bytes = 0
        self._keys = dict(list(({CHECKED: COLUMNS[CHECKED]} | COLUMNS).items())[:columns])
        self._seconds = seconds
        self._period_s = period_s
        self._sent_at: dict[int, float] = {}
        self._endpoints: list[tuple[str, EndpointShare]] = []
        self._columns: list[dict[str, array[Any]]] = []
        self._random = random.Random(token)
        self.task: asyncio.Task[None] | None = None
        self.client = LinkClient(
            url=GatewayUrl(Address("127.0.0.1", port), False),
            token=token,
            info=WorkerInfo(capacity=capacity, version="bench", host="here", engine="compiled"),
            on_event=self._on_event,
            on_warning=lambda _: None,
        )
        self.client.start()

    def _on_event(self, event: object) -> None:
        if isinstance(event, events.Acknowledged):
            now = time.monotonic()
            for seq in [seq for seq in self._sent_at if seq <= event.seq]:
                self.acknowledged_ms.record(1000 * (now - self._sent_at.pop(seq)))
        elif isinstance(event, events.CommandReceived):
            self._carry_out(event)

    def _carry_out(self, command: events.CommandReceived) -> None:
        if command.name == "prepare_run":
            share = RunShare.model_validate(command.data["share"])
            self._endpoints = [(group.name, e) for group in share.groups.values() for e in group.endpoints]
            self._columns = [self._make_columns() for _ in range(3)]
        self.client.run(lambda link, now: link.done(command.id, {}, now=now))
        if command.name == "start_run":
            self.task = asyncio.get_running_loop().create_task(self._report_all(command.run_id or ""))

    async def _report_all(self, run_id: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time() + self._random.random() * self._period_s  # workers do not tick together
        for second in range(self._seconds):
            await asyncio.sleep(began + second * self._period_s - loop.time())
            self._report_second(run_id, second)
        for group, endpoint in self._endpoints:
            self._report("endpoint", run_id, _final(run_id, group, endpoint))
        totals = RunTotals(endpoints=len(self._endpoints))
        self._report("run_done", run_id, {"generator": totals.model_dump(mode="json")})

    def _report_second(self, run_id: str, second: int) -> None:
        rows = len(self._endpoints)
        indices = array("I", [endpoint.index for _, endpoint in self._endpoints])
        columns = self._columns[second % len(self._columns)]
        batch = SampleBatch(run_id, second, time.time_ns() // 1_000_000, indices, columns)
        for seq in self.client.run(lambda link, now: link.send_samples(batch, now=now)):
            self._sent_at[seq] = time.monotonic()
        self._report("progress", run_id, {"second": second, "by_phase": {"INCALL": rows}, "calls_active": rows})

    def _make_columns(self) -> dict[str, array[Any]]:
        """Return figures of one second, made before the clock runs: making them costs more than reporting them."""
        rows, number = len(self._endpoints), self._random
        return {
            key: array("f", [number.random() for _ in range(rows)])
            if code == "f"
            else array("I", [number.randrange(3000) for _ in range(rows)])
            for key, code in self._keys.items()
        }

    def _report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        seq = self.client.run(lambda link, now: link.report(kind, run_id, data, now=now))
        self._sent_at[seq] = time.monotonic()


async def measure(*, workers: int, endpoints: int, columns: int, seconds: int, period_s: float = 1.0) -> dict[str, Any]:
    """Run the bench and return its figures.

    Args:
        endpoints: of each worker.
        seconds: batches of each worker.
        period_s: time between two batches of a worker; 1 is what workers do.
    """
    with tempfile.TemporaryDirectory(prefix="cmw-bench-") as directory:
        async with GatewayProcess(Path(directory)) as gateway:
            made = [
                await gateway.call("POST", "/workers", {"name": f"w{number}", "capacity": endpoints})
                for number in range(workers)
            ]
            reporters = [
                Reporter(
                    gateway.port, one["token"], capacity=endpoints, columns=columns, seconds=seconds, period_s=period_s
                )
                for one in made
            ]
            await _until(gateway, "/workers?perPage=1000", lambda found: all(w["state"] == "ONLINE" for w in found))
            figures = await _run(gateway, reporters, endpoints=workers * endpoints, seconds=seconds)
            for reporter in reporters:
                await reporter.client.close(1.0)
            return {"workers": workers, "endpoints": workers * endpoints, "columns": columns} | figures


async def _run(gateway: GatewayProcess, reporters: list[Reporter], *, endpoints: int, seconds: int) -> dict[str, Any]:
    groups = {"callers": {"endpoints": endpoints, "call": {"uri": "sip:bench@127.0.0.1"}}}
    plan = {"version": 1, "name": "bench", "duration": "10s", "groups": groups}
    cpu, bytes_before = gateway.cpu_seconds(), gateway.store_bytes()
    run_id = (await gateway.call("POST", "/runs", {"plan": plan}))["id"]
    await _until(gateway, f"/runs/{run_id}", lambda run: run["status"] != "PENDING" and run["status"] != "QUEUED")
    began, cpu_prepared = time.monotonic(), gateway.cpu_seconds()
    own_cpu = time.process_time()
    while any(reporter.task is None for reporter in reporters):  # noqa: ASYNC110 - the command is on its way
        await asyncio.sleep(0.01)
    await asyncio.gather(*(reporter.task for reporter in reporters if reporter.task is not None))
    assert all(await asyncio.gather(*(reporter.client.flush(PATIENCE_S) for reporter in reporters)))
    own_cpu = time.process_time() - own_cpu
    elapsed, cpu_reported = time.monotonic() - began, gateway.cpu_seconds()
    run = await _until(gateway, f"/runs/{run_id}", lambda run: run["exit_code"] is not None)
    ended, cpu_ended = time.monotonic(), gateway.cpu_seconds()
    await _check(gateway, run, endpoints=endpoints, seconds=seconds)
    acknowledged = ExponentialHistogram()
    for reporter in reporters:
        acknowledged.merge(reporter.acknowledged_ms)
    rows = endpoints * seconds
    return {
        "seconds": round(elapsed, 3),
        "own_core_fraction": round(own_cpu / elapsed, 4),
        "rows": rows,
        "prepare_cpu_seconds": round(cpu_prepared - cpu, 3),
        "report_cpu_seconds": round(cpu_reported - cpu_prepared, 3),
        "core_fraction": round((cpu_reported - cpu_prepared) / elapsed, 4),
        "us_per_row": round(1e6 * (cpu_reported - cpu_prepared) / rows, 2),
        "summary_cpu_seconds": round(cpu_ended - cpu_reported, 3),
        "summary_seconds": round(ended - began - elapsed, 3),
        "acknowledged_ms": {f"p{round(100 * q)}": _rounded(acknowledged.quantile(q)) for q in (0.5, 0.99)}
        | {"max": _rounded(acknowledged.max)},
        "rss_bytes": gateway.peak_rss_bytes(),
        "store_bytes": gateway.store_bytes() - bytes_before,
        "store_bytes_per_row": round((gateway.store_bytes() - bytes_before) / rows, 1),
    }


async def _check(gateway: GatewayProcess, run: dict[str, Any], *, endpoints: int, seconds: int) -> None:
    """Assert that the gateway has every sample and every report once."""
    assert (run["status"], run["late_reports"]) == ("COMPLETED", 0), run
    found: Counter[tuple[str, str]] = Counter()
    async with gateway.client.stream("GET", f"/runs/{run['id']}/samples", params={"format": "csv"}) as answer:
        head: list[str] = []
        async for line in answer.aiter_lines():
            cells = line.split(",")
            if not head:
                head = cells
                continue
            found[cells[head.index("endpoint")], cells[head.index("second")]] += 1
    assert found == Counter((str(e), str(s)) for e in range(endpoints) for s in range(seconds))
    summary = await gateway.call("GET", f"/runs/{run['id']}/summary")
    assert summary["calls"]["answered"] == summary["endpoints"]["by_outcome"]["SUCCESS"] == endpoints
    side, key = CHECKED.split(".")
    assert summary["media"][side][key]["count"] == endpoints * seconds


async def _until(gateway: GatewayProcess, path: str, is_reached: Any) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not is_reached(found := await gateway.call("GET", path)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    return found


def _final(run_id: str, group: str, endpoint: EndpointShare) -> dict[str, Any]:
    call = CallReport(
        attempted=True, answered=True, direction="outbound", status_code=200, timing={"call_setup_time_ms": 9}
    )
    report = EndpointReport(
        run_id=run_id, index=endpoint.index, name=endpoint.name, group=group, outcome="SUCCESS", call=call
    )
    return report.model_dump(mode="json", exclude_none=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--endpoints", type=int, default=50, help="of each worker")
    parser.add_argument("--columns", type=int, default=25, help=f"at most {len(COLUMNS)}")
    parser.add_argument("--seconds", type=int, default=5)
    chosen = parser.parse_args()
    print(json.dumps(uvloop.run(measure(**vars(chosen))), indent=2))


if __name__ == "__main__":
    main()
