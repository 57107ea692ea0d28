"""Exponential histograms: stated error, exact merging, a wire form that survives and refuses nonsense."""

from __future__ import annotations

import json
from math import ceil, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.metrics.histogram import RELATIVE_ERROR, ExponentialHistogram

VALUES = st.lists(st.floats(min_value=1e-6, max_value=1e12), min_size=1, max_size=200)


def _of(values: list[float], scale: int = 6) -> ExponentialHistogram:
    histogram = ExponentialHistogram(scale)
    histogram.record_many(values)
    return histogram


def test_the_stated_error_is_below_one_percent() -> None:
    assert RELATIVE_ERROR <= 0.01


@given(VALUES, st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_the_stated_error_of_the_nearest_rank(values: list[float], q: float) -> None:
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]
    assert _of(values).quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@given(VALUES, VALUES)
def test_merging_is_the_same_as_counting_together(left: list[float], right: list[float]) -> None:
    merged = _of(left)
    merged.merge(_of(right))
    together = _of(left + right)
    assert merged.quantiles((0.05, 0.5, 0.99)) == together.quantiles((0.05, 0.5, 0.99))
    assert (merged.count, merged.min, merged.max) == (together.count, together.min, together.max)
    assert merged.mean == pytest.approx(together.mean)


@given(VALUES, VALUES)
def test_merging_a_finer_scale_gives_what_the_coarser_would_have_counted(left: list[float], right: list[float]) -> None:
    for first, second in ((3, 8), (8, 3)):
        merged = _of(left, first)
        merged.merge(_of(right, second))
        assert merged.scale == 3
        assert merged.to_dict()["counts"] == _of(left + right, 3).to_dict()["counts"]


@given(VALUES)
def test_the_wire_form_survives_json(values: list[float]) -> None:
    histogram = _of([0.0, *values])
    back = ExponentialHistogram.from_dict(json.loads(json.dumps(histogram.to_dict())))
    assert back.to_dict() == histogram.to_dict()


def test_an_empty_histogram_knows_nothing() -> None:
    empty = ExponentialHistogram()
    assert (empty.count, empty.mean, empty.min, empty.max, empty.quantile(0.5)) == (0, None, None, None, None)
    assert ExponentialHistogram.from_dict(empty.to_dict()).count == 0


def test_absent_values_are_not_counted_and_zero_is() -> None:
    histogram = _of([nan, inf, -inf, 0.0, 0.0, 4.0])
    assert (histogram.count, histogram.min, histogram.quantile(0.5)) == (3, 0.0, 0.0)


SIGNED = st.lists(
    st.floats(min_value=-1e12, max_value=-1e-6) | st.just(0.0) | st.floats(min_value=1e-6, max_value=1e12),
    min_size=1,
    max_size=200,
)


@given(SIGNED, st.floats(min_value=0, max_value=1))
def test_quantiles_below_zero_have_the_same_error(values: list[float], q: float) -> None:
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]
    assert _of(values).quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@given(SIGNED, SIGNED)
def test_values_below_zero_merge_and_survive_the_wire(left: list[float], right: list[float]) -> None:
    merged = _of(left)
    merged.merge(ExponentialHistogram.from_dict(json.loads(json.dumps(_of(right).to_dict()))))
    together = _of(left + right)
    assert merged.quantiles((0.05, 0.5, 0.99)) == together.quantiles((0.05, 0.5, 0.99))
    assert (merged.count, merged.min, merged.max) == (together.count, together.min, together.max)


def test_the_wire_form_of_values_above_zero_is_as_it_was() -> None:
    assert _of([0.0, 1.0]).to_dict().keys() == {"scale", "zero_count", "offset", "counts", "sum", "min", "max"}


@given(SIGNED, SIGNED, SIGNED)
def test_merging_in_any_order_is_the_same(one: list[float], two: list[float], three: list[float]) -> None:
    first, second = _of(one), _of(three)
    first.merge(_of(two))
    first.merge(_of(three))
    second.merge(_of(two))
    second.merge(_of(one))
    assert first.to_dict()["counts"] == second.to_dict()["counts"]
    assert first.to_dict().get("negative_counts") == second.to_dict().get("negative_counts")


def test_a_bucket_holds_its_upper_bound() -> None:
    assert _of([1.0], 0).to_dict()["offset"] == -1
    assert _of([2.0], 0).to_dict()["offset"] == 0
    assert _of([2.0001], 0).to_dict()["offset"] == 1


def test_huge_values_share_the_last_bucket() -> None:
    histogram = _of([1e300, 5e18])
    assert histogram.max == 1e300
    assert len(histogram.to_dict()["counts"]) < 100


def test_what_a_compiled_writer_leaves_out_is_taken_from_the_buckets() -> None:
    wire = {"scale": 6, "zero_count": 0, "offset": 64, "counts": [10]}
    histogram = ExponentialHistogram.from_dict(wire)
    assert histogram.mean == pytest.approx(2.0, rel=0.02)
    assert histogram.min == pytest.approx(2.0, rel=0.02)


def test_a_writer_may_tell_of_values_below_zero_in_sum_and_min() -> None:
    wire = {"scale": 6, "zero_count": 2, "offset": 0, "counts": [], "sum": -4.0, "min": -3.0, "max": -1.0}
    assert ExponentialHistogram.from_dict(wire).mean == -2.0


GOOD = {"scale": 6, "zero_count": 0, "offset": 0, "counts": [1], "sum": 1.0, "min": 1.0, "max": 1.0}


@pytest.mark.parametrize(
    "wire",
    [
        None, [], {}, {**GOOD, "scale": 99}, {**GOOD, "scale": True}, {**GOOD, "counts": {}}, {**GOOD, "counts": [-1]},
        {**GOOD, "counts": [1.5]}, {**GOOD, "counts": [0] * 20_000}, {**GOOD, "offset": 10**9}, {**GOOD, "sum": "1"},
        {**GOOD, "max": inf}, {**GOOD, "min": nan}, {**GOOD, "zero_count": -1}, {**GOOD, "offset": None},
    ],
)  # fmt: skip
def test_a_malformed_wire_form_is_refused(wire: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        ExponentialHistogram.from_dict(wire)
