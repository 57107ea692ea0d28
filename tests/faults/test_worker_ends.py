"""A worker ends during a run: politely when it is asked to, and never with a result that is not there."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.lab import Lab

pytestmark = pytest.mark.loopback

CALLS = 3


def test_terminated_it_hangs_up_and_reports(tmp_path: Path) -> None:
    with Lab(tmp_path, 6) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker()
        worker = lab.start_worker(token)
        worker.event("link open")
        run_id = lab.start_run(callee.target, endpoints=CALLS, duration="120s")
        lab.until_in_call(run_id, CALLS)
        worker.program.signal(signal.SIGTERM)
        assert worker.program.wait() == 143
        assert worker.events("reports lost: the gateway did not take them in time") == []
        run = lab.until_over(run_id)
        assert (run["status"], run["verdict"]) == ("COMPLETED", "INVALID")
        reports = lab.call("GET", f"/runs/{run_id}/endpoints")
        assert {(report["outcome"], report["reason"], report["phase"]) for report in reports} == {
            ("OSERROR", "stopped before its end: the worker is stopping", "INCALL")
        }
        assert all(report["call"]["timing"]["call_duration_ms"] < 119_000 for report in reports)
        for _ in range(CALLS):
            callee.program.wait_for('"call ended"')
        assert callee.stop()["by_outcome"] == {"SUCCESS": CALLS}  # each got its BYE


def test_killed_and_started_again_its_endpoints_are_lost_and_the_run_is_not_passed(tmp_path: Path) -> None:
    with Lab(tmp_path, 7) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker("w1")
        worker = lab.start_worker(token)
        worker.event("link open")
        run_id = lab.start_run(callee.target, endpoints=CALLS, duration="120s")
        lab.until_in_call(run_id, CALLS)
        worker.program.kill()
        lab.start_worker(token).event("link open")
        run = lab.until_over(run_id)
        assert (run["status"], run["reason"]) == ("FAILED", "worker w1 was restarted during the run")
        assert run["verdict"] != "PASSED"
        assert run["exit_code"] not in (0, None)
        reports = lab.call("GET", f"/runs/{run_id}/endpoints")
        assert {(report["outcome"], report["blame"], report["reason"]) for report in reports} == {
            ("OSERROR", "WORKER", "worker w1 was restarted during the run")
        }
        assert len(reports) == CALLS
        assert lab.call("GET", f"/runs/{run_id}/samples")  # what it had measured is kept
