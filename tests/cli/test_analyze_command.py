"""`cmw analyze` from a file to its document, its table and its exit code."""

from __future__ import annotations

import gzip
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from cmw.cli.main import run_command
from tests.support.captures import (
    DESTINATION,
    ETHERNET,
    SECOND,
    SOURCE,
    START_NS,
    Captured,
    Place,
    ethernet,
    ipv4,
    packet,
    pcap,
    pcapng,
    rtp,
    tcp,
)

MS = 1_000_000
CONTRACT = {
    "ssrc",
    "source",
    "destination",
    "payload_type",
    "codec",
    "clock_hz",
    "first_packet_at",
    "packets_received",
    "packets_expected",
    "packets_lost",
    "duplicate_packets",
    "out_of_order_packets",
    "sequence_number_resets",
    "ssrc_switches",
    "jitter_ms",
    "packet_spacing_ms",
    "loss_bursts",
    "longest_loss_burst",
    "mos",
    "r_factor",
}

Capsys = pytest.CaptureFixture[str]


def frames(*numbers: int, start_ns: int = START_NS, **changes: Any) -> list[Captured]:
    """Return the packets `numbers` of a stream, each at its time."""
    return [Captured(start_ns + seq * 20 * MS, packet(rtp(seq, **changes))) for seq in numbers]


def invite(at_ns: int, place: Place, codecs: str, rtpmaps: str = "", crlf: str = "\r\n") -> Captured:
    body = ["v=0", f"o=- 1 1 IN IP4 {place[0]}", "s=-", f"c=IN IP4 {place[0]}", "t=0 0"]
    body += [f"m=audio {place[1]} RTP/AVP {codecs}", *rtpmaps.split("|")]
    text = crlf.join(["INVITE sip:b@192.0.2.2 SIP/2.0", "Content-Type: application/sdp", "", *body, ""])
    return Captured(at_ns, packet(text.encode(), ("192.0.2.9", 5060), ("192.0.2.8", 5060)))


