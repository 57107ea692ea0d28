"""The E-model against what ITU-T publishes, and as a function that never goes the wrong way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.metrics.emodel import (
    G711_PLAIN,
    G711_PLC,
    effective_impairment,
    mos_from_r,
    one_way_delay_ms,
    r_factor,
    stream_quality,
)

LOSS = st.floats(min_value=0, max_value=1)
MILLISECONDS = st.floats(min_value=0, max_value=2000)


def test_the_default_connection_has_the_published_rating() -> None:
    """ITU-T G.107 7.7: all parameters at their defaults give R = 93.2, and by Annex B a MOS of 4.41."""
    assert r_factor() == pytest.approx(93.2, abs=0.1)
    assert mos_from_r(r_factor()) == pytest.approx(4.41, abs=0.01)


@pytest.mark.parametrize(("r", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_mos_follows_the_published_table(r: float, mos: float) -> None:
    """ITU-T G.107 Annex B, table B.1: lower limits of the categories of user satisfaction."""
    assert mos_from_r(r) == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize(("r", "mos"), [(-5, 1.0), (0, 1.0), (3, 1.0), (100, 4.5), (120, 4.5)])
def test_mos_stays_within_its_ends(r: float, mos: float) -> None:
    assert mos_from_r(r) == mos


@given(st.floats(min_value=-20, max_value=120), st.floats(min_value=0, max_value=10))
def test_a_better_rating_never_sounds_worse(r: float, more: float) -> None:
    assert mos_from_r(r + more) >= mos_from_r(r) - 1e-12


@pytest.mark.parametrize(
    ("impairment", "percent", "expected"), [(G711_PLAIN, 1, 17.92), (G711_PLAIN, 4.3, 47.5), (G711_PLC, 1, 3.64)]
)
def test_loss_impairs_by_the_formula(impairment, percent: float, expected: float) -> None:  # type: ignore[no-untyped-def]
    """ITU-T G.107 7.5 with the values of G.113 Appendix I, worked by hand."""
    assert effective_impairment(impairment, percent / 100) == pytest.approx(expected, abs=0.01)


def test_bursts_are_worse_than_random_loss() -> None:
    assert r_factor(loss_ratio=0.05, burst_ratio=2) < r_factor(loss_ratio=0.05)


def test_delay_up_to_100_ms_hardly_matters_and_then_it_does() -> None:
    assert r_factor() - r_factor(one_way_delay_ms=100) < 3
    assert r_factor() - r_factor(one_way_delay_ms=300) == pytest.approx(20, abs=2)


def test_one_way_delay_adds_half_the_round_trip_a_packet_and_the_playout_buffer() -> None:
    assert one_way_delay_ms(100, 5) == 50 + 20 + 40
    assert one_way_delay_ms(100, 50) == 50 + 20 + 100
    assert one_way_delay_ms(None, 0) == 20 + 40


STREAMS = st.tuples(LOSS, MILLISECONDS, MILLISECONDS)


@given(STREAMS, STREAMS)
def test_worse_streams_never_score_better(stream: tuple[float, float, float], more: tuple[float, float, float]) -> None:
    r, mos = stream_quality(*stream)
    worse_r, worse_mos = stream_quality(*(value + extra for value, extra in zip(stream, more, strict=True)))
    assert worse_r <= r + 1e-6
    assert worse_mos <= mos + 1e-6


@given(st.floats(min_value=-1, max_value=2), st.none() | MILLISECONDS, st.floats(min_value=-1, max_value=1e5))
def test_a_stream_scores_within_the_scales(loss: float, rtt: float | None, jitter: float) -> None:
    r, mos = stream_quality(loss, rtt, jitter)
    assert 0 <= r <= 100
    assert 1 <= mos <= 4.5


def test_a_clean_stream_on_a_local_network_is_excellent() -> None:
    assert stream_quality(0.0, 0.5, 0.1)[1] > 4.3
    assert stream_quality(0.0, None, 0.1)[1] > 4.3
