"""A worker whose address is an IPv6 one, written in brackets, carries out a run for its gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.lab import Lab
from tests.support.processes import Callee

pytestmark = pytest.mark.loopback


def test_a_worker_calls_over_ipv6(tmp_path: Path) -> None:
    with Lab(tmp_path, 14) as lab, Callee(tmp_path / "callee", "::1", rtp_ports="40000-40999") as callee:
        _, token = lab.create_worker()
        worker = lab.start_worker(token, SIP_IP="[::1]")
        assert worker.event("worker started")["media"] == "::1"
        worker.event("link open")
        run = lab.start_run(callee.target, endpoints=2, duration="1s")
        lab.until_over(run)
        assert lab.call("GET", f"/runs/{run}/summary")["endpoints"]["by_outcome"]["SUCCESS"] == 2
