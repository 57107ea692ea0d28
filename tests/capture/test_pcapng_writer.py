"""A capture that we write, read by our own reader and by tshark."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pytest

from cmw.capture import read_frames
from cmw.capture.datagram import DatagramReader
from cmw.capture.pcapng_writer import MAX_PAYLOAD_BYTES, Passed, write_pcapng
from cmw.core.address import Address

AT_NS = 1_700_000_000_123_456_789
OPTIONS = b"OPTIONS sip:x@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nCall-ID: c\r\n\r\n"
FOUR = Passed(AT_NS, ("192.0.2.1", 5060), ("192.0.2.2", 5070), OPTIONS, "went over TLS")
SIX = Passed(AT_NS + 1, ("2001:db8::1", 5060), ("2001:db8::2", 5060), OPTIONS + b"x")


def test_what_was_written_is_read() -> None:
    reader = DatagramReader()
    found = [reader.read(frame) for frame in read_frames(BytesIO(write_pcapng([FOUR, SIX])))]
    assert [(d.at_ns, d.source, d.destination, d.data) for d in found if d is not None] == [
        (p.at_ns, Address(*p.source), Address(*p.destination), p.payload) for p in (FOUR, SIX)
    ]


def test_nothing_is_a_capture_too_and_what_is_too_long_is_cut() -> None:
    assert list(read_frames(BytesIO(write_pcapng([])))) == []
    (frame,) = read_frames(BytesIO(write_pcapng([FOUR._replace(payload=b"x" * 70_000)])))
    assert len(frame.data) == 28 + MAX_PAYLOAD_BYTES


def test_two_families_cannot_meet() -> None:
    with pytest.raises(ValueError, match="one family"):
        write_pcapng([FOUR._replace(destination=SIX.destination)])


@pytest.mark.peers("tshark")
def test_tshark_finds_nothing_wrong(tmp_path: Path) -> None:
    file = tmp_path / "sip.pcapng"
    file.write_bytes(write_pcapng([FOUR, SIX]))
    fields = ("sip.Method", "udp.checksum.status", "ip.checksum.status", "frame.comment", "_ws.malformed")
    options = [part for field in fields for part in ("-e", field)]
    checks = ["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command = ["tshark", "-r", file, *checks, "-T", "fields", *options]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    first, second = (line.split("\t") for line in shown.stdout.splitlines())
    assert first[:4] == ["OPTIONS", "3", "1", "went over TLS"]  # 3: not present, which IPv4 allows; 1: good
    assert second[:2] == ["OPTIONS", "1"]
