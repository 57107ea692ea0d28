"""The gateway is killed during a run and comes back: the run finishes, and nothing is missing or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.lab import Lab

pytestmark = pytest.mark.loopback

CALLS = 6
SECONDS = 10


def test_gateway_killed_during_a_run(tmp_path: Path) -> None:
    with Lab(tmp_path, 1) as lab:
        worker, run_id = lab.start_calls(CALLS, SECONDS)

        lab.gateway.kill()
        worker.event("link lost")
        worker.program.wait_for("Connection refused")  # it dials in vain
        assert worker.health()["connected"] is False
        known = len(worker.program.lines)
        lab.start_gateway()
        worker.program.wait_for('"event":"link open"', after=known)

        rows = lab.check_run(run_id, worker, calls=CALLS, seconds=SECONDS)
        reports = lab.call("GET", f"/runs/{run_id}/endpoints?perPage=100")
        summary = lab.call("GET", f"/runs/{run_id}/summary")
        assert summary["calls"]["answered"] == CALLS
        assert summary["timing"]["call_duration_ms"]["count"] == CALLS
        assert summary["generator"]["samples_dropped"] == 0
        assert summary["media"]["receive"]["packets_recv_rate_ps"]["count"] == sum(
            row["receive.packets_recv_rate_ps"] is not None for row in rows
        )
        sent = sum(report["media"]["send"]["packets_sent"] for report in reports)
        assert summary["media"]["send"]["packets_sent"] == sent
