"""Evidence in the report directory, from a run to the files that are handed to a vendor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cmw.capture import DatagramReader, read_frames
from cmw.cli.evidence_files import EvidenceFiles, evidence_in
from cmw.cli.evidence_page import sdp_difference
from cmw.cli.local_run import LocalSettings, run_here
from cmw.load.evidence import Evidence
from cmw.load.plan_parser import parse_plan
from cmw.rtp.packet import parse_header
from tests.load.runs import busy
from tests.load.test_evidence import CALL, message

OFFER = "INVITE sip:x SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\na=sendrecv\r\n"
ANSWER = "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nc=IN IP4 10.0.0.2\r\na=sendrecv\r\n"


def document(index: int = 2, name: str = "callers-0003", **more: Any) -> dict[str, Any]:
    return Evidence(endpoint=index, name=name, messages=CALL, **more).model_dump(mode="json")


def sample(second: int, **figures: float) -> dict[str, Any]:
    return {"endpoint": 2, "second": second, **figures}


def test_each_endpoint_has_its_directory(tmp_path: Path) -> None:
    files = EvidenceFiles([document(messages_left_out=7), document(5, "../<evil>"), {"kind": "evidence"}])
    for second in (1, 0):
        files.add(sample(second, **{"receive.mos": 4.0 + second, "receive.jitter_ms": 2.5}))
    files.add({"endpoint": 3, "second": 0})
    links = asyncio.run(files.write(tmp_path, [busy(2)]))
    assert links == evidence_in(tmp_path) == {2: "evidence/00002-callers-0003", 5: "evidence/00005-..__evil_"}
    kept = {path.name for path in (tmp_path / links[2]).iterdir()}
    assert kept == {"index.html", "ladder.txt", "ladder.svg", "messages.txt", "rtp.svg", "call.pcapng"}
    page = (tmp_path / links[2] / "index.html").read_text()
    assert "486 Busy Here" in page
    assert "7 later messages were not kept" in page
    assert page.index("MOS") > page.index("jitter, ms")
    assert "2023-11-14T22:13:21.700000Z received from 10.0.0.2 port 5060 over UDP" in page
    assert "<evil>" not in (tmp_path / links[5] / "index.html").read_text()


def test_offer_and_answer_are_compared() -> None:
    difference = sdp_difference([message(OFFER), message(OFFER), message(ANSWER, is_sent=False)])
    changed = [line for line in difference.splitlines()[2:] if line[0] in "+-"]
    assert changed == ["-c=IN IP4 10.0.0.1", "+c=IN IP4 10.0.0.2"]
    assert sdp_difference([message(OFFER)]) == ""


def test_an_offer_is_compared_with_the_answer_of_its_own_call() -> None:
    def of_call(text: str, call_id: str) -> str:
        return text.replace("CSeq", f"Call-ID: {call_id}\r\nCSeq", 1)

    other = of_call(ANSWER.replace("10.0.0.2", "10.0.0.9"), "b")
    answers = [message(other, is_sent=False), message(of_call(ANSWER, "a"), is_sent=False)]
    assert "+c=IN IP4 10.0.0.2" in sdp_difference([message(of_call(OFFER, "a")), *answers]).splitlines()


@pytest.mark.loopback
def test_the_second_call_of_a_transfer_is_kept_too(tmp_path: Path, loopback_ip: Callable[[], str]) -> None:
    transfer = {"at": "500ms", "do": {"transfer": {"group": "agents", "attended": True}}}
    names = ["callers-0001", "desks-0001", "agents-0001"]
    plan = parse_plan(
        {
            "version": 1,
            "duration": "2s",
            "groups": {
                "agents": {"endpoints": 1},
                "desks": {"endpoints": 1, "scenario": [transfer]},
                "callers": {"endpoints": 1, "call": {"group": "desks"}},
            },
            "evidence": {"endpoints": names, "rtp": 10},
        }
    )
    settings = LocalSettings(sip_ip=loopback_ip(), sip_port_start=5060, sip_port_end=5080)
    uvloop.run(run_here(plan, settings, tmp_path, lambda run: None, lambda line: None))
    kept = {path.partition("-")[2]: tmp_path / path for path in evidence_in(tmp_path).values()}
    assert sorted(kept) == sorted(names)
    calls = {name: call_ids(path) for name, path in kept.items()}
    consultation = calls["desks-0001"] - calls["callers-0001"]
    replacement = calls["callers-0001"] - calls["desks-0001"]
    assert [len(found) for found in (consultation, replacement)] == [1, 1]
    assert calls["agents-0001"] == consultation | replacement
    assert calls["desks-0001"] == consultation | (calls["callers-0001"] - replacement)
    assert len(streams(kept["callers-0001"])) == 4  # two calls, both ways


def call_ids(directory: Path) -> set[str]:
    text = (directory / "messages.txt").read_text()
    return {line.partition(": ")[2] for line in text.splitlines() if line.startswith("Call-ID: ")}


def streams(directory: Path) -> set[int]:
    """Return the SSRCs of the RTP in the capture."""
    reader = DatagramReader()
    with (directory / "call.pcapng").open("rb") as file:
        seen = [found for frame in read_frames(file) if (found := reader.read(frame)) is not None]
    return {parse_header(each.data).ssrc for each in seen if each.data[0] == 0x80 and each.source.port % 2 == 0}


@pytest.mark.loopback
def test_a_run_leaves_what_failed_and_what_was_asked_for(tmp_path: Path, loopback_ip: Callable[[], str]) -> None:
    plan = parse_plan(
        {
            "version": 1,
            "name": "evidence",
            "duration": "200ms",
            "groups": {
                "busy": {"endpoints": 6, "answer": {"reject": 486}},
                "free": {"endpoints": 2},
                "refused": {"endpoints": 6, "call": {"group": "busy"}, "load": {"arrivals": "all-at-once"}},
                "answered": {"endpoints": 2, "call": {"group": "free"}, "load": {"arrivals": "all-at-once"}},
            },
            "evidence": {"calls": 8, "endpoints": ["answered-0002"]},
        }
    )
    settings = LocalSettings(sip_ip=loopback_ip(), sip_port_start=5060, sip_port_end=5080)
    uvloop.run(run_here(plan, settings, tmp_path, lambda run: None, lambda line: None))
    kept = {path.partition("-")[2]: tmp_path / path for path in evidence_in(tmp_path).values()}
    assert "answered-0002" in kept
    assert sum(name.startswith("refused-") for name in kept) == 2
    ladder = (kept["answered-0002"] / "ladder.txt").read_text()
    said = [(line.split()[2], line.split()[5]) for line in ladder.splitlines() if "we " in line[10:16]]
    assert [part for part in said if part[1] != "100"] == [
        ("-->", "INVITE"), ("<--", "180"), ("<--", "200"), ("-->", "ACK"), ("-->", "BYE"), ("<--", "200")
    ]  # fmt: skip
    assert (kept["answered-0002"] / "sdp.diff").exists()
    page = (tmp_path / "report.html").read_text()
    assert '/index.html">answered-0002</a>' in page
    assert json.loads((tmp_path / "summary.json").read_text())["endpoints"]["total"] == 16
