"""The offset of the gateway's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmw.link.offset import ClockOffset

DELAY = st.integers(0, 10**9)


@given(st.integers(-(10**12), 10**12), DELAY, DELAY, DELAY)
def test_the_error_is_at_most_half_the_round_trip(offset: int, up: int, hold: int, down: int) -> None:
    clock = ClockOffset()
    sent = 10**15
    received = sent + up + offset
    replied = received + hold
    assert clock.add(sent, received, replied, replied - offset + down)
    assert clock.rtt_ns == up + down
    assert abs(clock.offset_ns - offset) <= (up + down) // 2 + 1


def test_the_quickest_of_the_last_eight_counts() -> None:
    clock = ClockOffset()
    assert not clock.is_known
    clock.add(0, 105, 105, 10)  # round trip 10, offset 100
    for _ in range(7):
        clock.add(0, 500, 500, 1000)
    assert (clock.rtt_ns, clock.offset_ns) == (10, 100)
    clock.add(0, 600, 600, 900)
    assert (clock.rtt_ns, clock.offset_ns) == (900, 150)


def test_impossible_round_trips_are_left_out() -> None:
    clock = ClockOffset()
    assert not clock.add(10, 5, 5, 9)
    assert not clock.add(0, 100, 50, 10)
    assert not clock.is_known
