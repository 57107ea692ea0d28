"""RFC 3550 A.1 and A.3 worked by hand, and what they leave out, on both twins."""

from __future__ import annotations

from types import ModuleType

import pytest

from cmw.rtp import PacketVerdict, RtpPacket, serialize_packet
from tests.support.rtp_streams import OUR_SSRC, SECOND, SSRC, Stream

V = PacketVerdict


def counts(stream: Stream) -> tuple[int, int, int]:
    now = stream.now
    return now.packets_received, now.packets_expected, now.packets_lost


class TestSequence:
    def test_nothing_came(self, stream: Stream) -> None:
        now = stream.now
        assert counts(stream) == (0, 0, 0)
        assert (now.jitter_ms, now.first_packet_at_ns, now.ssrc, now.packet_spacing_avg_ms) == (None,) * 4

    def test_every_packet_counts_from_the_first(self, stream: Stream) -> None:
        assert [stream.receive(seq) for seq in (10, 11, 12)] == [V.FIRST, V.OK, V.OK]
        assert counts(stream) == (3, 3, 0)
        assert stream.now.bytes_received == 480
        assert stream.now.ssrc == SSRC

    def test_a_gap_is_loss(self, stream: Stream) -> None:
        assert [stream.receive(seq) for seq in (10, 11, 14, 15)] == [V.FIRST, V.OK, V.OK, V.OK]
        assert counts(stream) == (4, 6, 2)

    def test_a_late_packet_takes_its_loss_back(self, stream: Stream) -> None:
        assert [stream.receive(seq) for seq in (10, 12, 11, 13)] == [V.FIRST, V.OK, V.OUT_OF_ORDER, V.OK]
        assert counts(stream) == (4, 4, 0)
        assert stream.now.out_of_order_packets == 1

    def test_a_duplicate_counts_as_received_and_apart(self, stream: Stream) -> None:
        verdicts = [stream.receive(seq) for seq in (10, 11, 11, 12, 10)]
        assert verdicts == [V.FIRST, V.OK, V.DUPLICATE, V.OK, V.DUPLICATE]
        assert counts(stream) == (5, 3, -2)  # A.3: the number may be negative
        assert (stream.now.duplicate_packets, stream.now.out_of_order_packets) == (2, 0)

    def test_a_late_packet_seen_twice(self, stream: Stream) -> None:
        verdicts = [stream.receive(seq) for seq in (10, 12, 11, 11)]
        assert verdicts[2:] == [V.OUT_OF_ORDER, V.DUPLICATE]

    def test_the_sequence_wraps(self, stream: Stream) -> None:
        assert stream.receive(65534) == V.FIRST
        assert [stream.receive(seq) for seq in (65535, 65536, 65537)] == [V.OK] * 3
        assert counts(stream) == (4, 4, 0)
        assert stream.now.ext_highest_seq == 65537
        assert stream.now.sequence_number_resets == 0

    def test_reorder_across_the_wrap(self, stream: Stream) -> None:
        verdicts = [stream.receive(seq) for seq in (65534, 65536, 65535, 65537, 65535)]
        assert verdicts == [V.FIRST, V.OK, V.OUT_OF_ORDER, V.OK, V.DUPLICATE]
        assert counts(stream) == (5, 4, -1)
        assert stream.now.ext_highest_seq == 65537

    def test_two_whole_cycles(self, stream: Stream) -> None:
        for seq in range(0, 2 * 65536 + 10, 2999):
            stream.receive(seq)
        assert stream.now.ext_highest_seq == 43 * 2999
        assert counts(stream) == (44, 43 * 2999 + 1, 43 * 2999 + 1 - 44)

    def test_a_packet_before_the_first_is_received_but_not_expected(self, stream: Stream) -> None:
        assert [stream.receive(seq) for seq in (10, 9, 9, 11)] == [V.FIRST, V.OUT_OF_ORDER, V.DUPLICATE, V.OK]
        assert counts(stream) == (4, 2, -2)  # A.3 as written: base_seq is the first packet's

    @pytest.mark.parametrize(("step", "verdict"), [(2999, V.OK), (3000, V.PROBATION)])
    def test_max_dropout(self, stream: Stream, step: int, verdict: PacketVerdict) -> None:
        stream.receive(10)
        assert stream.receive(10 + step) == verdict

    @pytest.mark.parametrize(("behind", "verdict"), [(99, V.OUT_OF_ORDER), (100, V.PROBATION)])
    def test_max_misorder(self, stream: Stream, behind: int, verdict: PacketVerdict) -> None:
        stream.receive(1000)
        stream.receive(1200)
        assert stream.receive(1200 - behind) == verdict

    def test_a_restart_at_a_lower_number(self, stream: Stream) -> None:
        for seq in (5000, 5001, 5003):
            stream.receive(seq)
        assert [stream.receive(seq) for seq in (7, 8, 9)] == [V.PROBATION, V.RESYNC, V.OK]
        assert counts(stream) == (6, 7, 1)  # the loss before the restart stays, the restart itself is none
        assert (stream.now.sequence_number_resets, stream.now.sequence_number_jumps) == (1, 0)

    def test_a_jump_forward_is_not_loss(self, stream: Stream) -> None:
        assert [stream.receive(seq) for seq in (1, 2, 20002, 20003)] == [V.FIRST, V.OK, V.PROBATION, V.RESYNC]
        assert counts(stream) == (4, 4, 0)
        assert (stream.now.sequence_number_resets, stream.now.sequence_number_jumps) == (0, 1)

    def test_one_far_packet_moves_nothing(self, stream: Stream) -> None:
        verdicts = [stream.receive(seq) for seq in (1, 2, 20002, 3, 4)]
        assert verdicts == [V.FIRST, V.OK, V.PROBATION, V.OK, V.OK]
        assert counts(stream) == (4, 4, 0)
        assert stream.now.discarded_packets == 1

    def test_far_packets_out_of_sequence_never_resync(self, stream: Stream) -> None:
        stream.receive(1)
        assert [stream.receive(seq) for seq in (20000, 20002, 30000, 20003)] == [V.PROBATION] * 4
        assert stream.now.discarded_packets == 4
        assert counts(stream) == (1, 1, 0)


