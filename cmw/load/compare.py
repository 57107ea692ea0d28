"""Two runs side by side: what differs, and whether it may be chance.

Endpoints are drawn from each run with replacement, again and again (the bootstrap): the spread of the difference of the
means over such draws is what chance does. A difference counts when its interval of 95 % does not contain 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import ceil, floor
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cmw.metrics.keys import COLUMNS, Kind, by_key

COMPARISON_VERSION: Literal[1] = 1

DRAWS = 500
"""Draws of the bootstrap: the ends of the interval are the 13th smallest and the 13th largest difference."""

CONFIDENCE = 0.95

MIN_ENDPOINTS = 5
"""Fewer values than this say nothing about chance."""

Resample = Callable[[Sequence[float]], Sequence[float]]
"""Return as many of the values as there are, drawn with replacement."""


class Change(StrEnum):
    """What a difference means."""

    BETTER = "better"
    WORSE = "worse"
    DIFFERENT = "different"
    """Beyond chance, of a figure that is neither good nor bad."""
    NOISE = "noise"
    """May be chance."""
    UNKNOWN = "unknown"
    """Too few values to tell, or one of the runs has none."""


class Difference(BaseModel):
    """One figure in both runs; means over endpoints, null where there is none."""

    model_config = ConfigDict(frozen=True)

    metric: str
    unit: str
    a: float | None
    b: float | None
    a_count: int
    b_count: int
    difference: float | None
    """`b` minus `a`."""
    low: float | None
    """The interval that the difference lies in with 95 % confidence."""
    high: float | None
    change: Change


class Comparison(BaseModel):
    """The document of `cmw compare --json`."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = COMPARISON_VERSION
    a: str
    b: str
    differences: list[Difference]


Endpoints = Mapping[str, Sequence[float]]
"""The values of a run by metric, one for each endpoint that has it."""

SUCCESS = "call_success"


def metric_columns() -> list[str]:
    """Return the columns of endpoints.csv that are compared."""
    counters = [name for name, column in COLUMNS.items() if column.metric.kind is Kind.COUNTER]
    gauges = [name for name, column in COLUMNS.items() if column.metric.kind is Kind.GAUGE]
    timing = [metric.key for metric in by_key.values() if metric.kind is Kind.ONE_SHOT and metric.measured]
    return [SUCCESS, *timing, *gauges, *counters]


def compare(a: Endpoints, b: Endpoints, resample: Resample) -> list[Difference]:
    """Return the difference of each figure that either run has, in the order of the table of metrics."""
    return [
        _compare(name, a.get(name, ()), b.get(name, ()), resample)
        for name in metric_columns()
        if name in a or name in b
    ]


def _compare(name: str, a: Sequence[float], b: Sequence[float], resample: Resample) -> Difference:
    mean_a, mean_b = _mean(a), _mean(b)
    difference = None if mean_a is None or mean_b is None else mean_b - mean_a
    low, high = _interval(a, b, resample)
    return Difference(
        metric=name,
        unit="" if name == SUCCESS else by_key[name.rpartition(".")[2]].unit,
        a=_short(mean_a),
        b=_short(mean_b),
        a_count=len(a),
        b_count=len(b),
        difference=_short(difference),
        low=_short(low),
        high=_short(high),
        change=_change(name, low, high),
    )


def _interval(a: Sequence[float], b: Sequence[float], resample: Resample) -> tuple[float | None, float | None]:
    if min(len(a), len(b)) < MIN_ENDPOINTS:
        return None, None
    if min(a) == max(a) and min(b) == max(b):
        return b[0] - a[0], b[0] - a[0]
    differences = sorted(_mean_of(resample(b)) - _mean_of(resample(a)) for _ in range(DRAWS))
    tail = (1 - CONFIDENCE) / 2 * (DRAWS - 1)
    return differences[floor(tail)], differences[ceil(DRAWS - 1 - tail)]


def _change(name: str, low: float | None, high: float | None) -> Change:
    if low is None or high is None:
        return Change.UNKNOWN
    if low <= 0 <= high:
        return Change.NOISE
    worse = "low" if name == SUCCESS else by_key[name.rpartition(".")[2]].worse
    if not worse:
        return Change.DIFFERENT
    return Change.WORSE if (low > 0) == (worse == "high") else Change.BETTER


def _mean(values: Sequence[float]) -> float | None:
    return _mean_of(values) if values else None


def _mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
