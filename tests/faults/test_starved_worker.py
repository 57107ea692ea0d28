"""A worker that is not let run blames itself, by resource and second, and not its target."""

from __future__ import annotations

import csv
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Callee
from tests.support.runs import INVALID, Run, write_plan

pytestmark = pytest.mark.loopback

HOST = "127.25.1"
STOPPED_S = 3.2
"""Three whole seconds of the run at least."""


def test_a_process_that_stood_still(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"name": "starved", "duration": "6s", "thresholds": {"call_success": ["rate >= 0"]}}
    with Callee(tmp_path / "callee", f"{HOST}.2") as callee:
        plan["groups"] = {"callers": {"endpoints": 1, "call": {"uri": callee.target}}}
        with Run(tmp_path, f"{HOST}.1", "run", str(write_plan(tmp_path, plan))) as run:
            run.program.wait_for("1 of 1 calls answered")
            run.program.signal(signal.SIGSTOP)
            threading.Event().wait(STOPPED_S)
            run.program.signal(signal.SIGCONT)
            result = run.finish()
    assert result.code == INVALID, result.told
    generator = result.summary["generator"]
    assert generator["untrusted_seconds"] >= 3
    assert generator["seconds"] >= 6
    seconds = sorted({row["second"] for row in generator["untrusted"]})
    first = seconds[0]
    assert {first, first + 1, first + 2} <= set(seconds)
    assert {"media_stall_ms", "loop_lag_ms p99", "packets_skipped ratio"} <= {
        row["metric"] for row in generator["untrusted"]
    }
    by_metric = {limit["metric"]: limit for limit in generator["limits"]}
    assert by_metric["packets_skipped ratio"]["first_second"] <= first
    assert by_metric["untrusted seconds ratio"]["resource"] in ("media thread", "signalling loop")
    assert f"first in second {first}" in result.told
    with (tmp_path / "report" / "samples.csv").open(newline="") as file:
        marked = {int(row["second"]): int(row["untrusted"]) for row in csv.DictReader(file)}
    assert marked[first] & 0b100110 == 0b100110  # skipped packets, a stall, a loop that lagged
    assert not any(bits for second, bits in marked.items() if second < first)