class TestSource:
    def test_another_source_takes_over_with_its_second_packet(self, stream: Stream) -> None:
        for seq in (100, 101, 103):
            stream.receive(seq)
        verdicts = [stream.receive(seq, ssrc=7) for seq in (60000, 60001, 60002)]
        assert verdicts == [V.PROBATION, V.NEW_SSRC, V.OK]
        assert counts(stream) == (6, 7, 1)
        assert (stream.now.ssrc, stream.now.ssrc_switches, stream.now.strangers) == (7, 1, 0)

    def test_one_packet_of_another_source_is_a_stranger(self, stream: Stream) -> None:
        verdicts = [stream.receive(100), stream.receive(5, ssrc=7), stream.receive(101), stream.receive(6, ssrc=7)]
        assert verdicts == [V.FIRST, V.PROBATION, V.OK, V.PROBATION]
        assert (stream.now.strangers, stream.now.ssrc_switches, stream.now.ssrc) == (2, 0, SSRC)
        assert counts(stream) == (2, 2, 0)

    def test_two_sources_that_interleave_do_not_switch_back_and_forth(self, stream: Stream) -> None:
        for seq in range(50):
            stream.receive(seq)
            stream.receive(seq, ssrc=7)
        assert stream.now.ssrc_switches == 0
        assert (stream.now.packets_received, stream.now.strangers) == (50, 50)

    def test_the_source_may_be_number_0(self, stream: Stream) -> None:
        assert [stream.receive(seq, ssrc=0) for seq in (0, 1)] == [V.FIRST, V.OK]
        assert stream.now.ssrc == 0


class TestPayloadType:
    def test_before_the_stream_it_counts_apart_only(self, stream: Stream) -> None:
        assert stream.receive(1, payload_type=8) == V.WRONG_PAYLOAD_TYPE
        assert stream.receive(2) == V.FIRST
        assert counts(stream) == (1, 1, 0)
        assert stream.now.wrong_payload_type == 1

    def test_within_the_stream_it_is_not_lost(self, stream: Stream) -> None:
        verdicts = [stream.receive(1), stream.receive(2, payload_type=13), stream.receive(3)]
        assert verdicts == [V.FIRST, V.WRONG_PAYLOAD_TYPE, V.OK]
        assert counts(stream) == (3, 3, 0)
        assert stream.now.wrong_payload_type == 1

    def test_events_belong_to_the_stream(self, stream: Stream) -> None:
        assert [stream.receive(1), stream.receive(2, payload_type=101)] == [V.FIRST, V.OK]
        assert stream.now.wrong_payload_type == 0