def write(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "capture.pcap"
    file.write_bytes(data)
    return file


def analyze(capsys: Capsys, tmp_path: Path, data: bytes, *, code: int = 0) -> dict[str, Any]:
    assert run_command(["analyze", "--json", str(write(tmp_path, data))]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_document_of_a_stream_with_loss_reorder_and_duplicates(capsys: Capsys, tmp_path: Path) -> None:
    numbers = [seq for seq in range(65500, 65700) if seq not in (65530, 65540, 65541, 65542)]
    data = pcapng([*frames(*numbers), *frames(65600)])
    document = analyze(capsys, tmp_path, data)
    assert document["schema_version"] == 1
    [stream] = document["streams"]
    assert stream.keys() >= CONTRACT
    assert stream["ssrc"] == "0x0badcafe"
    assert (stream["source"], stream["destination"]) == ("192.0.2.1:10000", "192.0.2.2:20000")
    assert (stream["payload_type"], stream["codec"], stream["clock_hz"]) == (0, "PCMU", 8000)
    assert stream["packets_expected"] == 200
    assert stream["packets_received"] == 197
    assert stream["packets_lost"] == 3
    assert stream["duplicate_packets"] == 1
    assert (stream["loss_bursts"], stream["longest_loss_burst"]) == (2, 3)
    assert stream["sequence_number_resets"] == stream["ssrc_switches"] == stream["out_of_order_packets"] == 0
    assert stream["jitter_ms"].keys() >= {"last", "mean", "max"}
    assert stream["packet_spacing_ms"]["min"] == 20
    assert stream["first_packet_at"] == "2023-11-14T22:35:10.000000000Z"
    assert 4 < stream["mos"] < 4.4
    assert 80 < stream["r_factor"] < 93


def test_a_jump_beyond_max_dropout_resynchronises(capsys: Capsys, tmp_path: Path) -> None:
    moved = [
        Captured(START_NS + (100 + i) * 20 * MS, packet(rtp(9000 + i, timestamp=(100 + i) * 160))) for i in range(100)
    ]
    [stream] = analyze(capsys, tmp_path, pcap([*frames(*range(100)), *moved]))["streams"]
    assert (stream["packets_received"], stream["packets_expected"], stream["packets_lost"]) == (200, 200, 0)
    assert (stream["sequence_number_resets"], stream["sequence_number_jumps"]) == (1, 1)


def test_sip_in_the_capture_gives_the_codec(capsys: Capsys, tmp_path: Path) -> None:
    rtpmaps = "a=rtpmap:97 pcma/8000|a=rtpmap:101 telephone-event/8000"
    start = invite(START_NS - SECOND, DESTINATION, "97 101", rtpmaps)
    document = analyze(capsys, tmp_path, pcap([start, *frames(*range(50), payload_type=97)]))
    [stream] = document["streams"]
    assert (stream["codec"], stream["clock_hz"], stream["announced"]) == ("PCMA", 8000, True)
    assert stream["mos"] > 4
    assert document["sip_messages"] == 1


def test_sip_over_tcp_gives_it_from_several_segments(capsys: Capsys, tmp_path: Path) -> None:
    body = f"v=0\r\nc=IN IP4 {DESTINATION[0]}\r\nm=audio {DESTINATION[1]} RTP/AVP 97\r\na=rtpmap:97 pcma/8000\r\n"
    text = f"INVITE sip:b@192.0.2.2 SIP/2.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    segments = [
        Captured(START_NS - SECOND + at, ipv4(tcp(text[at : at + 60], sequence=1 + at), protocol=6))
        for at in range(0, len(text), 60)
    ]
    document = analyze(capsys, tmp_path, pcap([*segments, *frames(*range(50), payload_type=97)]))
    [stream] = document["streams"]
    assert (stream["codec"], stream["announced"], document["sip_messages"]) == ("PCMA", True, 1)


@pytest.mark.parametrize("place", [SOURCE, ("10.0.0.7", DESTINATION[1])], ids=["only the sender's", "behind NAT"])
def test_a_description_from_elsewhere_serves_too(capsys: Capsys, tmp_path: Path, place: Place) -> None:
    start = invite(START_NS + SECOND, place, "97", "a=rtpmap:97 opus/48000/2")
    opus = [Captured(START_NS + i * 20 * MS, packet(rtp(i, timestamp=960 * i, payload_type=97))) for i in range(99)]
    [stream] = analyze(capsys, tmp_path, pcap([*opus, start]))["streams"]
    assert (stream["codec"], stream["clock_hz"], stream["jitter_ms"]["max"]) == ("opus", 48000, 0)


def test_a_description_that_breaks_the_grammar_still_serves(capsys: Capsys, tmp_path: Path) -> None:
    start = invite(START_NS, DESTINATION, "97", "a=rtpmap:97 PCMU/8000|nonsense without a letter")
    [stream] = analyze(capsys, tmp_path, pcap([start, *frames(*range(20), payload_type=97)]))["streams"]
    assert stream["codec"] == "PCMU"


def test_what_cannot_be_known_is_null(capsys: Capsys, tmp_path: Path) -> None:
    [stream] = analyze(capsys, tmp_path, pcap(frames(*range(20), payload_type=97)))["streams"]
    assert (stream["codec"], stream["mos"], stream["r_factor"], stream["packets_sent"]) == (None,) * 4
    start = invite(START_NS - SECOND, DESTINATION, "0")
    [stream] = analyze(capsys, tmp_path, pcap([start, *frames(1)]))["streams"]
    assert stream["jitter_ms"] == {"last": None, "mean": None, "min": None, "max": None}
    assert stream["packet_spacing_ms"] == {"mean": None, "min": None, "max": None}


def test_a_capture_that_kept_only_the_headers(capsys: Capsys, tmp_path: Path) -> None:
    cut = [frame._replace(data=ethernet(frame.data, 0x8100), cut_bytes=140) for frame in frames(*range(50))]
    [stream] = analyze(capsys, tmp_path, pcap(cut, ETHERNET))["streams"]
    assert (stream["packets_received"], stream["bytes_received"]) == (50, 8000)


def test_a_compressed_file(capsys: Capsys, tmp_path: Path) -> None:
    [stream] = analyze(capsys, tmp_path, gzip.compress(pcap(frames(*range(50)))))["streams"]
    assert stream["packets_received"] == 50


def test_a_description_in_fragments_serves_too(capsys: Capsys, tmp_path: Path) -> None:
    whole = invite(START_NS - SECOND, DESTINATION, "97", "a=rtpmap:97 PCMA/8000").data
    head, payload = whole[:20], whole[20:]
    parts = []
    for at in range(0, len(payload), 64):
        more = 0x2000 if at + 64 < len(payload) else 0
        piece = payload[at : at + 64]
        length = struct.pack("!HHH", 20 + len(piece), 9, more | at // 8)
        parts.append(Captured(START_NS - SECOND, head[:2] + length + head[8:] + piece))
    [stream] = analyze(capsys, tmp_path, pcap([*parts, *frames(*range(9), payload_type=97)]))["streams"]
    assert stream["codec"] == "PCMA"


def test_drift_by_the_sender_reports_in_the_capture(capsys: Capsys, tmp_path: Path) -> None:
    reports = []
    for i in range(10):
        at_ns = START_NS + 5 * i * SECOND
        units = int(5 * i * 8000 * (1 + 100e-6))
        ntp = (at_ns // SECOND + 2_208_988_800) << 32
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, 0x0BADCAFE, ntp, units, 1, 160)
        reports.append(Captured(at_ns, packet(report, ("192.0.2.1", 10001), ("192.0.2.2", 20001))))
    [stream] = analyze(capsys, tmp_path, pcap(sorted([*reports, *frames(*range(2500))])))["streams"]
    assert (stream["rtcp_packets"], stream["packets_sent"]) == (10, 1)
    assert stream["clock_drift_ppm"] == pytest.approx(100, abs=3)
    assert stream["clock_skew_ppm"] == pytest.approx(100, abs=3)


def test_a_capture_without_rtp(capsys: Capsys, tmp_path: Path) -> None:
    assert analyze(capsys, tmp_path, pcap([]))["streams"] == []
    assert run_command(["analyze", str(tmp_path / "capture.pcap")]) == 0
    assert capsys.readouterr().out == "no RTP streams\n"


def test_the_table(capsys: Capsys, tmp_path: Path) -> None:
    file = write(tmp_path, pcap(frames(*range(10), *range(12, 50))))
    assert run_command(["analyze", str(file)]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.startswith("SOURCE")
    assert row.split()[:7] == ["192.0.2.1:10000", "192.0.2.2:20000", "0x0badcafe", "PCMU", "48", "2", "4.00"]


def test_a_file_that_is_cut_short_is_measured_up_to_there_and_ends_in_an_error(capsys: Capsys, tmp_path: Path) -> None:
    file = write(tmp_path, pcap(frames(*range(50)))[:-30])
    assert run_command(["analyze", "--json", str(file)]) == 78
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["streams"][0]["packets_received"] == 49
    assert "cut short" in document["problems"][0]
    assert str(file) in printed.err
    assert "cut short" in printed.err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the capture is empty"),
        (b"hello, world", "expected the first bytes of a pcap or pcapng file"),
        (pcap([])[:20], "cut short"),
        (b"\x1f\x8b" + bytes(30), "cannot read the capture"),
    ],
)
def test_a_file_that_is_no_capture(capsys: Capsys, tmp_path: Path, data: bytes, words: str) -> None:
    file = write(tmp_path, data)
    assert run_command(["analyze", "--json", str(file)]) == 78
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert str(file) in printed.err


def test_a_file_that_is_not_there(capsys: Capsys, tmp_path: Path) -> None:
    assert run_command(["analyze", str(tmp_path / "none.pcap")]) == 78
    assert "No such file" in capsys.readouterr().err


def test_a_link_type_that_nobody_knows_is_named(capsys: Capsys, tmp_path: Path) -> None:
    file = write(tmp_path, pcap(frames(*range(5)), 127))
    assert run_command(["analyze", str(file)]) == 0
    assert "5 frames were passed over: link type 127" in capsys.readouterr().err


def test_the_jitter_buffer_can_be_chosen(capsys: Capsys, tmp_path: Path) -> None:
    late = [Captured(one.at_ns + 30 * MS * (i == 50), one.data) for i, one in enumerate(frames(*range(100)))]
    late.sort(key=lambda one: one.at_ns)
    file = write(tmp_path, pcap([one for i, one in enumerate(late) if i != 70]))

    def measure(*options: str) -> dict[str, Any]:
        assert run_command(["analyze", "--json", str(file), *options]) == 0
        [stream] = json.loads(capsys.readouterr().out)["streams"]
        return {"late_packets": stream["late_packets"], **stream["jitter_buffer"]}

    usual = measure()
    assert 20 < usual.pop("delay_ms") < 40  # it shrinks slowly
    assert usual == {"pushed": 99, "late": 0, "concealed": 1, "late_packets": 0}
    fixed = measure("--jitter-buffer", "fixed:20ms", "--late-after", "25ms")
    assert fixed == {"pushed": 98, "late": 1, "concealed": 2, "delay_ms": 20, "late_packets": 1}


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--jitter-buffer", "elastic:40ms", "found 'elastic:40ms', expected fixed:40ms"),
        ("--jitter-buffer", "fixed:11s", "expected fixed:40ms"),
        ("--jitter-buffer", "fixed:40ms:20ms:60ms", "expected only beside adaptive"),
        ("--late-after", "never", "found 'never', expected a duration from 1ms to 60s"),
    ],
)
def test_what_cannot_be_measured_with_is_refused(
    capsys: Capsys, tmp_path: Path, option: str, value: str, told: str
) -> None:
    file = write(tmp_path, pcap(frames(*range(3))))
    assert run_command(["analyze", str(file), option, value]) == 2
    assert told in capsys.readouterr().err


