"""Pacing and stamping on both twins: absolute deadlines, no bursts, headers as RFC 3550 5.1 wants them."""

from __future__ import annotations

import struct
from array import array
from types import ModuleType
from typing import Any

import pytest

from cmw.errors import LocalProtocolError
from cmw.metrics.histogram import ExponentialHistogram
from cmw.rtp import RtpPacket, parse_packet
from tests.support.rtp_streams import OUR_SSRC, Stream

MS = 1_000_000
PERIOD = 20 * MS


def due(table: Any, now: int, slack_ns: int = 0) -> list[int]:
    out = array("i", [0] * len(table))
    return list(out[: table.pull_due(now, slack_ns, out)])


def send(stream: Stream, now: int, slack_ns: int = 0) -> RtpPacket | None:
    """Stamp what is due at `now`; at most one packet may be."""
    if not due(stream.table, now, slack_ns):
        return None
    packet = bytearray(12) + b"abcdefgh"
    stream.table.stamp(0, packet)
    return parse_packet(bytes(packet))


def test_the_first_packets(stream: Stream) -> None:
    assert send(stream, -1) is None
    assert stream.table.next_due() == 0
    assert send(stream, 0) == RtpPacket(0, 100, 1000, OUR_SSRC, b"abcdefgh", marker=True)
    assert stream.table.next_due() == PERIOD
    assert send(stream, PERIOD - 1) is None
    assert send(stream, PERIOD) == RtpPacket(0, 101, 1160, OUR_SSRC, b"abcdefgh")
    now = stream.now
    assert (now.packets_sent, now.bytes_sent, now.packets_skipped, now.send_errors) == (2, 16, 0, 0)


def test_deadlines_are_absolute(stream: Stream) -> None:
    lateness = [0, 7 * MS, 0, 19 * MS, 1, 3 * MS]
    packets = [send(stream, k * PERIOD + late) for k, late in enumerate(lateness)]
    assert [packet.timestamp for packet in packets if packet] == [1000 + 160 * k for k in range(6)]
    assert stream.table.next_due() == 6 * PERIOD


def test_slack_takes_a_packet_early(stream: Stream) -> None:
    send(stream, 0)
    assert send(stream, PERIOD - 500_001, 500_000) is None
    assert send(stream, PERIOD - 500_000, 500_000) is not None
    assert stream.table.next_due() == 2 * PERIOD


def test_after_a_stall_packets_are_skipped_not_sent_in_a_burst(stream: Stream) -> None:
    send(stream, 0)
    now = 5 * PERIOD + 3 * MS  # packets 1 to 4 are late by more than a period
    packet = send(stream, now)
    assert packet is not None
    assert (packet.seq, packet.timestamp, packet.marker) == (101, 1000 + 5 * 160, True)
    assert send(stream, now) is None
    assert stream.now.packets_skipped == 4
    packet = send(stream, 6 * PERIOD)
    assert packet is not None
    assert (packet.seq, packet.timestamp, packet.marker) == (102, 1000 + 6 * 160, False)


@pytest.mark.parametrize(("late_ns", "skipped"), [(PERIOD - 1, 0), (PERIOD, 1)])
def test_never_two_packets_at_one_instant(stream: Stream, late_ns: int, skipped: int) -> None:
    assert send(stream, late_ns) is not None
    assert send(stream, late_ns) is None
    assert stream.now.packets_skipped == skipped


def test_a_bound_below_the_period(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, late_bound_ns=5 * MS)
    assert send(stream, 5 * MS) is None
    assert (stream.now.packets_skipped, stream.table.next_due()) == (1, PERIOD)
    packet = send(stream, PERIOD + 5 * MS - 1)
    assert packet is not None
    assert (packet.seq, packet.timestamp, packet.marker) == (100, 1160, True)


def test_sequence_and_timestamp_wrap(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, sequence=65535, timestamp=(1 << 32) - 160)
    packets = [send(stream, k * PERIOD) for k in range(3)]
    assert [(packet.seq, packet.timestamp) for packet in packets if packet] == [
        (65535, (1 << 32) - 160),
        (0, 0),
        (1, 160),
    ]


