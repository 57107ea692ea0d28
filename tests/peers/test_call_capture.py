"""`call.pcapng` of a run as tshark reads it: its streams are those of endpoints.csv, packet for packet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.peers import CaptureFile
from tests.support.runs import run_plan

PLAN = {
    "name": "capture",
    "duration": "3s",
    "evidence": {"calls": 0, "endpoints": ["callers-0001"], "worst": 1, "rtp": 4},
    "groups": {
        "callees": {"endpoints": 2},
        "callers": {
            "endpoints": 2,
            "call": {"group": "callees"},
            "load": {"arrivals": "all-at-once"},
            "scenario": [{"at": "1s", "do": {"send_dtmf": "42"}}],
        },
    },
}


@pytest.mark.loopback
@pytest.mark.peers("tshark")
def test_tshark_counts_what_we_counted(tmp_path: Path, loopback_ip: Callable[[], str]) -> None:
    ip = loopback_ip()
    result = run_plan(tmp_path, ip, PLAN)
    assert result.outcomes == {"SUCCESS": 4}, result.told
    directories = {each.name.partition("-")[2]: each for each in (tmp_path / "report" / "evidence").iterdir()}
    assert "callers-0001" in directories
    assert 2 <= len(directories) <= 4
    (row,) = [each for each in result.endpoints if each["name"] == "callers-0001"]
    page = (tmp_path / "report" / "report.html").read_text()
    for title in ("Slowest calls", "Worst calls"):
        assert '/index.html">' in page.partition(f">{title}<")[2].partition("</table>")[0], title
    capture = CaptureFile(directories["callers-0001"] / "call.pcapng")
    assert {method for (method,) in capture.rows("sip.Method", ["sip.Method"])} == {"INVITE", "ACK", "BYE"}
    streams = capture.streams()
    assert len(streams) == 2
    assert sorted(stream.packets for stream in streams) == sorted(
        int(row[key]) for key in ("send.packets_sent", "receive.packets_received")
    )
    assert [stream.lost for stream in streams] == [0, 0]
    digits = {event for (event,) in capture.rows("rtpevent", ["rtpevent.event_id"])}
    assert digits == {"4", "2"}
    reports = capture.rows("rtcp.pt == 200", ["rtcp.sender.packetcount"])
    assert row["send.packets_sent"] in {value.split(",")[0] for (value,) in reports}
