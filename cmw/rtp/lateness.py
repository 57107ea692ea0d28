"""How late packets leave, as a base-2 exponential histogram of scale 6. Twin of `Histogram` in _rtp.pyx."""

from __future__ import annotations

from math import ceil, log2
from typing import Final, TypedDict

SCALE: Final = 6
"""2^6 buckets for each doubling: bucket i holds (2^(i/64), 2^((i+1)/64)], within 0.55 % of its middle."""
FIRST_INDEX: Final = -640
LAST_INDEX: Final = 2047


class HistogramDict(TypedDict):
    """The wire form of a histogram; the unit is microseconds."""

    scale: int
    zero_count: int
    offset: int
    counts: list[int]
    count: int
    sum: float
    min: float | None
    max: float | None


class LatenessHistogram:
    """Counts of lateness in microseconds; 0 and early are one bucket."""

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._count = 0
        self._zero_count = 0
        self._sum = 0.0
        self._min: float | None = None
        self._max: float | None = None

    def record(self, value: float) -> None:
        """Count one value."""
        self._min = value if self._min is None else min(self._min, value)
        self._max = value if self._max is None else max(self._max, value)
        self._count += 1
        self._sum += value
        if value <= 0.0:
            self._zero_count += 1
            return
        index = max(FIRST_INDEX, min(ceil(log2(value) * 64.0) - 1, LAST_INDEX))
        self._buckets[index] = self._buckets.get(index, 0) + 1

    def to_dict(self) -> HistogramDict:
        """Return the wire form."""
        first = min(self._buckets, default=0)
        last = max(self._buckets, default=-1)
        return {
            "scale": SCALE,
            "zero_count": self._zero_count,
            "offset": first,
            "counts": [self._buckets.get(index, 0) for index in range(first, last + 1)],
            "count": self._count,
            "sum": self._sum,
            "min": self._min,
            "max": self._max,
        }
