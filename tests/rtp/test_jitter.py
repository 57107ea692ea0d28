"""RFC 3550 A.8 against the formula of 6.4.1 in exact arithmetic, on both twins."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.rtp.jitter import JitterEstimate
from tests.support.rtp_streams import CLOCK_HZ, SECOND, Stream

UNIT_NS = SECOND // CLOCK_HZ
"""One RTP unit: 125 us."""


def exact_jitter(transits: list[Fraction]) -> Fraction:
    """Return J of 6.4.1 in RTP units: J += (|D| - J) / 16, without rounding."""
    jitter = Fraction(0)
    for before, transit in pairwise(transits):
        jitter += (abs(transit - before) - jitter) / 16
    return jitter


def appendix_jitter(transits: list[int]) -> int:
    """Return the scaled estimate of A.8's listing, in whole RTP units times 16."""
    jitter = 0
    for before, transit in pairwise(transits):
        jitter += abs(transit - before) - ((jitter + 8) >> 4)
    return jitter


def jitter_units(stream: Stream) -> float:
    jitter_ms = stream.now.jitter_ms
    assert jitter_ms is not None
    return float(jitter_ms * CLOCK_HZ / 1000)


def play(stream: Stream, delays: list[int], *, first_seq: int = 0, first_timestamp: int = 0) -> None:
    """Receive one packet for each delay, in RTP units."""
    for i, delay in enumerate(delays):
        at_ns = SECOND + i * 20_000_000 + delay * UNIT_NS
        stream.receive(first_seq + i, at_ns=at_ns, timestamp=first_timestamp + 160 * i)


DELAYS = [0, 16, 0, 40, 40, 3, 0, 80, 7, 7, 0, 0, 25]


def test_no_jitter(stream: Stream) -> None:
    play(stream, [0] * 100)
    now = stream.now
    assert (now.jitter_ms, now.jitter_min_ms, now.jitter_mean_ms, now.jitter_max_ms) == (0.0, 0.0, 0.0, 0.0)


def test_one_packet_has_none(stream: Stream) -> None:
    play(stream, [5])
    assert stream.now.jitter_ms is None


def test_by_hand(stream: Stream) -> None:
    units = []
    for i, delay in enumerate([0, 16, 0, 0]):  # |D| = 16, 16, 0
        stream.receive(i, at_ns=SECOND + i * 20_000_000 + delay * UNIT_NS, timestamp=160 * i)
        units.append(jitter_units(stream) if i else 0)
    # 16/16; 1 + (16 - 1)/16; 1.9375 * 15/16
    assert units == pytest.approx([0, 1, 1.9375, 1.81640625], abs=1 / 4096)


@pytest.mark.parametrize("first_timestamp", [0, 12345, (1 << 32) - 160 * 3, (1 << 31) - 160 * 2])
@pytest.mark.parametrize("first_seq", [0, 65530])
def test_the_formula_wherever_the_counters_wrap(stream: Stream, first_seq: int, first_timestamp: int) -> None:
    play(stream, DELAYS, first_seq=first_seq, first_timestamp=first_timestamp)
    assert jitter_units(stream) == pytest.approx(float(exact_jitter([Fraction(d) for d in DELAYS])), abs=1 / 256)
    assert jitter_units(stream) == pytest.approx(appendix_jitter(DELAYS) / 16, abs=0.5)  # what A.8 itself rounds off


def test_a_first_transit_of_exactly_0(stream: Stream) -> None:
    # Arrival 1 s is 8000 units; with timestamp 8000 the transit is 0, which is a value, not "unknown".
    stream.receive(0, at_ns=SECOND, timestamp=8000)
    stream.receive(1, at_ns=SECOND + 20_000_000 + 16 * UNIT_NS, timestamp=8160)
    assert jitter_units(stream) == 1


def test_arrivals_hours_into_the_clock_lose_nothing(stream: Stream) -> None:
    start_ns = 100 * 86_400 * SECOND + 7 * UNIT_NS
    for i, delay in enumerate(DELAYS):
        stream.receive(i, at_ns=start_ns + i * 20_000_000 + delay * UNIT_NS, timestamp=160 * i)
    assert jitter_units(stream) == pytest.approx(float(exact_jitter([Fraction(d) for d in DELAYS])), abs=1 / 256)


def test_lowest_mean_and_highest(stream: Stream) -> None:
    play(stream, [0, 16, 16, 16])  # 1, 15/16, (15/16)^2
    now = stream.now
    to_ms = 1000 / CLOCK_HZ
    assert now.jitter_max_ms == pytest.approx(1 * to_ms)
    assert now.jitter_min_ms == pytest.approx((15 / 16) ** 2 * to_ms, abs=to_ms / 256)
    assert now.jitter_mean_ms == pytest.approx((1 + 15 / 16 + (15 / 16) ** 2) / 3 * to_ms, abs=to_ms / 256)


