"""The schedule of arrivals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load import draws
from cmw.load.arrivals import Stage, calls_within, constant, schedule
from cmw.load.draws import Draws
from cmw.load.units import Rate, parse_rate

RATES = st.builds(Rate, st.integers(0, 10**4), st.sampled_from([SECOND, 60 * SECOND, 7 * SECOND]))
SPANS = st.integers(1, 3600) | st.integers(1, 3600 * SECOND)


def placed_at(stages: list[Stage], at: int) -> Fraction:
    """Return the integral of the rate from the start to `at`, by the areas of trapezoids."""
    total = Fraction(0)
    for stage in stages:
        span = at if stage.span_ns is None else min(at, stage.span_ns)
        first, last = (Fraction(rate.events, rate.per_ns) for rate in (stage.first, stage.last))
        total += span * (first + (last - first) * (Fraction(span, 2 * stage.span_ns) if stage.span_ns else 0))
        at -= span
    return total


def test_ten_a_second_is_one_each_100_ms() -> None:
    assert schedule(constant(Rate(10, SECOND)), 4) == [0, 100 * MILLISECOND, 200 * MILLISECOND, 300 * MILLISECOND]


def test_all_at_once_is_now() -> None:
    assert schedule([], 3) == [0, 0, 0]


def test_a_rate_without_a_whole_period_does_not_drift() -> None:
    offsets = schedule(constant(parse_rate("7/s")), 70_001)
    assert (offsets[1], offsets[-1]) == (SECOND // 7, 10_000 * SECOND)


def test_a_ramp_from_nothing_places_calls_by_the_square_root() -> None:
    ramp = [Stage(10 * SECOND, Rate(0, SECOND), Rate(20, SECOND)), *constant(Rate(20, SECOND))]
    offsets = schedule(ramp, 141)
    assert (offsets[0], offsets[1], offsets[25]) == (0, SECOND, 5 * SECOND)
    assert (offsets[100], offsets[140]) == (10 * SECOND, 12 * SECOND)


def test_a_ramp_may_fall() -> None:
    fall = [Stage(10 * SECOND, Rate(20, SECOND), Rate(0, SECOND))]
    assert calls_within(fall) == 100
    assert [schedule(fall, 101)[k] for k in (0, 75, 100)] == [0, 5 * SECOND, 10 * SECOND]


def test_nothing_starts_where_the_rate_is_nothing() -> None:
    pause = Stage(5 * SECOND, Rate(0, SECOND), Rate(0, SECOND))
    stages = [pause, Stage(2 * SECOND, Rate(1, SECOND), Rate(1, SECOND)), pause, *constant(Rate(1, SECOND))]
    assert [offset // SECOND for offset in schedule(stages, 5)] == [5, 6, 7, 13, 14]


@given(st.lists(st.builds(Stage, SPANS, RATES, RATES), max_size=4), RATES, st.integers(0, 60))
def test_call_k_is_due_at_the_last_nanosecond_before_the_integral_passes_k(
    stages: list[Stage], rest: Rate, count: int
) -> None:
    stages = [*stages, *constant(rest if rest.events else Rate(1, SECOND))]
    offsets = schedule(stages, count)
    assert offsets == sorted(offsets)
    for k, offset in enumerate(offsets):
        assert placed_at(stages, offset) <= k
        assert placed_at(stages, offset + 1) > k or placed_at(stages, offset) == k


def test_gaps_of_a_poisson_process_have_its_mean_and_its_spread() -> None:
    offsets = schedule(constant(Rate(10, SECOND)), 20_000, Draws(1, "arrivals"))
    gaps = [(after - before) / SECOND for before, after in zip([0, *offsets], offsets, strict=False)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.1, rel=0.03)
    assert spread == pytest.approx(0.1, rel=0.05)
    assert sum(gap > 0.1 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.015)  # 1/e


def test_a_seed_decides_and_a_longer_run_begins_the_same() -> None:
    shape = constant(Rate(10, SECOND))
    longer = schedule(shape, 100, Draws(7, "arrivals", "a"))
    assert schedule(shape, 50, Draws(7, "arrivals", "a")) == longer[:50]
    assert schedule(shape, 100, Draws(8, "arrivals", "a")) != longer
    assert schedule(shape, 100, Draws(7, "arrivals", "b")) != longer


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_no_draw_is_an_end_of_the_unit(byte: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Digest:
        def digest(self) -> bytes:
            return 8 * byte

    monkeypatch.setattr(draws, "blake2b", lambda *_, **__: Digest())
    assert 0 < Draws(1, "x").uniform(0) < 1
    assert Draws(1, "x").exponential(0) > 0


def test_draws_are_even_over_the_open_unit() -> None:
    draws = [Draws(3, "x").uniform(k) for k in range(10_000)]
    assert min(draws) > 0
    assert max(draws) < 1
    tenths = [sum(k / 10 <= draw < (k + 1) / 10 for draw in draws) for k in range(10)]
    assert all(880 < count < 1120 for count in tenths)  # 4 standard deviations
