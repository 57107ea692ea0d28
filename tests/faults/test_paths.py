"""What may happen between worker and gateway, and to either, while calls go on: nothing is lost, nothing doubled."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event

import pytest

from tests.faults.lab import Lab
from tests.support.tcp_path import TcpPath

pytestmark = pytest.mark.loopback

CALLS = 6
SECONDS = 10


def test_a_connection_that_is_reset_again_and_again(tmp_path: Path) -> None:
    with Lab(tmp_path, 11) as lab, TcpPath(lab.port) as path:
        worker, run_id = lab.start_calls(CALLS, SECONDS, port=path.port)
        for _ in range(3):
            known = len(worker.program.lines)
            path.reset()
            worker.program.wait_for('"event":"link lost"', after=known)
            worker.program.wait_for('"event":"link open"', after=known)
        lab.check_run(run_id, worker, calls=CALLS, seconds=SECONDS)
        assert path.taken == 4


def test_a_gateway_that_stands_still(tmp_path: Path) -> None:
    with Lab(tmp_path, 12) as lab:
        worker, run_id = lab.start_calls(CALLS, SECONDS)
        lab.gateway.signal(signal.SIGSTOP)
        Event().wait(4)  # the fault itself: so long nobody answers
        lab.gateway.signal(signal.SIGCONT)
        lab.check_run(run_id, worker, calls=CALLS, seconds=SECONDS)
        assert worker.events("link lost") == []


def test_a_worker_that_stands_still(tmp_path: Path) -> None:
    """Its calls are up all the while, but nothing is sent: no figure of the run may be believed."""
    with Lab(tmp_path, 13) as lab:
        worker, run_id = lab.start_calls(CALLS, SECONDS)
        worker.program.signal(signal.SIGSTOP)
        Event().wait(3)  # the fault itself
        worker.program.signal(signal.SIGCONT)
        run = lab.until_over(run_id)
        assert (run["status"], run["verdict"]) == ("COMPLETED", "INVALID")
        limits = lab.call("GET", f"/runs/{run_id}/summary")["generator"]["limits"]
        assert "media thread" in {limit["resource"] for limit in limits}
        assert {limit["worker"] for limit in limits} == {"w1"}
        rows = lab.call("GET", f"/runs/{run_id}/samples")
        places = [(row["endpoint"], row["second"]) for row in rows]
        assert len(places) == len(set(places))
        missed = worker.missed_seconds()
        assert missed
        assert not missed & {second for _, second in places}
