"""Thresholds against an earlier run."""

from __future__ import annotations

import pytest

from cmw.load.baseline import fill_baseline, names_baseline
from cmw.load.thresholds import parse_threshold
from tests.load.runs import busy, reports, summary

EARLIER = summary(endpoints=[*reports()[:3], busy(3)])


@pytest.mark.parametrize(
    ("metric", "expression", "limit"),
    [
        ("call_success", "rate >= baseline", 0.5),
        ("ser", "rate>=baseline*0.9", 0.45),
        ("calls_failed", "count <= baseline + 2", 3.0),
        ("silent_calls", "count == baseline", 0.0),
        ("one_way_calls", "count < baseline + 1", 1.0),
        ("call_setup_time_ms", "p(50) <= baseline + 10", 112.0),
        ("call_setup_time_ms", "med <= baseline", 102.0),
        ("call_setup_time_ms", "avg <= baseline - 2.5", 99.5),
        ("receive.packets_received", "total >= baseline", 1497.0),
        ("scenario_actions_failed", "total <= baseline", 0.0),
    ],
)
def test_the_baseline_becomes_a_number(metric: str, expression: str, limit: float) -> None:
    filled = fill_baseline(metric, expression, EARLIER)
    threshold = parse_threshold(metric, filled)
    assert threshold.limit == pytest.approx(limit, rel=0.02)
    assert threshold.comparison in expression
    assert "(baseline " in threshold.expression


@pytest.mark.parametrize(
    ("metric", "expression", "message"),
    [
        ("mos", "p(50) >= baseline - 0.1", "found no figure of mos in the baseline, expected a run that measured it"),
        ("call_setup_time_ms", "p(90) <= baseline", r"found p\(90\) of a baseline, expected p\(5\), p\(50\)"),
        ("call_success", "rate >= baseline / 2", "expected baseline alone, baseline - 0.1"),
        ("call_success", "baseline <= rate", "expected baseline alone, baseline - 0.1"),
        ("call_success", "p(5) >= baseline", "expected one of rate of call_success"),
        ("mso", "p(5) >= baseline", "is not a metric, did you mean 'mos'"),
    ],
)
def test_what_cannot_be_compared_is_named(metric: str, expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill_baseline(metric, expression, EARLIER)


def test_of_two_sides_the_worse_one_counts() -> None:
    filled = fill_baseline("packets_lost", "total <= baseline", EARLIER)
    assert parse_threshold("packets_lost", filled).limit == 3  # sent 3, received -3


def test_only_what_names_it_is_filled_in() -> None:
    assert names_baseline("p(50) >= baseline - 0.1")
    assert not names_baseline("p(50) >= 4.0")
