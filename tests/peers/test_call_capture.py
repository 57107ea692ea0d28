"""`call.pcapng` of a run as tshark reads it: its streams are those of endpoints.csv, packet for packet."""

from __future__ import annotations

import csv
import os
import sys
from array import array
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from cmw.rtp.wav import HEAD_BYTES
from tests.support.lossy_path import LossyPath
from tests.support.peers import CaptureFile
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program
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


@pytest.mark.loopback
@pytest.mark.peers("tshark", "ip", "nft")
@pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes network namespaces")
def test_losses_and_jitter_are_those_of_the_capture(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with LossyPath(10, "10000-29999") as path:
        cmw = [sys.executable, "-m", "cmw"]
        answer = ["answer", "--listen", f"{path.there_ip}:5060", "--media", "tone", "--rtp-ports", "20000-29999"]
        with Program([*path.enter(path.there), *cmw, *answer, "--json"]) as callee:
            callee.wait_for('"listening"')
            call = ["call", f"sip:bob@{path.there_ip}", "--sip-ip", path.here_ip, "--duration", "6s", "-o", str(report)]
            call += ["--evidence", "all", "--wav", "--rtp-ports", "10000-19999"]
            with Program([*path.enter(path.here), *cmw, *call]) as caller:
                caller.wait(60)
    with (report / "endpoints.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    (kept,) = (report / "evidence").iterdir()
    capture = CaptureFile(kept / "call.pcapng")
    (heard,) = [stream for stream in capture.streams() if stream.destination[0] == path.here_ip]
    assert heard.lost == int(row["receive.packets_lost"]) > 0
    assert heard.packets == int(row["receive.packets_received"])
    assert heard.max_jitter_ms == pytest.approx(float(row["receive.max_jitter_ms"]), abs=0.01)
    drawn = (kept / "packets.svg").read_text()
    assert f"{heard.packets} packets received, {heard.lost} lost" in drawn
    samples = array("h", (kept / "audio.wav").read_bytes()[HEAD_BYTES:])
    assert silent_packets(samples[::2]) == heard.lost


def silent_packets(samples: array[int]) -> int:
    """Return how many packets of silence lie within a tone."""
    spans = [(is_silent, len(list(span))) for is_silent, span in groupby(samples, lambda sample: sample == 0)]
    return sum(round(length / 160) for is_silent, length in spans[1:-1] if is_silent)