class TestChangedPayload:
    def test_another_codec_is_measured_from_then_on(self, stream: Stream) -> None:
        for seq in range(10):
            stream.receive(seq)
        stream.table.change_payload(0, payload_type=8, event_payload_type=96, clock_hz=8000)
        assert [stream.receive(seq, payload_type=pt) for seq, pt in ((10, 8), (11, 96), (12, 0))] == [
            V.OK,
            V.OK,
            V.WRONG_PAYLOAD_TYPE,
        ]
        assert counts(stream) == (13, 13, 0)
        assert (stream.now.payload_type_changes, stream.now.timestamp_jumps) == (2, 0)

    def test_another_clock_gives_the_same_milliseconds(self, stream: Stream) -> None:
        for seq in range(300):
            stream.receive(seq, at_ns=SECOND + seq * 20_000_000 + seq % 2 * 4_000_000)
        before = stream.now
        stream.table.change_payload(0, payload_type=9, clock_hz=48000)
        assert stream.now.jitter_ms == 0
        assert stream.now.jitter_max_ms == pytest.approx(before.jitter_max_ms, rel=1e-3)
        for seq in range(300, 600):
            at_ns = SECOND + seq * 20_000_000 + seq % 2 * 4_000_000
            stream.receive(seq, at_ns=at_ns, timestamp=seq * 960, payload_type=9)
        assert stream.now.jitter_ms == pytest.approx(before.jitter_ms, rel=1e-3)
        assert stream.now.jitter_mean_ms == pytest.approx(before.jitter_mean_ms, rel=0.02)
        assert stream.now.timestamp_jumps == 0

    @pytest.mark.parametrize(("payload_type", "clock_hz"), [(128, 8000), (0, 0), (0, 10_000_001)])
    def test_nonsense_is_refused(self, stream: Stream, payload_type: int, clock_hz: int) -> None:
        with pytest.raises(ValueError):
            stream.table.change_payload(0, payload_type=payload_type, clock_hz=clock_hz)


class TestMalformed:
    GOOD = bytes.fromhex("8000000a 00000640 0badcafe") + b"payload!"

    @pytest.mark.parametrize(
        ("data", "verdict"),
        [
            (b"", V.TOO_SHORT),
            (GOOD[:11], V.TOO_SHORT),
            (b"\x40" + GOOD[1:], V.BAD_VERSION),
            (b"\x00" * 40, V.BAD_VERSION),
            (b"\x83" + GOOD[1:], V.BAD_LENGTH),  # three CSRCs take 12 of 8 bytes
            (b"\x90" + GOOD[1:12] + b"\xbe\xde", V.BAD_LENGTH),  # extension header cut
            (b"\x90" + GOOD[1:12] + b"\xbe\xde\x00\x02" + b"1234567", V.BAD_LENGTH),  # extension of 8 bytes, 7 there
            (b"\xa0" + GOOD[1:12] + b"pay\x00", V.BAD_PADDING),
            (b"\xa0" + GOOD[1:12] + b"pay\x05", V.BAD_PADDING),
            (b"\xa0" + GOOD[1:12], V.BAD_PADDING),
        ],
    )
    def test_is_named_and_counted_and_nothing_else(self, stream: Stream, data: bytes, verdict: PacketVerdict) -> None:
        assert stream.take(data) == verdict
        assert stream.now.malformed == 1
        assert counts(stream) == (0, 0, 0)

    def test_control_on_the_media_port_is_for_the_owner(self, stream: Stream) -> None:
        assert stream.take(bytes.fromhex("80c9000111112222")) == V.IS_RTCP
        assert stream.now.malformed == 0

    def test_csrcs_extension_and_padding_are_not_payload(self, stream: Stream) -> None:
        packet = RtpPacket(0, 1, 160, SSRC, b"x" * 100, csrcs=(1, 2), extension=(0xBEDE, b"12345678"), padding_bytes=4)
        assert stream.take(serialize_packet(packet)) == V.FIRST
        assert stream.now.bytes_received == 100

    def test_padding_may_be_all_there_is(self, stream: Stream) -> None:
        assert stream.take(b"\xa0" + self.GOOD[1:12] + b"\0\0\0\x04") == V.FIRST
        assert stream.now.bytes_received == 0


class TestLossBursts:
    def test_a_burst_ends_when_a_packet_comes(self, stream: Stream) -> None:
        for seq in (1, 2, 6, 7, 9):
            stream.receive(seq)
        assert (stream.now.loss_bursts, stream.now.longest_loss_burst) == (2, 3)

    def test_a_late_packet_splits_or_heals_it(self, stream: Stream) -> None:
        for seq in (1, 5, 3):
            stream.receive(seq)
        assert (stream.now.loss_bursts, stream.now.longest_loss_burst) == (2, 1)
        for seq in (2, 4):
            stream.receive(seq)
        assert (stream.now.loss_bursts, stream.now.longest_loss_burst) == (0, 0)

    def test_bursts_are_kept_when_they_leave_the_window(self, stream: Stream) -> None:
        for seq in (*range(10), *range(13, 500), *range(1500, 1600)):
            stream.receive(seq)
        assert (stream.now.loss_bursts, stream.now.longest_loss_burst) == (2, 1000)

    def test_a_restart_ends_a_burst(self, stream: Stream) -> None:
        for seq in (1, 3, 30000, 30001, 30003):
            stream.receive(seq)
        assert (stream.now.loss_bursts, stream.now.longest_loss_burst) == (2, 1)


