"""The schedule of arrivals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.arrivals import schedule
from cmw.load.units import Rate, parse_rate


def test_ten_a_second_is_one_each_100_ms() -> None:
    assert schedule(Rate(10, SECOND), 4) == [0, 100 * MILLISECOND, 200 * MILLISECOND, 300 * MILLISECOND]


def test_all_at_once_is_now() -> None:
    assert schedule(None, 3) == [0, 0, 0]


def test_a_rate_without_a_whole_period_does_not_drift() -> None:
    assert schedule(parse_rate("7/s"), 7_000_001)[-1] == 1_000_000 * SECOND


@given(st.integers(1, 10**6), st.integers(1, 10**12), st.integers(0, 200))
def test_offsets_never_fall_and_never_run_ahead(events: int, per_ns: int, count: int) -> None:
    rate = Rate(events, per_ns)
    offsets = schedule(rate, count)
    assert offsets == sorted(offsets)
    assert all(0 <= k * per_ns / events - offset < 1.001 for k, offset in enumerate(offsets) if offset < 1 << 50)
