"""A call answered by baresip: both hear each other, and the round trip is known from its RTCP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.peers import baresip, own_baresip_ports
from tests.support.runs import run_plan

pytestmark = pytest.mark.peers("baresip")

NewIp = Callable[[], str]


def test_calls_in_both_codecs(tmp_path: Path, loopback_ip: NewIp) -> None:
    port, rtp = own_baresip_ports()
    group = {"endpoints": 1, "call": {"uri": f"sip:bob@127.0.0.1:{port}"}}
    move = {"at": "6s", "do": {"update": {"ports": "new"}}}
    plan = {
        "name": "to baresip",
        "duration": "12s",  # baresip reports every 5 s, and can tell a round trip only after our own first report
        "groups": {
            "mu": {**group, "audio": {"codecs": ["PCMU"]}, "scenario": [move]},
            "a": {**group, "audio": {"codecs": ["PCMA"], "source": "tone"}},
        },
    }
    with baresip(tmp_path / "baresip", port, rtp) as peer:
        result = run_plan(tmp_path, loopback_ip(), plan)
        peer.stop()
    result.expect(0)
    assert result.outcomes == {"SUCCESS": 2}
    assert [row["codec"] for row in result.endpoints] == ["PCMU", "PCMA"]
    assert [row["scenario_actions_executed"] for row in result.endpoints] == ["1", "0"]
    for row in result.endpoints:
        sent, received = int(row["send.packets_sent"]), int(row["receive.packets_received"])
        assert sent > 500
        assert received > 500
        assert (row["receive.packets_lost"], row["send.packets_lost"]) == ("0", "0")
        assert 0 <= float(row["receive.rtt_ms"]) < 1000
        assert 1 <= float(row["send.mos"]) <= 5
        assert f"{sent:>12}" in _received_line(peer.output), peer.output


def _received_line(output: str) -> str:
    """Return what baresip says at the end of each call: packets sent and received."""
    return "\n".join(line for line in output.splitlines() if line.startswith("packets:"))
