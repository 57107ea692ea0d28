"""RTCP on both twins: what we report, what we believe, round trips; the plain codec is the oracle."""

from __future__ import annotations

from types import ModuleType

import pytest

from cmw.core.clock import WallClock
from cmw.rtp import (
    ControlVerdict,
    Goodbye,
    ReceiverReport,
    ReceptionBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)
from tests.support.rtp_streams import OUR_SSRC, SECOND, SSRC, Stream

UNIX_NS = 1_700_000_000 * SECOND + 123_456_789
NAME = SourceDescription(((OUR_SSRC, ((1, b"cmw@test"),)),))
V = ControlVerdict


@pytest.fixture
def stream(rtp_impl: ModuleType) -> Stream:
    return Stream(rtp_impl, unix_offset_ns=UNIX_NS)


def send_packets(stream: Stream, count: int, *, first: int = 0) -> None:
    for _ in range(first, first + count):
        stream.table.stamp(0, bytearray(12 + 160))


def middle(now: int) -> int:
    """Return the middle 32 bits of the NTP timestamp at `now`."""
    return WallClock(0, UNIX_NS).ntp_at(now) >> 16 & 0xFFFFFFFF


class TestBuild:
    def test_a_receiver_report_before_anything_moved(self, stream: Stream) -> None:
        packets = parse_compound(stream.table.build_rtcp(0, now=SECOND))
        assert packets == [ReceiverReport(OUR_SSRC), NAME]
        assert stream.now.rtcp_sent == 1

    def test_a_sender_report(self, stream: Stream) -> None:
        send_packets(stream, 51)  # the last is packet 50, of second 1
        now = SECOND + 10_000_000  # 10 ms later: 80 RTP units
        report, name = parse_compound(stream.table.build_rtcp(0, now=now))
        assert name == NAME
        assert report == SenderReport(
            ssrc=OUR_SSRC,
            ntp=WallClock(0, UNIX_NS).ntp_at(now),
            rtp_ts=1000 + 50 * 160 + 80,
            packets_sent=51,
            bytes_sent=51 * 160,
        )

    def test_two_reports_after_the_last_packet_we_are_a_receiver_again(self, stream: Stream) -> None:
        send_packets(stream, 1)
        kinds = [type(parse_compound(stream.table.build_rtcp(0, now=n * SECOND))[0]) for n in range(1, 4)]
        assert kinds == [SenderReport, SenderReport, ReceiverReport]

    def test_what_we_received(self, stream: Stream) -> None:
        for seq in (10, 11, 13):
            stream.receive(seq)
        report = parse_compound(stream.table.build_rtcp(0, now=SECOND))[0]
        assert report == ReceiverReport(OUR_SSRC, (ReceptionBlock(SSRC, 64, 1, 13, 0, 0, 0),))

    def test_a_negative_loss_has_24_bits(self, stream: Stream) -> None:
        for seq in (10, 10, 10):
            stream.receive(seq)
        report = parse_compound(stream.table.build_rtcp(0, now=SECOND))[0]
        assert isinstance(report, ReceiverReport)
        assert (report.blocks[0].packets_lost, report.blocks[0].fraction_lost) == (-2, 0)

    def test_no_block_for_a_source_that_was_silent_since_the_last_report(self, stream: Stream) -> None:
        stream.receive(10)
        stream.table.build_rtcp(0, now=SECOND)
        assert parse_compound(stream.table.build_rtcp(0, now=2 * SECOND))[0] == ReceiverReport(OUR_SSRC)

    def test_goodbye(self, stream: Stream) -> None:
        packets = parse_compound(stream.table.build_rtcp(0, now=SECOND, bye=True))
        assert packets == [ReceiverReport(OUR_SSRC), NAME, Goodbye((OUR_SSRC,))]
        assert stream.table.next_rtcp_due(0) is None
        assert not stream.table.rtcp_due(0, now=10**15)

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 255])
    def test_names_of_every_length_end_on_a_word(self, rtp_impl: ModuleType, size: int) -> None:
        stream = Stream(rtp_impl, cname=b"n" * size)
        data = stream.table.build_rtcp(0, now=0, bye=True)
        assert len(data) % 4 == 0
        assert parse_compound(data)[1] == SourceDescription(((OUR_SSRC, ((1, b"n" * size),)),))


class TestInterval:
    def test_the_first_is_half_and_all_are_randomised_and_compensated(self, rtp_impl: ModuleType) -> None:
        spans = []
        for seed in range(200):
            stream = Stream(rtp_impl, seed=seed)
            first = stream.table.next_rtcp_due(0)
            stream.table.build_rtcp(0, now=first)
            spans.append((first, stream.table.next_rtcp_due(0) - first))
        low, high = 2.5 / 1.21828 * SECOND, 7.5 / 1.21828 * SECOND
        assert all(low / 2 - 1 <= first < high / 2 and low - 1 <= span < high for first, span in spans)
        assert min(span for _, span in spans) < low * 1.05
        assert max(span for _, span in spans) > high * 0.97
        assert len({span for _, span in spans}) > 190

    def test_due(self, stream: Stream) -> None:
        at = stream.table.next_rtcp_due(0)
        assert (stream.table.rtcp_due(0, now=at - 1), stream.table.rtcp_due(0, now=at)) == (False, True)


