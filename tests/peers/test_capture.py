"""Our figures of a call and tshark's of a capture of it: the same counts, the same loss, the same jitter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.peers import Capture, StreamRow, baresip, own_baresip_ports
from tests.support.relay import Passing, Place, Relay
from tests.support.runs import INVALID, call, run_plan

pytestmark = pytest.mark.peers("tshark", "dumpcap")

NewIp = Callable[[], str]

WITHIN_MS = 0.1

ONE_PAIR = {
    "name": "one pair",
    "duration": "5s",
    "groups": {"callees": {"endpoints": 1}, "callers": {"endpoints": 1, "call": {"group": "callees"}}},
}
CALLER_PORT, CALLEE_PORT = 10000, 10002
PORTS = "10000-10003"
"""The caller takes the first pair, for it opens its media before it calls."""


def row_to(rows: list[StreamRow], place: Place) -> StreamRow:
    """Return the one stream that goes to `place`."""
    found = [row for row in rows if row.destination == place]
    assert len(found) == 1, rows
    return found[0]


def counts(endpoint: dict[str, str]) -> tuple[int, int]:
    """Return packets received and lost."""
    return int(endpoint["receive.packets_received"]), int(endpoint["receive.packets_lost"])


def expect_all_until_the_end(capture: Capture, received: int, place: Place) -> None:
    """Fail unless `received` counts all RTP to `place` until the BYE was answered, and nothing that is not there.

    Who is told to hang up may send one packet more until it has taken that in, which we may hear or not.
    """
    [answer] = capture.frames("sip.Status-Code == 200 && sip.CSeq.method == BYE")
    frames = capture.frames(f"rtp && ip.dst == {place[0]} && udp.dstport == {place[1]}")
    assert sum(frame < answer for frame in frames) <= received <= len(frames)


def expect_same_arrivals(endpoint: dict[str, str], row: StreamRow) -> None:
    """Fail unless the jitter and spacing of a received stream are to us what they are to tshark.

    Both take means over all packets: ours of a whole call is "Mean Jitter", mean and greatest spacing are the deltas.
    """
    assert float(endpoint["receive.jitter_ms"]) == pytest.approx(row.mean_jitter_ms, abs=WITHIN_MS)
    assert float(endpoint["receive.avg_packet_spacing"]) == pytest.approx(row.mean_delta_ms, abs=WITHIN_MS)
    assert float(endpoint["receive.max_packet_spacing"]) == pytest.approx(row.max_delta_ms, abs=WITHIN_MS)


def test_a_call_without_loss(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with Capture(tmp_path / "call.pcapng", ip) as capture:
        result = run_plan(tmp_path, ip, ONE_PAIR, rtp_ports=PORTS)
        capture.stop()
        rows = capture.streams()
    result.expect(0)
    callee, caller = result.endpoints
    heard, spoken = row_to(rows, (ip, CALLEE_PORT)), row_to(rows, (ip, CALLER_PORT))
    assert len(rows) == 2
    assert counts(callee) == (heard.packets, heard.lost) == (int(caller["send.packets_sent"]), 0)
    assert int(callee["send.packets_sent"]) == spoken.packets
    assert counts(caller)[1] == spoken.lost == 0
    expect_all_until_the_end(capture, counts(caller)[0], (ip, CALLER_PORT))
    expect_same_arrivals(callee, heard)
    expect_same_arrivals(caller, spoken)


def test_a_call_that_loses_packets(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, middle = loopback_ip(), loopback_ip()

    def drops(number: int) -> bool:
        return number % 10 == 7 or 100 <= number < 105

    with (
        Relay(middle, (ip, CALLER_PORT), (ip, CALLEE_PORT), drops) as relay,
        Capture(tmp_path / "call.pcapng", ip) as capture,
    ):
        plan = ONE_PAIR | {"thresholds": {"fraction_lost": "max < 1"}}
        result = run_plan(tmp_path, ip, plan, "--sdp-ip", middle, rtp_ports=PORTS)
        capture.stop()
    result.expect(99)
    assert result.code == INVALID or result.summary["run"]["blame"] == "TARGET"
    callee, caller = result.endpoints
    received, lost = counts(callee)
    passed = until_received(relay.to_callee, received)
    assert len(relay.to_callee) == int(caller["send.packets_sent"])
    assert lost == sum(not packet.kept for packet in passed) > 20
    frames = capture.frames(f"rtp && ip.dst == {ip} && udp.dstport == {CALLEE_PORT}")
    row = row_to(capture.streams(until_frame=frames[received - 1]), (ip, CALLEE_PORT))
    assert (received, lost) == (row.packets, row.lost)
    expect_same_arrivals(callee, row)
    assert float(callee["receive.fraction_lost"]) == pytest.approx(100 * lost / (received + lost), abs=0.01)
    assert counts(caller)[1] == 0, "nothing was dropped on the way back"


def until_received(passings: list[Passing], received: int) -> list[Passing]:
    """Return what came by up to the last packet that was received: what is dropped after it, nobody can know of."""
    kept = [number for number, packet in enumerate(passings) if packet.kept]
    return passings[: kept[received - 1] + 1]


@pytest.mark.peers("baresip")
def test_a_call_answered_by_baresip(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    port, rtp = own_baresip_ports()
    with Capture(tmp_path / "call.pcapng", ip) as capture:
        with baresip(tmp_path / "baresip", port, rtp):
            result = call(tmp_path, ip, f"sip:bob@127.0.0.1:{port}", "--duration", "5s", rtp_ports=PORTS)
        capture.stop()
    result.expect(0)
    [endpoint] = result.endpoints
    received, lost = counts(endpoint)
    rows = capture.streams()
    [sent] = [row for row in rows if row.source == (ip, CALLER_PORT)]
    heard = row_to(rows, (ip, CALLER_PORT))
    assert (int(endpoint["send.packets_sent"]), 0) == (sent.packets, sent.lost)
    assert lost == heard.lost == 0
    expect_all_until_the_end(capture, received, (ip, CALLER_PORT))
    assert heard.mean_jitter_ms > 0
    expect_same_arrivals(endpoint, heard)
