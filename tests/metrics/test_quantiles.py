"""The description of a population."""

from __future__ import annotations

import pytest

from cmw.metrics.histogram import ExponentialHistogram
from cmw.metrics.quantiles import KEYS, describe


def histogram(*values: float) -> ExponentialHistogram:
    recorded = ExponentialHistogram()
    recorded.record_many(values)
    return recorded


def test_an_empty_population_has_a_count_and_nothing_else() -> None:
    assert describe(histogram()) == dict.fromkeys(KEYS, None) | {"count": 0}


def test_a_population_is_described_from_its_least_to_its_greatest() -> None:
    found = describe(histogram(*range(1, 101)))
    assert list(found) == list(KEYS)
    assert (found["count"], found["mean"], found["min"], found["max"]) == (100, 50.5, 1.0, 100.0)
    for key, exact in (("p5", 5), ("p50", 50), ("p95", 95), ("p99", 99)):
        assert found[key] == pytest.approx(exact, rel=0.01)


def test_a_single_value_is_every_quantile_exactly() -> None:
    found = describe(histogram(20.25))
    assert {found[key] for key in KEYS if key != "count"} == {20.25}
