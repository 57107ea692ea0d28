"""Calls between two of our programs over a path that loses SIP messages both ways; every figure is of a real kernel.

A call is complete when it was answered, acknowledged, and released with an answered BYE: the outcome SUCCESS on both
sides. The path is one of UDP, so that nothing but the timers of RFC 3261 brings the messages through.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.lossy_path import LossyPath
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

pytestmark = [pytest.mark.peers("ip", "nft"), pytest.mark.loopback]

CALLS = 500
PATIENCE_S = 170
needs_root = pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes network namespaces")


def run_calls(directory: Path, path: LossyPath, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Place the calls from here to there; return the caller's summary and the callee's totals."""
    totals, summary = directory / "totals.json", directory / "summary.json"
    cmw = [sys.executable, "-m", "cmw"]
    answer = [*path.enter(path.there), *cmw, "answer", "--listen", f"{path.there_ip}:5060", "--media", "silence"]
    with Program([*answer, "--json", "--rtp-ports", "20000-29999"], stdout=totals) as callee:
        callee.wait_for('"listening"')
        call = [*path.enter(path.here), *cmw, "call", f"sip:bob@{path.there_ip}", "--sip-ip", path.here_ip]
        call += ["--calls", str(CALLS), "--duration", "1s", "--source", "silence", "--json", *words]
        call += ["--rtp-ports", "10000-19999", "-o", str(directory / "report")]
        with Program(call, stdout=summary) as caller:
            caller.wait(PATIENCE_S)
            assert summary.stat().st_size, caller.output
        callee.stop()
    return json.loads(summary.read_text()), json.loads(totals.read_text())


def count_outcomes(directory: Path, loss_percent: int) -> tuple[dict[str, int], str]:
    """Return what the calls over a path that loses so much came to, and all there is to tell of it."""
    directory.mkdir()
    with LossyPath(loss_percent) as path:
        summary, totals = run_calls(directory, path, "--rate", "100/s")
        lost = path.lost(path.here), path.lost(path.there)
    placed = {name: count for name, count in summary["endpoints"]["by_outcome"].items() if count}
    assert min(lost) > CALLS * loss_percent // 100, f"the path lost {lost}"
    return placed, f"{loss_percent} %: placed {placed}, taken {totals['by_outcome']}, lost here and there {lost}"


@needs_root
def test_five_hundred_calls_at_20_and_at_50_percent(tmp_path: Path) -> None:
    """Both at once, for the timers of a call that loses much run for more than a minute."""
    losses = (20, 50)
    with ThreadPoolExecutor(len(losses)) as paths:
        found = list(paths.map(lambda loss: count_outcomes(tmp_path / str(loss), loss), losses))
    (at_20, told_at_20), (at_50, told_at_50) = found
    print(told_at_20, told_at_50, sep="\n")
    assert at_20 == {"SUCCESS": CALLS}, told_at_20
    assert at_50.get("SUCCESS", 0) >= 0.99 * CALLS, told_at_50
    assert sum(at_50.values()) == CALLS, told_at_50
