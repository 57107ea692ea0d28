"""A call over IPv6 from end to end: signalling, media and reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import Callee
from tests.support.runs import run_plan

pytestmark = pytest.mark.loopback

IP = "::1"


def test_a_call_over_ipv6(tmp_path: Path) -> None:
    plan = {"name": "ipv6", "duration": "1s", "groups": {"callers": {"endpoints": 2}}}
    with Callee(tmp_path / "callee", IP, rtp_ports="40000-40999") as callee:
        plan["groups"]["callers"]["call"] = {"uri": callee.target}  # type: ignore[index]
        result = run_plan(tmp_path, IP, plan)
        totals = callee.stop()
    result.expect(0)
    assert result.outcomes == {"SUCCESS": 2}, result.told
    assert [row["receive.packets_lost"] for row in result.endpoints] == ["0", "0"]
    assert result.received > 50
    assert totals["calls"] == 2
    assert [entry["sip"] for entry in callee.log if entry["event"] == "listening"] == ["[::1]:5060"]
