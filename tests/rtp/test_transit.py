"""Late packets, jumps of the timestamp and changes of the payload type, on both twins."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.support.rtp_streams import SECOND, Stream

MS = 1_000_000


def at(seq: int, *, late_ms: float = 0) -> int:
    return SECOND + seq * 20 * MS + int(late_ms * MS)


class TestLatePackets:
    def test_later_than_the_limit(self, stream: Stream) -> None:
        for seq, late_ms in enumerate((0, 100, 100.2, 30, 0, 500)):
            stream.receive(seq, at_ns=at(seq, late_ms=late_ms))
        assert stream.now.late_packets == 2

    def test_against_the_fastest_not_the_first(self, stream: Stream) -> None:
        for seq, late_ms in enumerate((70, 0, 0, 120)):
            stream.receive(seq, at_ns=at(seq, late_ms=late_ms))
        assert stream.now.late_packets == 1

    def test_the_limit_is_a_setting(self, rtp_impl: ModuleType) -> None:
        stream = Stream(rtp_impl, late_limit_ns=10 * MS)
        for seq, late_ms in enumerate((0, 9, 11)):
            stream.receive(seq, at_ns=at(seq, late_ms=late_ms))
        assert stream.now.late_packets == 1

    @pytest.mark.parametrize("late_limit_ns", [-1, 60 * SECOND + 1])
    def test_the_limit_has_a_range(self, rtp_impl: ModuleType, late_limit_ns: int) -> None:
        with pytest.raises(ValueError, match="late_limit_ns"):
            Stream(rtp_impl, late_limit_ns=late_limit_ns)

    def test_a_late_packet_out_of_order_counts_and_its_duplicate_does_not(self, stream: Stream) -> None:
        for seq in range(10):
            if seq != 5:
                stream.receive(seq, at_ns=at(seq))
        stream.receive(5, at_ns=at(5, late_ms=150))
        stream.receive(5, at_ns=at(5, late_ms=160))
        assert (stream.now.late_packets, stream.now.duplicate_packets) == (1, 1)

    def test_a_drifting_clock_makes_none(self, stream: Stream) -> None:
        for seq in range(0, 400_000, 100):  # 500 ppm over 8,000 s: 4 s in all
            stream.receive(seq, at_ns=at(seq) + seq * 10_000)
        assert stream.now.late_packets == 0

    def test_a_lasting_delay_is_the_new_normal_after_a_while(self, stream: Stream) -> None:
        for seq in range(3000):
            stream.receive(seq, at_ns=at(seq, late_ms=200 if seq >= 1000 else 0))
        late = stream.now.late_packets
        assert 500 <= late <= 1000  # 10 to 20 s


class TestPausedSender:
    """Sequence numbers and timestamps go on where they were, after a time in which nothing came."""

    @staticmethod
    def pause(stream: Stream, seconds: float, *, marker: bool = False) -> None:
        for seq in range(20):
            stream.receive(seq)
        for seq in range(20, 40):
            stream.receive(seq, at_ns=at(seq, late_ms=1000 * seconds), marker=marker and seq == 20)

    @pytest.mark.parametrize("seconds", [1.1, 9])
    def test_after_two_packets_at_its_pace_it_is_not_late_any_more(self, stream: Stream, seconds: float) -> None:
        self.pause(stream, seconds)
        assert (stream.now.late_packets, stream.now.buffer_late, stream.now.timestamp_jumps) == (1, 1, 0)

    @pytest.mark.parametrize("seconds", [0.2, 9])
    def test_a_marker_tells_at_once(self, stream: Stream, seconds: float) -> None:
        self.pause(stream, seconds, marker=True)
        assert (stream.now.late_packets, stream.now.buffer_late) == (0, 0)

    def test_a_second_is_a_long_delay(self, stream: Stream) -> None:
        self.pause(stream, 0.9)
        assert (stream.now.late_packets, stream.now.buffer_late) == (20, 20)

    @pytest.mark.parametrize("spacing_ms", [0, 10])
    def test_what_the_network_kept_back_is_late(self, stream: Stream, spacing_ms: int) -> None:
        for seq in range(20):
            stream.receive(seq)
        release = at(20, late_ms=2000)
        arrivals = {seq: max(at(seq), release + (seq - 20) * spacing_ms * MS) for seq in range(20, 270)}
        for seq, at_ns in arrivals.items():
            stream.receive(seq, at_ns=at_ns)
        assert stream.now.late_packets == sum(at_ns - at(seq) > 100 * MS for seq, at_ns in arrivals.items())

    def test_one_packet_that_came_late_alone_changes_nothing(self, stream: Stream) -> None:
        for seq in range(20):
            stream.receive(seq, at_ns=at(seq, late_ms=3000 if seq == 10 else 0))
        assert stream.now.late_packets == 1


class TestTimestampJumps:
    def receive(self, stream: Stream, *packets: tuple[int, int, int]) -> None:
        """Take (sequence number, timestamp, arrival in ms) of each packet, after a second of a regular stream."""
        for seq in range(50):
            stream.receive(seq)
        for seq, timestamp, at_ms in packets:
            stream.receive(seq, timestamp=timestamp, at_ns=SECOND + at_ms * MS)

    def test_a_regular_stream_has_none(self, stream: Stream) -> None:
        self.receive(stream, (50, 8000, 1000), (51, 8160, 1020))
        assert stream.now.timestamp_jumps == 0

    @pytest.mark.parametrize("jump", [100_000, -100_000, 1 << 31, -4000])
    def test_a_step_that_nothing_explains(self, stream: Stream, jump: int) -> None:
        self.receive(stream, (50, 8000 + jump, 1000), (51, 8160 + jump, 1020), (52, 8320 + jump, 1040))
        assert stream.now.timestamp_jumps == 1
        assert stream.now.late_packets == 0

    def test_lost_packets_explain_it(self, stream: Stream) -> None:
        self.receive(stream, (150, 24000, 1000))
        assert stream.now.timestamp_jumps == 0

    def test_silence_explains_it(self, stream: Stream) -> None:
        self.receive(stream, (50, 8000 + 80_000, 11_000))
        assert stream.now.timestamp_jumps == 0

    def test_a_clock_that_stood_still_on_hold_is_explained_by_the_packets(self, stream: Stream) -> None:
        self.receive(stream, (50, 8000, 31_000))
        assert stream.now.timestamp_jumps == 0

    def test_a_wrap_is_none(self, stream: Stream) -> None:
        for seq in range(100):
            stream.receive(seq, timestamp=(1 << 32) - 50 * 160 + seq * 160)
        assert stream.now.timestamp_jumps == 0

    def test_events_share_a_timestamp(self, stream: Stream) -> None:
        for seq in range(50):
            stream.receive(seq)
        for seq in range(50, 60):
            stream.receive(seq, timestamp=8000, payload_type=101)
        for seq in range(60, 70):
            stream.receive(seq)
        now = stream.now
        assert (now.timestamp_jumps, now.payload_type_changes, now.late_packets) == (0, 0, 0)
        assert now.jitter_ms == 0

    def test_a_restart_is_no_jump_as_well(self, stream: Stream) -> None:
        self.receive(stream, (30000, 99, 1000), (30001, 259, 1020))
        assert (stream.now.timestamp_jumps, stream.now.sequence_number_jumps) == (0, 1)


class TestPayloadTypeChanges:
    def test_to_another_and_back(self, stream: Stream) -> None:
        for seq, payload_type in enumerate((0, 0, 8, 8, 0)):
            stream.receive(seq, payload_type=payload_type)
        assert (stream.now.payload_type_changes, stream.now.wrong_payload_type) == (2, 2)

    def test_comfort_noise_and_events_are_none(self, stream: Stream) -> None:
        for seq, payload_type in enumerate((0, 13, 0, 101, 101, 0)):
            stream.receive(seq, payload_type=payload_type)
        assert stream.now.payload_type_changes == 0

    def test_packets_out_of_order_are_none(self, stream: Stream) -> None:
        for seq, payload_type in ((0, 0), (1, 0), (3, 8), (2, 0), (4, 8)):
            stream.receive(seq, payload_type=payload_type)
        assert stream.now.payload_type_changes == 1