def test_a_day_later_the_timestamp_is_still_that_of_its_packet(stream: Stream) -> None:
    k = 50 * 86_400 * 300  # 300 days
    packet = send(stream, k * PERIOD)
    assert packet is not None
    assert packet.timestamp == (1000 + k * 160) % (1 << 32)
    assert stream.now.packets_skipped == k


def test_a_packet_the_kernel_refused_uses_no_sequence_number(stream: Stream) -> None:
    send(stream, 0)
    send(stream, PERIOD)
    stream.table.send_failed(0)
    now = stream.now
    assert (now.packets_sent, now.bytes_sent, now.send_errors) == (1, 8, 1)
    packet = send(stream, 2 * PERIOD)
    assert packet is not None
    assert (packet.seq, packet.timestamp, packet.marker) == (101, 1320, True)


def test_echo_brings_its_own_timestamp(stream: Stream) -> None:
    packet = bytearray(12) + b"echo"
    stream.table.stamp_as(0, packet, 4_000_000_000, True, now=5)
    assert parse_packet(bytes(packet)) == RtpPacket(0, 100, 4_000_000_000, OUR_SSRC, b"echo", marker=True)
    assert stream.table.next_due() == 0


class TestChangedFormat:
    def change(self, stream: Stream, *, ptime_ms: int = 20, clock_hz: int = 8000) -> None:
        step = clock_hz * ptime_ms // 1000
        stream.table.change_sending(0, payload_type=8, clock_hz=clock_hz, period_ns=ptime_ms * MS, timestamp_step=step)

    def test_the_next_packet_has_it_and_nothing_else_changes(self, stream: Stream) -> None:
        for k in range(3):
            send(stream, k * PERIOD)
        self.change(stream)
        assert stream.table.next_due() == 3 * PERIOD
        assert send(stream, 3 * PERIOD) == RtpPacket(8, 103, 1480, OUR_SSRC, b"abcdefgh", marker=True)
        assert send(stream, 4 * PERIOD) == RtpPacket(8, 104, 1640, OUR_SSRC, b"abcdefgh")
        assert (stream.now.packets_sent, stream.now.packets_skipped) == (5, 0)

    def test_another_packet_time_goes_on_from_the_next_packet(self, stream: Stream) -> None:
        for k in range(4):
            send(stream, k * PERIOD)
        self.change(stream, ptime_ms=30)
        packets = [send(stream, 4 * PERIOD + k * 30 * MS) for k in range(3)]
        assert [packet.timestamp for packet in packets if packet] == [1640, 1880, 2120]
        assert stream.table.next_due() == 4 * PERIOD + 90 * MS

    def test_a_bound_below_the_period_stays(self, rtp_impl: ModuleType) -> None:
        stream = Stream(rtp_impl, late_bound_ns=5 * MS)
        self.change(stream, ptime_ms=30)
        assert send(stream, 5 * MS) is None
        assert stream.now.packets_skipped == 1

    def test_a_report_follows_the_new_clock(self, stream: Stream) -> None:
        send(stream, 0)
        send(stream, PERIOD)
        self.change(stream, clock_hz=16000)
        report = stream.table.build_rtcp(0, now=PERIOD + 10 * MS)
        assert struct.unpack("!I", report[16:20])[0] == 1320 - 160  # half a packet time before the next packet
        assert send(stream, 2 * PERIOD) == RtpPacket(8, 102, 1320, OUR_SSRC, b"abcdefgh", marker=True)

    @pytest.mark.parametrize("wrong", [{"payload_type": 128}, {"clock_hz": 0}, {"period_ns": 0}])
    def test_nonsense_is_refused(self, stream: Stream, wrong: dict[str, int]) -> None:
        right = {"payload_type": 8, "clock_hz": 8000, "period_ns": PERIOD, "timestamp_step": 160}
        with pytest.raises(ValueError):
            stream.table.change_sending(0, **(right | wrong))


