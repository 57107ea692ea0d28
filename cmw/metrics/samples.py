"""The samples of a run, added up: one histogram for each gauge column, over every (endpoint, second)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from cmw.metrics.histogram import ExponentialHistogram
from cmw.metrics.keys import COLUMNS, Kind

GAUGE_COLUMNS: frozenset[str] = frozenset(name for name, column in COLUMNS.items() if column.metric.kind is Kind.GAUGE)


class SampleAggregate:
    """Histograms of the gauge columns of sample batches. Counters are left to the final reports of the endpoints."""

    __slots__ = ("_histograms", "_rejected", "_seconds")

    def __init__(self) -> None:
        self._histograms: dict[str, ExponentialHistogram] = {}
        self._seconds = 0
        self._rejected = 0

    def add(self, columns: Mapping[str, array[float] | array[int]]) -> None:
        """Add one batch: arrays of one value for each endpoint, by column name (``receive.jitter_ms``); NaN is absent.

        Columns that are no gauge of this version are passed over; one with a value that its metric cannot have (below
        zero, but for levels and rate errors) is left out and counted.
        """
        self._seconds += 1
        for name, values in columns.items():
            if name not in GAUGE_COLUMNS:
                continue
            if not COLUMNS[name].metric.may_be_negative and any(value < 0 for value in values):
                self._rejected += 1
                continue
            self._histograms.setdefault(name, ExponentialHistogram()).record_many(values)

    @classmethod
    def sum_of(cls, parts: Iterable[SampleAggregate]) -> SampleAggregate:
        """Return what several hold together."""
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    def merge(self, other: SampleAggregate) -> None:
        """Add what `other` holds, which stays as it is."""
        for name, histogram in other._histograms.items():
            self._histograms.setdefault(name, ExponentialHistogram()).merge(histogram)
        self._seconds += other._seconds
        self._rejected += other._rejected

    @property
    def batches(self) -> int:
        """Return how many batches were added."""
        return self._seconds

    @property
    def rejected_columns(self) -> int:
        """Return how many columns of batches held a value that no gauge can have."""
        return self._rejected

    def histogram(self, column: str) -> ExponentialHistogram:
        """Return the histogram of a column; an empty one when nothing came. Do not change it."""
        return self._histograms.get(column) or ExponentialHistogram()

    def columns(self) -> list[str]:
        """Return the names of the columns that hold values, sorted."""
        return sorted(name for name, histogram in self._histograms.items() if histogram.count)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document that `from_dict` reads back."""
        return {
            "batches": self._seconds,
            "rejected_columns": self._rejected,
            "columns": {name: histogram.to_dict() for name, histogram in self._histograms.items()},
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> SampleAggregate:
        """Return the aggregate that `to_dict` wrote.

        Raises:
            ValueError: when a histogram is malformed.
        """
        aggregate = cls()
        aggregate._seconds = int(document.get("batches", 0))
        aggregate._rejected = int(document.get("rejected_columns", 0))
        for name, wire in dict(document.get("columns", {})).items():
            aggregate._histograms[str(name)] = ExponentialHistogram.from_dict(wire)
        return aggregate
