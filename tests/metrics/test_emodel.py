"""The E-model against what ITU-T publishes, and as a function that never goes the wrong way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.metrics.emodel import (
    CODECS,
    G711_PLAIN,
    G711_PLC,
    Circuit,
    Impairment,
    effective_impairment,
    is_rated,
    mos_from_r,
    one_way_delay_ms,
    r_factor,
    stream_quality,
    wideband_r_factor,
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


TABULATED = {  # ITU-T G.113 (02/2001) Appendix I: Ie by percent of random loss, in the tables that Bpl was fitted to
    "G.711 without concealment": (G711_PLAIN, {0: 0, 1: 25, 2: 35, 3: 45, 5: 55}, 7.5),
    "G.711": (G711_PLC, {0: 0, 1: 5, 2: 7, 3: 10, 5: 15, 7: 20, 10: 25, 15: 35, 20: 45}, 3),
    "G.729A with VAD": (CODECS["G729"], {0: 11, 0.5: 13, 1: 15, 1.5: 17, 2: 19, 3: 23, 4: 26, 8: 36, 16: 49}, 1),
    "G.723.1 with VAD": (CODECS["G723"], {0: 15, 0.5: 17, 1: 19, 1.5: 22, 2: 24, 3: 27, 4: 32, 8: 41, 16: 55}, 1.1),
    "GSM-EFR": (CODECS["GSM-EFR"], {0: 5, 1: 16, 2: 21, 3: 26, 5: 33}, 3),
}


@pytest.mark.parametrize("codec", TABULATED)
def test_the_robustness_is_that_of_the_tables_it_was_fitted_to(codec: str) -> None:
    impairment, table, off = TABULATED[codec]
    for percent, ie in table.items():
        assert effective_impairment(impairment, percent / 100) == pytest.approx(ie, abs=off)


def squares_off(impairment: Impairment, table: dict[float, float]) -> float:
    return sum((effective_impairment(impairment, percent / 100) - ie) ** 2 for percent, ie in table.items())


def test_what_is_also_found_for_g711_without_concealment_fits_less() -> None:
    """Some texts have 4.8 for 4.3."""
    _, table, _ = TABULATED["G.711 without concealment"]
    assert squares_off(G711_PLAIN, table) < squares_off(Impairment(ie=0.0, bpl=4.8), table)


def test_bursts_are_worse_than_random_loss() -> None:
    assert r_factor(loss_ratio=0.05, burst_ratio=2) < r_factor(loss_ratio=0.05)


def test_delay_up_to_100_ms_hardly_matters_and_then_it_does() -> None:
    assert r_factor() - r_factor(one_way_delay_ms=100) < 3
    assert r_factor() - r_factor(one_way_delay_ms=300) == pytest.approx(20, abs=2)


def test_one_way_delay_adds_half_the_round_trip_a_packet_and_the_playout_buffer() -> None:
    assert one_way_delay_ms(100, 5) == 50 + 20 + 40
    assert one_way_delay_ms(100, 50) == 50 + 20 + 100
    assert one_way_delay_ms(None, 0) == 20 + 40
    assert one_way_delay_ms(100, 50, buffer_ms=25) == 50 + 20 + 25


STREAMS = st.tuples(LOSS, MILLISECONDS, MILLISECONDS)


@given(STREAMS, STREAMS)
def test_worse_streams_never_score_better(stream: tuple[float, float, float], more: tuple[float, float, float]) -> None:
    r, mos, *_ = stream_quality(*stream)
    worse_r, worse_mos, *_ = stream_quality(*(value + extra for value, extra in zip(stream, more, strict=True)))
    assert worse_r <= r + 1e-6
    assert worse_mos <= mos + 1e-6


def test_listening_leaves_the_delay_out() -> None:
    far = stream_quality(0.01, 600.0, 1.0)
    near = stream_quality(0.01, 0.0, 1.0)
    assert far.r_listening == near.r_listening
    assert far.r_listening == pytest.approx(93.2 - 3.64, abs=0.1)
    assert far.mos < near.mos < far.mos_listening


@pytest.mark.parametrize(
    ("codec", "r", "mos"), [("PCMU", 93.2, 4.41), ("G729", 82.2, 4.11), ("G723", 78.2, 3.95), ("GSM-EFR", 88.2, 4.29)]
)
def test_codecs_without_loss_or_delay_lose_their_ie(codec: str, r: float, mos: float) -> None:
    """ITU-T G.113 Appendix I: R is 93.2 less Ie; MOS by G.107 Annex B."""
    quality = stream_quality(0.0, None, 0.0, codec=codec)
    assert quality.r_listening == pytest.approx(r, abs=0.1)
    assert quality.mos_listening == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize(
    ("codec", "percent", "r"), [("PCMU", 5, 77.42), ("G729", 5, 64.70), ("G723", 5, 59.24), ("GSM-EFR", 2, 73.20)]
)
def test_codecs_lose_by_their_robustness(codec: str, percent: float, r: float) -> None:
    """ITU-T G.113 Appendix I: Ie 0, 11, 15, 5 and Bpl 25.1, 19.0, 16.1, 10.0; G.107 7.5 worked by hand from 93.2."""
    assert stream_quality(percent / 100, None, 0.0, codec=codec).r_listening == pytest.approx(r, abs=0.1)


@pytest.mark.parametrize(("ms", "expected"), [(50, 0.0), (100, 0.0), (200, 3.04), (400, 24.07), (800, 40.83)])
def test_pure_delay_costs_what_the_formula_of_clause_7_4_says(ms: float, expected: float) -> None:
    """Idd alone, without an echo path: ITU-T G.107 7.4, worked by hand for X = 0, 1, 2 and 3."""
    found = r_factor(one_way_delay_ms=0) - r_factor(one_way_delay_ms=ms, echo_delay_ms=0, round_trip_ms=0)
    assert found == pytest.approx(expected, abs=0.01)


def test_less_sensitive_listeners_mind_delay_less() -> None:
    """ITU-T G.107 table 3: low and very low delay sensitivity."""
    usual, low, very_low = (
        r_factor(one_way_delay_ms=400, circuit=Circuit(sensitivity=st_, least_delay_ms=mt))
        for st_, mt in ((1.0, 100.0), (0.55, 120.0), (0.4, 150.0))
    )
    assert usual < low < very_low


def test_echo_hurts_with_delay_only() -> None:
    assert r_factor(circuit=Circuit(telr=30)) == pytest.approx(r_factor(), abs=0.5)
    assert r_factor(circuit=Circuit(telr=30), one_way_delay_ms=100) < r_factor(one_way_delay_ms=100) - 20


def test_sidetone_beyond_its_usual_range_is_part_of_the_echo() -> None:
    for stmr in (5.0, 25.0):
        assert r_factor(circuit=Circuit(stmr=stmr), one_way_delay_ms=50) < r_factor(one_way_delay_ms=50)


class TestWideband:
    def test_the_scale_ends_at_129(self) -> None:
        assert wideband_r_factor(impairment=Impairment(0.0, 4.3)) == pytest.approx(129)

    def test_a_clean_wideband_codec_sounds_better_than_a_clean_narrowband_one_by_its_scale(self) -> None:
        """ITU-T G.113 Appendix IV: Ie,WB of G.722 at 64 kbit/s is 13; G.107.1 Annex A brings 116 to 89.9."""
        quality = stream_quality(0.0, None, 0.0, codec="G722")
        assert quality.r_listening == pytest.approx(116 / 1.29, abs=0.1)
        assert quality.mos_listening == pytest.approx(4.34, abs=0.01)

    def test_loss_and_delay_impair_it_too(self) -> None:
        clean = wideband_r_factor(impairment=Impairment(13.0, 4.3))
        assert clean - wideband_r_factor(impairment=Impairment(13.0, 4.3), loss_ratio=0.01) == pytest.approx(
            15.5, abs=0.1
        )
        delayed = wideband_r_factor(impairment=Impairment(13.0, 4.3), one_way_delay_ms=200)
        assert clean - delayed == pytest.approx(3.04, abs=0.01)


def test_what_is_rated() -> None:
    assert is_rated("PCMU")
    assert is_rated("G722")
    assert not is_rated("opus")


@given(st.floats(min_value=-1, max_value=2), st.none() | MILLISECONDS, st.floats(min_value=-1, max_value=1e5))
def test_a_stream_scores_within_the_scales(loss: float, rtt: float | None, jitter: float) -> None:
    r, mos, *_ = stream_quality(loss, rtt, jitter)
    assert 0 <= r <= 100
    assert 1 <= mos <= 4.5


def test_a_clean_stream_on_a_local_network_is_excellent() -> None:
    assert stream_quality(0.0, 0.5, 0.1)[1] > 4.3
    assert stream_quality(0.0, None, 0.1)[1] > 4.3
