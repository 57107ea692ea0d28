"""Durations and rates: what people write, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.units import Rate, format_duration, format_rate, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "span_ns"),
    [("60s", 60 * SECOND), ("500ms", 500 * MILLISECOND), ("1m30s", 90 * SECOND), ("1.5h", 5400 * SECOND), ("0s", 0),
     ("2h1m1s1ms", 7261 * SECOND + MILLISECOND), ("0.000001ms", 1)],
)  # fmt: skip
def test_durations_are_read_exactly(text: str, span_ns: int) -> None:
    assert parse_duration(text) == span_ns


@pytest.mark.parametrize(
    "text", ["", "60", "s", "60 s", "60S", "-1s", "1s1m", "1s1s", "1e3s", "1..5s", "٣s", "1s ", "0.0000001ms", "1m30"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**18))
def test_a_duration_survives_being_written(span_ns: int) -> None:
    assert parse_duration(format_duration(span_ns)) == span_ns


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/s", Rate(10, SECOND)), ("0.5/s", Rate(1, 2 * SECOND)), ("90/m", Rate(3, 2 * SECOND)),
     ("1/h", Rate(1, 3600 * SECOND))],
)  # fmt: skip
def test_rates_are_read_exactly(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/x", "/s", "-1/s", "10 /s", "1e3/s", "10/S", "10/s "])
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rate(text)


@given(st.integers(min_value=1, max_value=10**9 - 1), st.integers(min_value=0, max_value=6), st.sampled_from("smh"))
def test_a_rate_survives_being_written(number: int, shift: int, unit: str) -> None:
    rate = parse_rate(f"{number // 10**shift}.{number % 10**shift:0{shift}d}/{unit}" if shift else f"{number}/{unit}")
    assert parse_rate(format_rate(rate)) == rate


@given(st.text(max_size=30))
def test_no_text_does_more_than_raise_value_error(text: str) -> None:
    for parse in (parse_duration, parse_rate):
        try:
            parse(text)
        except ValueError:
            continue
