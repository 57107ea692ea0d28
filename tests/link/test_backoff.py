"""Waits between tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmw.core.clock import SECOND
from cmw.link.backoff import CAP, FLOOR, Backoff
from tests.support.ids import CountingIds


class FixedIds(CountingIds):
    def __init__(self, unit: float) -> None:
        super().__init__()
        self._unit = unit

    def unit(self) -> float:
        return self._unit


@given(st.floats(0, 1, exclude_max=True))
def test_waits_lie_between_half_a_second_and_a_doubling_ceiling(unit: float) -> None:
    backoff = Backoff(FixedIds(unit))
    for ceiling_s in (1, 2, 4, 8, 16, 30, 30):
        assert FLOOR <= backoff.next_delay() <= ceiling_s * SECOND
    backoff.reset()
    assert backoff.next_delay() <= SECOND


def test_jitter_is_full() -> None:
    shortest, longest = Backoff(FixedIds(0.0)), Backoff(FixedIds(0.999999999))
    for _ in range(10):
        assert shortest.next_delay() == FLOOR
        last = longest.next_delay()
    assert CAP - last < SECOND // 1000
