"""What an operator does to a worker: looks at its pages, makes its log talk, drains it, ends it in a hurry."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cmw.cli.worker_command import next_level
from tests.faults.lab import Lab, Worker
from tests.support.processes import PATIENCE_S

pytestmark = pytest.mark.loopback

CALLS = 2


def page(worker: Worker, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.health_port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_levels_go_round() -> None:
    seen = ["warn"]
    for _ in range(4):
        seen.append(next_level(seen[-1], "warn"))
    assert seen == ["warn", "info", "debug", "trace", "warn"]


def test_pages_levels_drain_and_a_second_signal(tmp_path: Path) -> None:
    with Lab(tmp_path, 16) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker()
        worker = lab.start_worker(token, SHUTDOWN_TIMEOUT="600")
        worker.event("link open")
        assert page(worker, "/ready") == (200, "ready\n")
        assert page(worker, "/live") == (200, "live\n")

        run_id = lab.start_run(callee.target, endpoints=CALLS, duration="600s")
        lab.until_in_call(run_id, CALLS)
        figures = page(worker, "/metrics")[1].splitlines()
        assert f'cmw_endpoints{{phase="incall"}} {CALLS}.0' in figures
        assert "cmw_link_connected 1.0" in figures
        assert any(line.startswith("cmw_receive_mos ") for line in figures)

        for level in ("debug", "trace"):
            worker.program.signal(signal.SIGUSR1)
            worker.program.wait_for(f'"log_level":"{level}"')
        worker.program.signal(signal.SIGUSR2)
        worker.event("draining: no new runs are taken")
        assert page(worker, "/ready") == (503, "draining: no new runs are taken\n")
        assert worker.health()["status"] == "healthy"

        callee.program.signal(signal.SIGSTOP)  # it will not answer any BYE
        try:
            worker.program.signal(signal.SIGTERM)
            worker.event("stopping")
            worker.program.wait_for("BYE sip:")  # raw SIP is shown, though the level was another one at the start
            assert page(worker, "/ready") == (503, "the worker is stopping\n")
            worker.program.signal(signal.SIGTERM)
            assert worker.program.wait() == 143
        finally:
            callee.program.signal(signal.SIGCONT)