def sender_report(*blocks: ReceptionBlock, ssrc: int = SSRC, ntp: int = 0x0123_4567_89AB_CDEF) -> bytes:
    return serialize_compound([SenderReport(ssrc, ntp, 5, 77, 7700, blocks), SourceDescription(((ssrc, ()),))])


def report_about_us(*, lsr: int = 0, dlsr: int = 0, lost: int = 0, ssrc: int = OUR_SSRC) -> bytes:
    return serialize_compound([ReceiverReport(SSRC, (ReceptionBlock(ssrc, 128, lost, 9, 80, lsr, dlsr),))])


class TestReceive:
    def test_a_sender_report_comes_back_as_lsr_and_dlsr(self, stream: Stream) -> None:
        stream.receive(10)
        assert stream.table.receive_rtcp(0, sender_report(), 2 * SECOND) == V.OK
        block = stream.table.close_interval(0, now=2 * SECOND + SECOND // 2)
        assert (block.lsr, block.dlsr) == (0x4567_89AB, 32768)
        assert stream.now.remote_packets_sent == 77

    def test_another_sources_sender_report_does_not(self, stream: Stream) -> None:
        stream.receive(10)
        stream.table.receive_rtcp(0, sender_report(ssrc=9), 2 * SECOND)
        block = stream.table.close_interval(0, now=3 * SECOND)
        assert (block.lsr, block.dlsr) == (0, 0)

    def test_another_program_on_the_peers_host_moves_nothing(self, stream: Stream) -> None:
        stream.receive(10)
        for second in range(1, 5):
            own = sender_report(ntp=second << 32)
            stream.table.receive_rtcp(0, own[:16] + (second * 8000).to_bytes(4, "big") + own[20:], second * SECOND)
            stream.table.receive_rtcp(0, sender_report(ssrc=9, ntp=second << 33), second * SECOND)
        block = stream.table.close_interval(0, now=4 * SECOND)
        assert (block.lsr, block.dlsr, stream.now.clock_drift_ppm) == (4 << 16, 0, pytest.approx(0.0))

    @pytest.mark.parametrize(("later_ns", "dlsr"), [(-1, 0), (65536 * SECOND, 0xFFFFFFFF), (10**18, 0xFFFFFFFF)])
    def test_dlsr_stays_within_its_bits(self, stream: Stream, later_ns: int, dlsr: int) -> None:
        stream.receive(10)
        stream.table.receive_rtcp(0, sender_report(), 2 * SECOND)
        assert stream.table.close_interval(0, now=2 * SECOND + later_ns).dlsr == dlsr

    def test_what_the_peer_says_of_us(self, stream: Stream) -> None:
        assert stream.table.receive_rtcp(0, report_about_us(lost=-3), SECOND) == V.OK
        now = stream.now
        assert (now.remote_fraction_lost, now.remote_packets_lost, now.remote_jitter_ms) == (0.5, -3, 10.0)
        assert (now.rtt_ms, now.rtcp_received) == (None, 1)

    def test_what_the_peer_says_of_others(self, stream: Stream) -> None:
        stream.table.receive_rtcp(0, report_about_us(ssrc=9), SECOND)
        assert stream.now.remote_packets_lost is None

    def test_a_round_trip(self, stream: Stream) -> None:
        # Ours left at 10 s, the peer held it for 2.5 s, and its report came at 12.54 s.
        data = report_about_us(lsr=middle(10 * SECOND), dlsr=5 << 15)
        stream.table.receive_rtcp(0, data, 12 * SECOND + 540_000_000)
        assert stream.now.rtt_ms == pytest.approx(40, abs=1000 / 65536)

    def test_a_round_trip_over_the_wrap_of_the_middle_bits(self, stream: Stream) -> None:
        # NTP seconds are a multiple of 65536 here: LSR is just before it, the arrival just after.
        wrap = ((UNIX_NS // SECOND + 2_208_988_800) // 65536 + 1) * 65536 - 2_208_988_800
        now = wrap * SECOND - UNIX_NS
        stream.table.receive_rtcp(0, report_about_us(lsr=middle(now - 20_000_000)), now + 10_000_000)
        assert stream.now.rtt_ms == pytest.approx(30, abs=1000 / 65536)

    def test_rounding_is_no_negative_round_trip_and_nonsense_is_none(self, stream: Stream) -> None:
        data = report_about_us(lsr=middle(SECOND), dlsr=20)
        stream.table.receive_rtcp(0, data, SECOND)
        assert stream.now.rtt_ms == 0.0
        stream.table.receive_rtcp(0, report_about_us(lsr=middle(SECOND), dlsr=5 << 16), SECOND + 10_000_000)
        assert stream.now.rtt_ms == 0.0  # 5 s of hold in 10 ms: not believed, the last good one stays

    def test_blocks_within_a_sender_report(self, stream: Stream) -> None:
        blocks = (ReceptionBlock(9, 1, 1, 1, 1, 1, 1), ReceptionBlock(OUR_SSRC, 0, 4, 9, 8, 0, 0))
        stream.table.receive_rtcp(0, sender_report(*blocks), SECOND)
        assert stream.now.remote_packets_lost == 4

    def test_goodbye_of_the_source(self, stream: Stream) -> None:
        bye = serialize_compound([ReceiverReport(SSRC), Goodbye((9, SSRC), b"done")])
        assert stream.table.receive_rtcp(0, bye, SECOND) == V.OK  # nobody is heard yet
        stream.receive(1)
        assert stream.table.receive_rtcp(0, bye, SECOND) == V.BYE_RECEIVED
        assert stream.now.byes_received == 1

    def test_two_tables_talk(self, rtp_impl: ModuleType) -> None:
        left = Stream(rtp_impl, unix_offset_ns=UNIX_NS, ssrc=1)
        right = Stream(rtp_impl, unix_offset_ns=UNIX_NS + 3 * SECOND, ssrc=2)  # its wall clock is 3 s off
        for k in range(10):
            packet = bytearray(12 + 160)
            left.table.stamp(0, packet)
            if k != 4:
                right.take(bytes(packet), k * 20_000_000 + 15_000_000)
        right.table.receive_rtcp(0, left.table.build_rtcp(0, now=SECOND), SECOND + 15_000_000)
        left.table.receive_rtcp(0, right.table.build_rtcp(0, now=2 * SECOND), 2 * SECOND + 25_000_000)
        now = left.now
        assert now.rtt_ms == pytest.approx(40, abs=0.1)
        assert (now.remote_packets_lost, now.remote_fraction_lost) == (1, 25 / 256)
        assert right.now.remote_packets_sent == 10


RR = bytes.fromhex("80c90001 00000009")


class TestMalformed:
    @pytest.mark.parametrize(
        ("data", "verdict"),
        [
            (b"", V.TOO_SHORT),
            (RR[:7], V.TOO_SHORT),
            (b"\x40" + RR[1:], V.BAD_VERSION),
            (RR + b"\x40" + RR[1:], V.BAD_VERSION),
            (RR[:1] + b"\xca" + RR[2:], V.BAD_FIRST_TYPE),
            (b"\xa0" + RR[1:], V.BAD_PADDING),  # on the first packet
            (RR + bytes.fromhex("a0cc0001 00000003"), V.BAD_PADDING),  # not whole words
            (RR + bytes.fromhex("a0cc0001 00000000"), V.BAD_PADDING),
            (RR + bytes.fromhex("a0cc0001 00000008"), V.BAD_PADDING),  # more than there is
            (RR + bytes.fromhex("a0cc0000"), V.BAD_PADDING),  # the count would be of the header
            (RR + bytes.fromhex("a0cc0001 00000004") + RR, V.BAD_PADDING),  # not the last
            (RR[:3] + b"\x02" + RR[4:], V.BAD_LENGTH),
            (RR[:3] + b"\x00" + RR[4:] + RR, V.BAD_LENGTH),  # a receiver report of one word
            (RR + b"\x80", V.BAD_LENGTH),
            (b"\x81" + RR[1:], V.BAD_LENGTH),  # a block is promised
            (RR + bytes.fromhex("81cb0000"), V.BAD_LENGTH),  # a source is promised
            (bytes.fromhex("80c80005") + b"\0" * 20, V.BAD_LENGTH),  # sender info cut
            (RR + bytes.fromhex("a1cb0001 00000004"), V.BAD_LENGTH),  # the source would be padding
        ],
    )
    def test_is_named_and_nothing_of_it_taken(self, stream: Stream, data: bytes, verdict: ControlVerdict) -> None:
        before = stream.now
        assert stream.table.receive_rtcp(0, data, SECOND) == verdict
        assert stream.now == before._replace(rtcp_malformed=1)

    def test_a_good_report_before_a_bad_packet_is_not_believed(self, stream: Stream) -> None:
        assert stream.table.receive_rtcp(0, report_about_us() + b"\x80\xcc\x00\x09", SECOND) == V.BAD_LENGTH
        assert stream.now.remote_packets_lost is None

    def test_padding_and_unknown_types_are_fine(self, stream: Stream) -> None:
        assert stream.table.receive_rtcp(0, RR + bytes.fromhex("a0cc0001 00000004"), SECOND) == V.OK
        assert stream.table.receive_rtcp(0, RR + bytes.fromhex("9fcf0001 12345678"), SECOND) == V.OK
