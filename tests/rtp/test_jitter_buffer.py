"""The model of the jitter buffer, on both twins."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.support.rtp_streams import SECOND, Stream

MS = 1_000_000
FIXED_60 = (60 * MS,) * 3


def play(stream: Stream, lateness_ms: list[float], *, first: int = 0, timestamps: int = 0) -> None:
    for i, late_ms in enumerate(lateness_ms, first):
        at_ns = SECOND + i * 20 * MS + int(late_ms * MS)
        stream.receive(i, at_ns=at_ns, timestamp=160 * i + timestamps)


def test_a_fixed_buffer_plays_what_comes_within_its_time(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, buffer=FIXED_60)
    play(stream, [0, 60, 60.5, 20, 100, 0])
    now = stream.now
    assert (now.buffer_pushed, now.buffer_late, now.buffer_delay_ms) == (4, 2, 60)


def test_what_was_discarded_is_a_burst_as_if_it_were_lost(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, buffer=FIXED_60)
    play(stream, [0] * 40 + [70, 0, 70] + [0] * 57)
    now = stream.now
    assert (now.burst_density, now.packets_lost, now.loss_bursts) == (2 / 3, 0, 0)


def test_a_late_packet_out_of_order_too(rtp_impl: ModuleType) -> None:
    stream = Stream(rtp_impl, buffer=FIXED_60)
    for seq in (*range(10), *range(11, 20)):
        stream.receive(seq)
    stream.receive(10, at_ns=SECOND + 20 * 20 * MS)
    now = stream.now
    assert (now.buffer_late, now.packets_lost) == (1, 0)
    assert now.gap_density == 1 / 20


def test_duplicates_events_and_other_types_are_not_pushed(stream: Stream) -> None:
    stream.receive(0)
    stream.receive(0)
    stream.receive(1, payload_type=101)
    stream.receive(2, payload_type=8)
    stream.receive(3)
    assert (stream.now.buffer_pushed, stream.now.buffer_late) == (2, 0)


def test_an_adaptive_one_grows_at_once_and_shrinks_slowly(stream: Stream) -> None:
    play(stream, [0] * 50)
    delay_ms = stream.now.buffer_delay_ms
    assert delay_ms is not None
    assert 30 < delay_ms < 40  # from 40 down towards 20
    play(stream, [150], first=50)
    assert stream.now.buffer_delay_ms == 150
    assert stream.now.buffer_late == 1
    play(stream, [140], first=51)
    assert stream.now.buffer_late == 1
    play(stream, [0] * 2000, first=52)
    assert stream.now.buffer_delay_ms == pytest.approx(20, abs=0.1)


def test_it_stays_within_its_bounds(stream: Stream) -> None:
    play(stream, [0] * 10 + [900] * 3 + [0] * 10)
    now = stream.now
    assert (now.buffer_delay_ms, now.buffer_late) == (pytest.approx(200, abs=10), 3)


def test_steady_jitter_costs_no_packets_once_it_is_known(stream: Stream) -> None:
    play(stream, [(i * 37 % 61) for i in range(2000)])  # 0 .. 60 ms
    now = stream.now
    assert now.buffer_late <= 2
    assert now.buffer_delay_ms is not None
    assert 60 <= now.buffer_delay_ms < 120
    assert now.buffer_jitter_ms == pytest.approx(15, abs=5)


def test_a_jump_of_the_timestamp_does_not_make_everything_late(stream: Stream) -> None:
    play(stream, [0] * 50)
    play(stream, [0] * 50, first=50, timestamps=-100_000)
    assert (stream.now.buffer_late, stream.now.timestamp_jumps) == (0, 1)


def test_nothing_is_known_before_the_first_packet(stream: Stream) -> None:
    now = stream.now
    assert (now.buffer_pushed, now.buffer_delay_ms, now.buffer_jitter_ms) == (0, None, None)


@pytest.mark.parametrize("buffer", [(10, 20, 30), (40, 20, 30), (-1, -1, 5), (0, 0, 11 * SECOND)])
def test_nonsense_is_refused(rtp_impl: ModuleType, buffer: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="buffer: expected"):
        Stream(rtp_impl, buffer=buffer)