class TestReport:
    """The page with plots."""

    def write(self, capsys: Capsys, tmp_path: Path, captured: list[Captured]) -> str:
        file, page = write(tmp_path, pcap(captured)), tmp_path / "page.html"
        assert run_command(["analyze", str(file), "--report", str(page)]) == 0
        assert f"wrote {page}" in capsys.readouterr().err
        return page.read_text()

    def traces(self, page: str) -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = json.loads(page.partition("const traces = ")[2].partition(";\n")[0])
        return found

    def test_loss_jitter_and_spacing_over_time(self, capsys: Capsys, tmp_path: Path) -> None:
        page = self.write(capsys, tmp_path, frames(*(n for n in range(500) if not 100 <= n < 110)))
        assert "http://" not in page.rpartition("<body>")[2]
        assert 'src="' not in page.rpartition("<body>")[2]
        [[lost, jitter, shortest, mean, longest]] = self.traces(page)
        assert [round(share) for share in lost["y"][1:]] == [17] + [
            0
        ] * 7  # 10 of 60: the point after the gap comes late
        assert lost["x"][-1] == pytest.approx(8.2)
        assert set(jitter["y"]) == {0}
        assert (mean["y"][-1], shortest["y"][-1], longest["y"][-1]) == (20, 20, 20)
        assert max(longest["y"]) == 220

    def test_points_and_plots_are_bounded(self, capsys: Capsys, tmp_path: Path) -> None:
        long = [Captured(START_NS + k * SECOND, packet(rtp(k, timestamp=k * 8000))) for k in range(2000)]
        many = [Captured(START_NS + k * 20 * MS, packet(rtp(k, ssrc=ssrc))) for ssrc in range(1, 61) for k in range(3)]
        page = self.write(capsys, tmp_path, sorted(long + many, key=lambda one: one.at_ns))
        traces = self.traces(page)
        assert len(traces) == 50
        assert 300 < len(traces[0][0]["x"]) <= 600
        assert "Plots of the 50 streams with most packets, of 61" in page
        assert page.count("<tr>") == 62

    def test_names_are_text(self, capsys: Capsys, tmp_path: Path) -> None:
        directory = tmp_path / "x"
        directory.mkdir()
        file, page = directory / "<b>&.pcap", tmp_path / "page.html"
        file.write_bytes(pcap(frames(*range(3))))
        assert run_command(["analyze", str(file), "--report", str(page)]) == 0
        assert "<h1>&lt;b&gt;&amp;.pcap: 1 RTP streams</h1>" in page.read_text()

    def test_without_the_library_it_says_so_first(
        self, capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
        file = write(tmp_path, pcap(frames(*range(3))))
        assert run_command(["analyze", str(file), "--report", str(tmp_path / "page.html")]) == 78
        assert "pip install 'cmw[report]'" in capsys.readouterr().err

    def test_a_place_that_cannot_be_written_is_told(self, capsys: Capsys, tmp_path: Path) -> None:
        file = write(tmp_path, pcap(frames(*range(3))))
        assert run_command(["analyze", str(file), "--report", str(tmp_path / "no" / "page.html")]) == 78
        assert "cannot be written: No such file" in capsys.readouterr().err
