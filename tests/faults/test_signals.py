"""`cmw run` is interrupted: calls are hung up, the report is written, and the exit code names the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Callee
from tests.support.runs import Run, write_plan

pytestmark = pytest.mark.loopback

CALLS = 2
HOST = "127.41.0"


@pytest.fixture
def callee(tmp_path: Path) -> Iterator[Callee]:
    with Callee(tmp_path / "callee", f"{HOST}.2") as running:
        yield running


def start(directory: Path, target: str) -> Run:
    """Start a run of two minutes, and return when its calls are up."""
    plan: dict[str, Any] = {
        "name": "interrupted",
        "duration": "120s",
        "groups": {
            "callers": {"endpoints": CALLS, "call": {"uri": target}, "load": {"arrivals": "all-at-once"}},
        },
    }
    run = Run(directory, f"{HOST}.1", "run", str(write_plan(directory, plan)))
    run.program.wait_for(f"{CALLS} of {CALLS} calls answered; incall {CALLS}")
    return run


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"])
def test_the_first_signal_ends_politely(tmp_path: Path, callee: Callee, number: signal.Signals, code: int) -> None:
    with start(tmp_path, callee.target) as run:
        run.program.signal(number)
        result = run.finish()
    assert result.code == code, result.told
    assert result.outcomes == {"COMPLETED_WITH_WARNINGS": CALLS}
    assert result.summary["calls"]["answered"] == CALLS
    assert {row["reason"] for row in result.endpoints} == {"stopped before its end: stopped on request"}
    assert callee.stop()["by_outcome"] == {"SUCCESS": CALLS}


def test_the_second_signal_waits_for_nobody(tmp_path: Path, callee: Callee) -> None:
    with start(tmp_path, callee.target) as run:
        callee.program.signal(signal.SIGSTOP)  # it will not answer any BYE
        try:
            run.program.signal(signal.SIGINT)
            run.program.wait_for("STOPPING")
            run.program.signal(signal.SIGINT)
            result = run.finish()
        finally:
            callee.program.signal(signal.SIGCONT)
    assert result.code == 130, result.told
    assert "ended by SIGINT" in result.told


def test_a_signal_before_anything_runs(tmp_path: Path) -> None:
    plan = {"name": "early", "duration": "1s", "groups": {"callees": {"endpoints": 1, "answer": {"wait": "100s"}}}}
    with Run(tmp_path, f"{HOST}.1", "run", str(write_plan(tmp_path, plan))) as run:
        run.program.wait_for(" s  ")  # the first line of its progress, however long the start took
        run.program.signal(signal.SIGTERM)
        result = run.finish()
    assert result.code == 143, result.told
