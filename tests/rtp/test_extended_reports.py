"""Extended reports of RFC 3611 on both twins: sent, read, and both ends of a call."""

from __future__ import annotations

import struct
from types import ModuleType

import pytest

from cmw.rtp import OtherControl, ReceiverReport, parse_compound, serialize_compound
from cmw.rtp.extended_report import (
    XR,
    Summary,
    VoipMetrics,
    VoipRating,
    parse_summary,
    parse_voip,
    serialize_delay_since,
    serialize_summary,
    serialize_voip,
    split_blocks,
)
from tests.support.rtp_streams import OUR_SSRC, SECOND, SSRC, Stream

UNIX_NS = 1_700_000_000 * SECOND


@pytest.fixture
def stream(rtp_impl: ModuleType) -> Stream:
    return Stream(rtp_impl, unix_offset_ns=UNIX_NS, extended_reports=True)


def blocks(stream: Stream, now: int) -> dict[int, bytes]:
    """Return the blocks of the extended report in the next control packet."""
    [extended] = [
        packet
        for packet in parse_compound(stream.table.build_rtcp(0, now=now))
        if isinstance(packet, OtherControl) and packet.packet_type == XR
    ]
    assert extended.body[:4] == struct.pack("!I", OUR_SSRC)
    return {kind: contents for kind, _, contents in split_blocks(extended.body)}


def xr(*parts: bytes, ssrc: int = SSRC) -> bytes:
    body = struct.pack("!I", ssrc) + b"".join(parts)
    return serialize_compound([ReceiverReport(ssrc), OtherControl(XR, 0, body)])


def test_before_anything_came_only_the_reference_time(stream: Stream) -> None:
    found = blocks(stream, SECOND)
    assert list(found) == [4]
    assert int.from_bytes(found[4], "big") >> 32 == 1_700_000_001 + 2_208_988_800


def test_off_by_default(rtp_impl: ModuleType) -> None:
    packets = parse_compound(Stream(rtp_impl).table.build_rtcp(0, now=SECOND))
    assert not [packet for packet in packets if isinstance(packet, OtherControl)]


def test_a_summary_of_each_interval(stream: Stream) -> None:
    for seq in (65533, 65534, 65534, 65537):
        stream.receive(seq, at_ns=SECOND + seq * 20_000_000 + (seq == 65537) * 2_000_000)
    first = parse_summary(0xE0, blocks(stream, 2 * SECOND)[6])
    assert first == Summary(SSRC, 65533, 2, 2, 1, 0, 16, 5, 7)  # 0, 0 and 16 units
    for seq in (65538, 65539):
        stream.receive(seq)
    second = parse_summary(0xE0, blocks(stream, 3 * SECOND)[6])
    assert second[:5] == (SSRC, 2, 4, 0, 0)


