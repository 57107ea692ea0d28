"""The gateway is killed during a run and comes back: the run finishes, and nothing is missing or doubled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.lab import Lab, Worker

pytestmark = pytest.mark.loopback

CALLS = 6
SECONDS = 10


def missed_seconds(worker: Worker) -> set[int]:
    """Return the seconds that the worker itself says it could not measure: this machine was too busy."""
    warnings = worker.events("seconds without samples")
    return {second for entry in warnings for second in range(entry["first"], entry["last"] + 1)}


def test_gateway_killed_during_a_run(tmp_path: Path) -> None:
    with Lab(tmp_path, 1) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker()
        worker = lab.start_worker(token)
        worker.event("link open")
        run_id = lab.start_run(callee.target, endpoints=CALLS, duration=f"{SECONDS}s")
        lab.until_in_call(run_id, CALLS)

        lab.gateway.kill()
        worker.event("link lost")
        worker.program.wait_for("Connection refused")  # it dials in vain
        assert worker.health()["connected"] is False
        known = len(worker.program.lines)
        lab.start_gateway()
        worker.program.wait_for('"event":"link open"', after=known)

        run = lab.until_over(run_id)
        assert (run["status"], run["reason"]) == ("COMPLETED", "")
        reports = lab.call("GET", f"/runs/{run_id}/endpoints?perPage=100")
        assert [(report["index"], report["outcome"]) for report in reports] == [(k, "SUCCESS") for k in range(CALLS)]

        rows = lab.call("GET", f"/runs/{run_id}/samples")
        seen = Counter((row["endpoint"], row["second"]) for row in rows)
        assert set(seen.values()) == {1}
        missed = missed_seconds(worker)
        for endpoint in range(CALLS):
            seconds = {second for index, second in seen if index == endpoint}
            assert set(range(min(seconds), max(seconds) + 1)) - missed == seconds
            assert len(seconds | missed) >= SECONDS - 1  # the first and the last may be parts of a second

        summary = lab.call("GET", f"/runs/{run_id}/summary")
        assert summary["calls"]["answered"] == CALLS
        assert summary["timing"]["call_duration_ms"]["count"] == CALLS
        assert summary["generator"]["samples_dropped"] == 0
        assert summary["media"]["receive"]["packets_recv_rate_ps"]["count"] == sum(
            row["receive.packets_recv_rate_ps"] is not None for row in rows
        )
        sent = sum(report["media"]["send"]["packets_sent"] for report in reports)
        assert summary["media"]["send"]["packets_sent"] == sent
