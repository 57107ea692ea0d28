"""A worker written from the pages of the link alone, with nothing of ours but a socket, carries out a run."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmw.core.words import RunStatus
from tests.gateway.world import PATIENCE_S, make_plan, open_gateway, run_async, samples_of
from tests.support.raw_link import RawLink
from tests.support.rfc6455 import BINARY, Frame

pytestmark = pytest.mark.loopback

SECONDS = 3
PACING = {"scale": 6, "zero_count": 0, "offset": 376, "counts": [400, 0, 200]}
HEALTH = {"endpoints": 8, "packets_sent": 600, "packets_received": 600, "seconds": SECONDS, "pacing_error_us": PACING}


class OtherWorker:
    """Answers the commands of one run and reports what is in its share.

    Args:
        health: what it says of itself at the end.
        spoil: changes the report of an endpoint before it is sent.
    """

    def __init__(self, link: RawLink, health: object, spoil: Callable[[dict[str, Any]], None]) -> None:
        self._link = link
        self._health = health
        self._spoil = spoil
        self._seq = 0
        self._read = 0
        self.targets: dict[str, Any] = {}
        self.acknowledged = 0

    async def carry_out_one_run(self) -> None:
        """Take commands until a run was carried out and everything of it is acknowledged."""
        share: dict[str, Any] = {}
        while not self._seq or self.acknowledged < self._seq:
            message = await self._next()
            if message["type"] == "ack":
                self.acknowledged = message["seq"]
            elif message["type"] == "command":
                self._say(type="command_accepted", id=message["id"])
                if message["name"] == "prepare_run":
                    share = message["data"]["share"]
                    self._done(message, {"targets": _targets(share)})
                elif message["name"] == "start_run":
                    self.targets = message["data"]["targets"]
                    self._done(message, {})
                    self._report_run(message["run_id"], share)

    async def _next(self) -> dict[str, Any]:
        read = await self._link.until(lambda read: len(read.texts) > self._read)
        self._read += 1
        message: dict[str, Any] = json.loads(read.texts[self._read - 1])
        return message

    def _say(self, **message: object) -> None:
        self._link.say(json.dumps(message))

    def _done(self, command: dict[str, Any], result: dict[str, Any]) -> None:
        self._say(type="command_done", id=command["id"], result=result)

    def _report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        self._seq += 1
        self._say(type="report", seq=self._seq, kind=kind, run_id=run_id, data=data)

    def _report_run(self, run_id: str, share: dict[str, Any]) -> None:
        endpoints = [(group, each) for group in share["groups"].values() for each in group["endpoints"]]
        for second in range(SECONDS):
            self._send_samples(run_id, second, [each["index"] for _, each in endpoints])
            counts = {"calls_active": len(endpoints), "calls_attempted": 4, "calls_answered": 4}
            self._report("progress", run_id, {"second": second, "endpoints": len(endpoints), **counts})
        for group, each in endpoints:
            call = {"attempted": True, "answered": True, "status_code": 200, "codec": "PCMU"}
            call["direction"] = "outbound" if group["answer"] is None else "inbound"
            report = {"run_id": run_id, "index": each["index"], "name": each["name"], "group": group["name"]}
            report |= {"phase": "INCALL", "outcome": "SUCCESS", "call": call}
            report["media"] = {"receive": {"packets_received": 150, "mos": 4.41}}
            self._spoil(report)
            self._report("endpoint", run_id, report)
        self._report("run_done", run_id, {"generator": self._health})

    def _send_samples(self, run_id: str, second: int, indices: list[int]) -> None:
        number = len(indices)
        body = bytes([len(run_id)]) + run_id.encode()
        body += struct.pack(f"<IQIH{number}I", second, time.time_ns() // 1_000_000, number, 2, *indices)
        for key, code, values in (
            ("receive.mos", "f", [4.0 + second / 10] * number),
            ("receive.packets_received", "I", [50 * (second + 1)] * number),
        ):
            body += bytes([len(key)]) + key.encode() + code.encode() + struct.pack(f"<{number}{code}", *values)
        self._seq += 1
        head = b"CMWS" + struct.pack("<BBHQI", 1, 1, 0, self._seq, len(body))
        self._link.send(Frame(BINARY, head + zlib.compress(body)))


def _targets(share: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        name: {str(each["position"]): f"sip:{each['name']}@127.0.0.1:5060" for each in group["endpoints"]}
        for name, group in share["groups"].items()
        if group["answer"] is not None
    }


def _as_it_is(report: dict[str, Any]) -> None:
    """Change nothing."""


def run_of_other_worker(
    tmp_path: Path, health: object = HEALTH, spoil: Callable[[dict[str, Any]], None] = _as_it_is
) -> tuple[RunStatus, dict[str, Any], OtherWorker, list[tuple[int, int]]]:
    """Return status, summary, worker and samples of a run that the other worker carried out."""
    found: list[Any] = []

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("other", 100)
            worker = OtherWorker(await RawLink.welcomed(server.port, token), health, spoil)
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            carrying = asyncio.ensure_future(worker.carry_out_one_run())
            run_id = await gateway.start_run(make_plan())
            async with asyncio.timeout(PATIENCE_S):
                await gateway.wait_run(run_id)
                await carrying
            run = await gateway.run(run_id)
            found.extend((run.status, await gateway.summary(run_id), worker, await samples_of(gateway, run_id)))

    run_async(work())
    return found[0], found[1], found[2], found[3]


def test_a_worker_written_from_the_page_carries_out_a_run(tmp_path: Path) -> None:
    status, summary, worker, samples = run_of_other_worker(tmp_path)
    assert status is RunStatus.COMPLETED
    assert summary["endpoints"]["by_outcome"]["SUCCESS"] == 8
    assert summary["run"]["verdict"] == "PASSED"
    assert samples == [(endpoint, second) for endpoint in range(8) for second in range(SECONDS)]
    uris = {str(k): f"sip:callees-000{k + 1}@127.0.0.1:5060" for k in range(4)}
    assert worker.targets == {"callees": uris}


def test_an_endpoint_whose_report_cannot_be_read_counts_as_lost(tmp_path: Path) -> None:
    def spoil(report: dict[str, Any]) -> None:
        if report["index"] == 2:
            report["outcome"] = "SPLENDID"

    _, summary, _, _ = run_of_other_worker(tmp_path, spoil=spoil)
    outcomes = summary["endpoints"]["by_outcome"]
    assert (outcomes["SUCCESS"], outcomes["OSERROR"]) == (7, 1)


@pytest.mark.parametrize("health", [None, {"pacing_error_us": "quick"}, {"packets_sent": 600}])
def test_a_run_whose_worker_says_nothing_of_itself_is_invalid(tmp_path: Path, health: object) -> None:
    _, summary, _, _ = run_of_other_worker(tmp_path, health)
    assert summary["run"]["verdict"] == "INVALID"