def test_a_stopped_stream_is_never_due(stream: Stream) -> None:
    stream.table.stop(0)
    assert due(stream.table, 10**12) == []
    assert stream.table.next_due() is None
    assert stream.now.packets_skipped == 0


def open_slot(table: Any, slot: int, start_ns: int) -> None:
    table.open(
        slot,
        start_ns=start_ns,
        period_ns=PERIOD,
        ssrc=slot,
        sequence=0,
        timestamp=0,
        timestamp_step=160,
        clock_hz=8000,
        payload_type=0,
    )


def test_many_slots(rtp_impl: ModuleType) -> None:
    table = rtp_impl.StreamTable(4)
    for slot, start_ns in ((0, 0), (1, 5 * MS), (3, MS)):
        open_slot(table, slot, start_ns)
    assert due(table, 2 * MS) == [0, 3]
    assert due(table, 2 * MS) == [0, 3]  # not stamped yet
    table.stamp(0, bytearray(12))
    assert due(table, 2 * MS) == [3]
    out = array("i", [0])
    assert (table.pull_due(6 * MS, 0, out), out[0]) == (1, 1)  # no room for the others: they stay due
    assert table.next_due() == MS
    table.close(3)
    assert table.next_due() == 5 * MS


def test_lateness_is_recorded_in_microseconds(stream: Stream) -> None:
    for k, late_us in enumerate((0, 100, 250, 1000)):
        send(stream, k * PERIOD + late_us * 1000)
    wire = stream.table.pacing()
    assert (wire["scale"], wire["count"], wire["zero_count"], wire["sum"]) == (6, 4, 1, 1350.0)
    assert (wire["min"], wire["max"]) == (0.0, 1000.0)
    histogram = ExponentialHistogram.from_dict(wire)
    assert histogram.count == 4
    assert histogram.quantile(0.75) == pytest.approx(250, rel=0.011)


def test_an_empty_histogram(stream: Stream) -> None:
    empty = {"scale": 6, "zero_count": 0, "offset": 0, "counts": [], "count": 0, "sum": 0.0, "min": None, "max": None}
    assert stream.table.pacing() == empty


class TestRefusals:
    """What an embedder can do wrong raises before any change."""

    def test_slots(self, rtp_impl: ModuleType) -> None:
        with pytest.raises(ValueError, match="slots: expected 1 or more, got 0"):
            rtp_impl.StreamTable(0)

    @pytest.mark.parametrize("slot", [-1, 1])
    def test_no_such_slot(self, stream: Stream, slot: int) -> None:
        with pytest.raises(IndexError, match=r"slot: expected 0 \.\. 0"):
            stream.table.receive(slot, b"", 0)

    def test_slot_not_open(self, stream: Stream) -> None:
        stream.table.close(0)
        with pytest.raises(LocalProtocolError, match="slot 0 is not open"):
            stream.table.snapshot(0)

    def test_slot_open_already(self, stream: Stream) -> None:
        with pytest.raises(LocalProtocolError, match="slot 0 is open already"):
            stream.open()

    @pytest.mark.parametrize(
        "setting",
        [
            {"period_ns": 0},
            {"late_bound_ns": -1},
            {"late_bound_ns": PERIOD + 1},
            {"clock_hz": 0},
            {"clock_hz": 10_000_001},
            {"payload_type": 128},
            {"cname": b"c" * 256},
            {"sequence": 65536},
            {"ssrc": -1},
            {"timestamp": 1 << 32},
            {"seed": 1 << 64},
            {"event_payload_type": 256},
        ],
    )
    def test_settings(self, rtp_impl: ModuleType, stream: Stream, setting: dict[str, Any]) -> None:
        stream.table.close(0)
        with pytest.raises((ValueError, OverflowError)):
            stream.open(**setting)
        stream.open()

    def test_no_room_for_the_header(self, stream: Stream) -> None:
        with pytest.raises(ValueError, match="packet: expected 12 bytes or more, got 11"):
            stream.table.stamp(0, bytearray(11))
        assert stream.now.packets_sent == 0
