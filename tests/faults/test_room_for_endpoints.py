"""Two RTP ports for each endpoint: who has fewer than it was set up for says so, and gets no run that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.lab import Lab

pytestmark = pytest.mark.loopback

CAPACITY = 100  # of `Lab.create_worker`


def plan(endpoints: int) -> dict[str, Any]:
    return {"version": 1, "name": "room", "duration": "1s", "groups": {"callees": {"endpoints": endpoints}}}


def test_200_ports_are_enough_for_100_endpoints_and_198_are_not(tmp_path: Path) -> None:
    with Lab(tmp_path, 20) as lab:
        worker_id, token = lab.create_worker()
        small = lab.start_worker(token, RTP_PORT_MIN="10000", RTP_PORT_MAX="10197")
        said = small.event("few endpoints fit")
        assert (said["level"], said["configured"], said["capacity"]) == ("warn", CAPACITY, CAPACITY - 1)
        assert "RTP_PORT_MIN to RTP_PORT_MAX, 10000-10197" in said["bound"]
        run_id = lab.call("POST", "/runs", {"plan": plan(CAPACITY)})["id"]
        refused = lab.until_over(run_id)
        assert refused["status"] == "CANNOT_RUN_FOR_NOW"
        assert "room for 99" in refused["reason"]
        small.program.stop()
        lab.until(f"/workers/{worker_id}", lambda found: found["state"] == "OFFLINE")
        enough = lab.start_worker(token, RTP_PORT_MIN="10000", RTP_PORT_MAX="10199")
        enough.event("link open")
        run_id = lab.call("POST", "/runs", {"plan": plan(CAPACITY)})["id"]
        enough.event("run prepared")
        lab.until(f"/runs/{run_id}", lambda run: run["status"] == "RUNNING")
        lab.call("POST", f"/runs/{run_id}/stop")
        lab.until_over(run_id)
        assert enough.events("few endpoints fit") == []


def test_every_port_of_the_range_can_be_used_at_once(tmp_path: Path) -> None:
    with Lab(tmp_path, 21) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker()
        worker = lab.start_worker(token, RTP_PORT_MIN="10000", RTP_PORT_MAX="10009")
        worker.event("link open")
        run_id = lab.start_run(callee.target, endpoints=5, duration="2s")
        lab.check_run(run_id, worker, calls=5, seconds=2)
