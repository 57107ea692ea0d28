"""`cmw run` with a Homer server: what it is told, read by a reader of ours, and the SIP in that by tshark's."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmw.capture.pcapng_writer import Passed, write_pcapng
from tests.support.hep_reader import ends_of, read_hep
from tests.support.runs import run_plan

SIP, RTCP = b"\x01", b"\x05"
TYPE, CORRELATION, PAYLOAD = 11, 17, 15

PLAN = {
    "name": "homer",
    "duration": "6s",
    "groups": {
        "callees": {"endpoints": 1},
        "callers": {"endpoints": 1, "call": {"group": "callees"}, "load": {"arrivals": "all-at-once"}},
    },
}


class Homer:
    """Takes what it is sent, until it is closed."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while data := self._socket.recv(65535):
            self.datagrams.append(data)

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def homer() -> Iterator[Homer]:
    made = Homer()
    yield made
    made.close()


@pytest.mark.loopback
@pytest.mark.peers("tshark")
def test_a_run_is_told_with_its_reports(tmp_path: Path, loopback_ip: Callable[[], str], homer: Homer) -> None:
    ip = loopback_ip()
    result = run_plan(tmp_path, ip, PLAN, "--hep-target", f"127.0.0.1:{homer.port}", "--hep-capture-id", "77")
    assert result.outcomes == {"SUCCESS": 2}, result.told
    told = [read_hep(datagram) for datagram in homer.datagrams]
    assert {chunks[12] for chunks in told} == {(77).to_bytes(4, "big")}
    reports = [chunks for chunks in told if chunks[TYPE] == RTCP]
    assert {chunks[TYPE] for chunks in told} == {SIP, RTCP}
    (call_id,) = {chunks[CORRELATION] for chunks in told}
    assert call_id

    documents = [json.loads(chunks[PAYLOAD]) for chunks in reports]
    ssrcs = {document["ssrc"] for document in documents}
    assert len(ssrcs) == 2
    assert {block["source_ssrc"] for document in documents for block in document["report_blocks"]} == ssrcs
    senders = [document["sender_information"] for document in documents if "sender_information" in document]
    packets_sent = {row["send.packets_sent"] for row in result.endpoints}
    assert packets_sent <= {str(sender["packets"]) for sender in senders}  # the last report says all
    assert any("report_blocks_xr" in document for document in documents)
    ends = {end for chunks in reports for end in ends_of(chunks)}
    assert len(ends) == 2
    assert all(end.startswith(f"{ip}:") and int(end.rpartition(":")[2]) % 2 for end in ends)

    passed = [
        Passed(n, *(_place(end) for end in ends_of(chunks)), chunks[PAYLOAD])
        for n, chunks in enumerate(told)
        if chunks[TYPE] == SIP
    ]
    capture = tmp_path / "told.pcapng"
    capture.write_bytes(write_pcapng(passed))
    seen = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "fields", "-e", "sip.CSeq.method", "-e", "sip.Call-ID"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = [line.split("\t") for line in seen.stdout.splitlines()]
    assert {row[0] for row in rows} == {"INVITE", "ACK", "BYE"}
    assert {row[1] for row in rows} == {call_id.decode()}


def _place(end: str) -> tuple[str, int]:
    host, _, port = end.rpartition(":")
    return host, int(port)