def test_voip_metrics(stream: Stream) -> None:
    lost = {40, 42, 43, 46, 77}
    for seq in range(108):
        if seq not in lost:
            late_ns = 500_000_000 if seq == 100 else 0
            stream.receive(seq, at_ns=SECOND + seq * 20_000_000 + late_ns)
    found = parse_voip(blocks(stream, 5 * SECOND)[7])
    assert (found.ssrc, found.loss_rate, found.discard_rate) == (SSRC, 5 * 256 // 108, 256 // 108)
    assert (found.burst_density, found.burst_duration_ms) == (4 * 256 // 7, 140)
    assert (found.gap_density, found.gap_duration_ms) == (2 * 256 // 101, 1010)
    assert (found.round_trip_ms, found.gmin, found.signal_level_db, found.mos_cq_q10) == (0, 16, 127, 127)
    assert (found.configuration, found.buffer_max_ms) == (0x30, 200)
    assert found.buffer_nominal_ms > 20  # the late packet made it wait longer
    assert found.end_system_delay_ms == found.buffer_nominal_ms + 20


def test_ratings_that_were_told_and_unknown_ones(stream: Stream) -> None:
    stream.receive(1)
    unknown = parse_voip(blocks(stream, SECOND)[7])
    assert (unknown.signal_level_db, unknown.noise_level_db, unknown.r_factor, unknown.mos_lq_q10) == (127,) * 4
    stream.table.rate(0, VoipRating(-20, -66, 93, 44, 43))
    found = parse_voip(blocks(stream, 2 * SECOND)[7])
    assert (found.signal_level_db, found.noise_level_db, found.residual_echo_db) == (-20, -66, 127)
    assert (found.r_factor, found.external_r_factor, found.mos_lq_q10, found.mos_cq_q10) == (93, 127, 44, 43)


@pytest.mark.parametrize("rating", [(-129, 0, 0, 0, 0), (0, 128, 0, 0, 0), (0, 0, 256, 0, 0), (0, 0, 0, -1, 0)])
def test_a_rating_that_does_not_fit_is_refused(stream: Stream, rating: tuple[int, ...]) -> None:
    with pytest.raises(OverflowError):
        stream.table.rate(0, VoipRating(*rating))


def test_a_fixed_buffer_says_so(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, extended_reports=True, buffer=(60_000_000,) * 3)
    stream.receive(1)
    found = parse_voip(blocks(stream, SECOND)[7])
    assert (found.configuration, found.buffer_nominal_ms, found.buffer_max_ms, found.buffer_abs_max_ms) == (
        32,
        60,
        60,
        60,
    )


def test_a_round_trip_of_a_receiver_that_sends_nothing(rtp_impl: ModuleType) -> None:
    left = Stream(rtp_impl, ssrc=1, unix_offset_ns=UNIX_NS, extended_reports=True)
    right = Stream(rtp_impl, ssrc=2, unix_offset_ns=UNIX_NS + 7 * SECOND, extended_reports=True)
    right.table.receive_rtcp(0, left.table.build_rtcp(0, now=SECOND), SECOND + 15_000_000)
    left.table.receive_rtcp(0, right.table.build_rtcp(0, now=2 * SECOND), 2 * SECOND + 25_000_000)
    assert left.now.rtt_ms == pytest.approx(40, abs=0.1)
    assert right.now.rtt_ms is None


@pytest.mark.parametrize("ssrc", [OUR_SSRC, 9])
def test_what_the_peer_tells_of_us(stream: Stream, ssrc: int) -> None:
    voip = VoipMetrics(ssrc, 1, 2, 3, 4, 5, 6, 7, 8, -20, -60, 127, 16, 93, 127, 44, 43, 0x30, 40, 60, 200)
    summary = Summary(ssrc, 1, 2, 3, 4, 5, 6, 7, 8)
    data = xr(serialize_summary(summary), struct.pack("!BBHI", 99, 0, 1, 5), serialize_voip(voip))
    stream.table.receive_rtcp(0, data, SECOND)
    ours = ssrc == OUR_SSRC
    assert stream.now.remote_voip == (voip if ours else None)
    assert stream.now.remote_summary == (summary if ours else None)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x80, (3, None, None, None, None, None)),
        (0x40, (None, 4, None, None, None, None)),
        (0x3F, (None, None, 5, 6, 7, 8)),
        (0x00, (None,) * 6),
    ],
)
def test_what_a_summary_has_not_is_absent(stream: Stream, flags: int, expected: tuple[int | None, ...]) -> None:
    block = bytearray(serialize_summary(Summary(OUR_SSRC, 1, 2, 3, 4, 5, 6, 7, 8)))
    block[1] = flags
    stream.table.receive_rtcp(0, xr(bytes(block)), SECOND)
    assert stream.now.remote_summary == (OUR_SSRC, 1, 2, *expected)
    assert serialize_summary(Summary(OUR_SSRC, 1, 2, *expected))[1] == flags & 0xE0


@pytest.mark.parametrize(
    "part",
    [
        b"\x07\x00\x00\x09" + bytes(32),  # runs past the end
        b"\x07\x00\x00\x00",
        b"\x05\x00\x00\x02" + bytes(8),
        b"\x04\x00\x00\x01" + bytes(4),
        b"\x06\x00\x00\x01" + struct.pack("!I", OUR_SSRC),
    ],
)
def test_blocks_that_break_their_format_are_passed_over(stream: Stream, part: bytes) -> None:
    stream.table.receive_rtcp(0, xr(part), SECOND)
    now = stream.now
    assert (now.remote_voip, now.remote_summary, now.rtt_ms, now.rtcp_received) == (None, None, None, 1)
    assert 5 not in blocks(stream, 2 * SECOND)


def test_only_our_own_answer_counts(stream: Stream) -> None:
    from cmw.rtp.extended_report import DelaySince

    stream.table.receive_rtcp(0, xr(serialize_delay_since(DelaySince(77, 1, 0))), SECOND)
    assert stream.now.rtt_ms is None


def test_the_largest_packet_fits_its_room(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, extended_reports=True, cname=b"n" * 255, unix_offset_ns=UNIX_NS)
    stream.receive(1)
    stream.table.stamp(0, bytearray(172))
    stream.table.receive_rtcp(0, xr(struct.pack("!BBHQ", 4, 0, 2, 1 << 40)), SECOND)
    data = stream.table.build_rtcp(0, now=2 * SECOND, bye=True)
    assert len(data) <= 512
    assert [type(packet).__name__ for packet in parse_compound(data)] == [
        "SenderReport",
        "SourceDescription",
        "OtherControl",
        "Goodbye",
    ]