class TestSpacing:
    def test_of_the_last_two_seconds_and_of_the_whole(self, stream: Stream) -> None:
        at_ns = 10 * SECOND
        stream.receive(0, at_ns=at_ns)
        stream.receive(1, at_ns=at_ns + 500_000_000)
        for seq in range(2, 202):
            at_ns_of_packet = at_ns + 500_000_000 + (seq - 1) * 20_000_000
            stream.receive(seq, at_ns=at_ns_of_packet)
        now = stream.now
        assert (now.packet_spacing_min_ms, now.packet_spacing_avg_ms, now.packet_spacing_max_ms) == (20.0, 20.0, 20.0)
        assert (now.total_spacing_min_ms, now.total_spacing_max_ms) == (20.0, 500.0)
        assert now.total_spacing_mean_ms == pytest.approx(4500 / 201)
        assert (now.first_packet_at_ns, now.last_packet_at_ns) == (at_ns, at_ns + 4_500_000_000)

    def test_unknown_before_the_second_packet(self, stream: Stream) -> None:
        stream.receive(0)
        assert (stream.now.packet_spacing_avg_ms, stream.now.total_spacing_mean_ms) == (None, None)

    def test_an_arrival_that_is_older_than_the_newest_has_none(self, stream: Stream) -> None:
        stream.receive(0, at_ns=2 * SECOND)
        stream.receive(1, at_ns=SECOND)
        assert stream.now.total_spacing_min_ms is None
        assert stream.now.last_packet_at_ns == 2 * SECOND


class TestInterval:
    """RFC 3550 A.3: fraction lost between two reports."""

    def fraction(self, stream: Stream) -> int:
        block = stream.table.close_interval(0, now=100 * SECOND)
        assert block is not None
        fraction: int = block.fraction_lost
        return fraction

    def test_nothing_was_ever_received(self, stream: Stream) -> None:
        assert stream.table.close_interval(0, now=0) is None

    def test_a_quarter_lost(self, stream: Stream) -> None:
        for seq in (0, 1, 3):
            stream.receive(seq)
        assert self.fraction(stream) == 64  # 1 of 4, times 256

    def test_an_empty_interval_lost_nothing(self, stream: Stream) -> None:
        stream.receive(0)
        self.fraction(stream)
        assert self.fraction(stream) == 0

    def test_a_late_packet_does_not_make_it_negative(self, stream: Stream) -> None:
        for seq in (0, 1, 3):
            stream.receive(seq)
        self.fraction(stream)
        for seq in (2, *range(4, 14)):  # 10 expected, 11 received
            stream.receive(seq)
        assert self.fraction(stream) == 0

    def test_duplicates_do_not_make_it_negative(self, stream: Stream) -> None:
        for seq in (0, 0, 0, 1):
            stream.receive(seq)
        block = stream.table.close_interval(0, now=SECOND)
        assert block is not None
        assert (block.fraction_lost, block.packets_lost) == (0, -2)

    def test_nearly_everything_lost_fits_8_bits(self, stream: Stream) -> None:
        stream.receive(0)
        self.fraction(stream)
        stream.receive(2900)
        assert self.fraction(stream) == 255  # 2899 of 2900

    def test_looking_changes_nothing(self, stream: Stream) -> None:
        for seq in (0, 1, 3):
            stream.receive(seq)
        assert stream.now == stream.now
        assert self.fraction(stream) == 64

    def test_a_restart_begins_a_new_count(self, stream: Stream) -> None:
        for seq in (0, 1, 3, 30000, 30001):
            stream.receive(seq)
        block = stream.table.close_interval(0, now=SECOND)
        assert block is not None
        assert (block.fraction_lost, block.packets_lost, block.ext_highest_seq) == (0, 0, 30001)

    def test_cumulative_loss_is_clamped_to_24_bits(self, stream: Stream) -> None:
        for seq in range(0, 0x7FFFFF + 12_000, 2999):
            stream.receive(seq)
        block = stream.table.close_interval(0, now=SECOND)
        assert block is not None
        assert block.packets_lost == 0x7FFFFF
        assert stream.now.packets_lost > 0x7FFFFF


def test_a_stream_of_each_slot_is_its_own(rtp_impl: ModuleType) -> None:
    first, second = Stream(rtp_impl), Stream(rtp_impl, ssrc=OUR_SSRC + 1)
    first.receive(1)
    assert second.now.packets_received == 0