def test_reordered_packets_move_it_in_order_of_arrival(stream: Stream) -> None:
    stream.receive(0, at_ns=SECOND, timestamp=0)
    stream.receive(2, at_ns=SECOND + 320 * UNIT_NS, timestamp=320)
    stream.receive(1, at_ns=SECOND + 336 * UNIT_NS, timestamp=160)  # transit 176: |D| = 176
    assert jitter_units(stream) == 11


def test_a_marker_after_silence_does_not_move_it(stream: Stream) -> None:
    play(stream, [0] * 10)
    # 5 s of silence, and the sender's clock went on by one packet only.
    stream.receive(10, at_ns=SECOND + 10 * 20_000_000 + 5 * SECOND, timestamp=1600, marker=True)
    stream.receive(11, at_ns=SECOND + 11 * 20_000_000 + 5 * SECOND, timestamp=1760)
    assert stream.now.jitter_max_ms == 0


def test_a_marker_after_a_gap_in_media_time_does_not_move_it(stream: Stream) -> None:
    play(stream, [0] * 10)
    stream.receive(10, at_ns=SECOND + 10 * 20_000_000, timestamp=1_000_000, marker=True)
    assert stream.now.jitter_max_ms == 0


def test_a_marker_on_every_packet_hides_nothing(stream: Stream) -> None:
    for i, delay in enumerate(DELAYS):
        at_ns = SECOND + i * 20_000_000 + delay * UNIT_NS
        stream.receive(i, at_ns=at_ns, timestamp=160 * i, marker=True)
    assert jitter_units(stream) == pytest.approx(float(exact_jitter([Fraction(d) for d in DELAYS])), abs=1 / 256)


def test_without_a_marker_silence_counts(stream: Stream) -> None:
    play(stream, [0] * 10)
    stream.receive(10, at_ns=SECOND + 10 * 20_000_000 + SECOND, timestamp=1600)
    assert jitter_units(stream) == 500  # 8000 / 16


def test_events_do_not_move_it(stream: Stream) -> None:
    play(stream, [0] * 10)
    for i in range(10, 20):  # RFC 4733: one timestamp for the whole event
        stream.receive(i, at_ns=SECOND + i * 20_000_000, timestamp=1600, payload_type=101)
    stream.receive(20, at_ns=SECOND + 20 * 20_000_000, timestamp=3200)
    assert stream.now.jitter_max_ms == 0


def test_a_restart_does_not_move_it(stream: Stream) -> None:
    play(stream, DELAYS)
    before = stream.now.jitter_ms
    at_ns = SECOND + 20 * 20_000_000
    stream.receive(40000, at_ns=at_ns, timestamp=99)
    stream.receive(40001, at_ns=at_ns + 20_000_000, timestamp=99 + 160)
    assert before is not None
    assert stream.now.jitter_ms == pytest.approx(before * 15 / 16, rel=0.01)


def test_another_source_begins_at_0(stream: Stream) -> None:
    play(stream, DELAYS)
    for i in (0, 1, 2):
        stream.receive(i, at_ns=2 * SECOND + i * 20_000_000, timestamp=160 * i, ssrc=7)
    now = stream.now
    assert now.jitter_ms == 0
    assert now.jitter_max_ms is not None
    assert now.jitter_max_ms > 0


def test_less_than_a_unit_shows(stream: Stream) -> None:
    # 20 us to and fro, at 8 kHz: whole units would say 0, or half a unit when the arrivals straddle a boundary.
    for i in range(400):
        stream.receive(i, at_ns=SECOND + i * 20_000_000 + (i % 2) * 20_000)
    assert stream.now.jitter_ms == pytest.approx(0.020, abs=0.001)


@given(st.lists(st.integers(0, 2_000_000_000), min_size=2, max_size=60), st.integers(0, (1 << 32) - 1))
def test_within_a_sixteenth_of_a_unit_of_the_exact_one(delays_ns: list[int], first_timestamp: int) -> None:
    estimate = JitterEstimate(CLOCK_HZ)
    for i, delay_ns in enumerate(delays_ns):
        estimate.update((first_timestamp + 160 * i) % (1 << 32), SECOND + 20_000_000 * i + delay_ns)
    exact = exact_jitter([Fraction(delay_ns * CLOCK_HZ, SECOND) for delay_ns in delays_ns])
    assert abs(Fraction(estimate.jitter_q12, 4096) - exact) < Fraction(1, 16)
