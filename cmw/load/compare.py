"""Two runs side by side: what differs, and whether it may be chance.

Endpoints are drawn from each run with replacement, again and again (the bootstrap): the spread of the difference of the
means over such draws is what chance does. Dozens of figures are compared at once, of which some look different by
chance alone; so differences count as Benjamini and Hochberg (1995) say: of those that do, 5 % are expected to be
chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import ceil, erfc, floor, sqrt
from statistics import stdev
from typing import Literal, NamedTuple

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
    """The interval that the difference lies in with 95 % confidence, as if it were the only figure."""
    high: float | None
    p: float | None
    """How likely chance alone makes one as large, adjusted for the number of figures; beyond chance up to 0.05."""
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
    names = [name for name in metric_columns() if name in a or name in b]
    spreads = [_Spread.of(a.get(name, ()), b.get(name, ()), resample) for name in names]
    adjusted = adjust([spread.p for spread in spreads if spread is not None])
    likely = iter(adjusted)
    return [
        _difference(name, a.get(name, ()), b.get(name, ()), spread, None if spread is None else next(likely))
        for name, spread in zip(names, spreads, strict=True)
    ]


def adjust(chances: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number. Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57 (1995)."""
    adjusted = [1.0] * len(chances)
    least = 1.0
    for rank, at in sorted(enumerate(sorted(range(len(chances)), key=chances.__getitem__), 1), reverse=True):
        least = min(least, chances[at] * len(chances) / rank)
        adjusted[at] = least
    return adjusted


class _Spread(NamedTuple):
    """What chance does to a difference: its interval, and how likely it makes one as large by itself."""

    low: float
    high: float
    p: float

    @classmethod
    def of(cls, a: Sequence[float], b: Sequence[float], resample: Resample) -> _Spread | None:
        """Return the spread; None when there are too few values to tell."""
        if min(len(a), len(b)) < MIN_ENDPOINTS:
            return None
        difference = _mean_of(b) - _mean_of(a)
        if min(a) == max(a) and min(b) == max(b):
            return cls(b[0] - a[0], b[0] - a[0], float(a[0] == b[0]))
        draws = sorted(_mean_of(resample(b)) - _mean_of(resample(a)) for _ in range(DRAWS))
        tail = (1 - CONFIDENCE) / 2 * (DRAWS - 1)
        low, high, deviation = draws[floor(tail)], draws[ceil(DRAWS - 1 - tail)], stdev(draws)
        chance = erfc(abs(difference) / deviation / sqrt(2)) if deviation else float(difference == 0)
        return cls(low, high, 1.0 if low <= 0 <= high else chance)


def _difference(
    name: str, a: Sequence[float], b: Sequence[float], spread: _Spread | None, p: float | None
) -> Difference:
    mean_a, mean_b = _mean(a), _mean(b)
    difference = None if mean_a is None or mean_b is None else mean_b - mean_a
    return Difference(
        metric=name,
        unit="" if name == SUCCESS else by_key[name.rpartition(".")[2]].unit,
        a=_short(mean_a),
        b=_short(mean_b),
        a_count=len(a),
        b_count=len(b),
        difference=_short(difference),
        low=None if spread is None else _short(spread.low),
        high=None if spread is None else _short(spread.high),
        p=_short(p),
        change=_change(name, difference, p),
    )


def _change(name: str, difference: float | None, p: float | None) -> Change:
    if difference is None or p is None:
        return Change.UNKNOWN
    if p > 1 - CONFIDENCE:
        return Change.NOISE
    worse = "low" if name == SUCCESS else by_key[name.rpartition(".")[2]].worse
    if not worse:
        return Change.DIFFERENT
    return Change.WORSE if (difference > 0) == (worse == "high") else Change.BETTER


def _mean(values: Sequence[float]) -> float | None:
    return _mean_of(values) if values else None


def _mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
