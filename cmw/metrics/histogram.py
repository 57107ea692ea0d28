"""Exponential histograms: mergeable, so that any number of workers adds up to the same figures.

Bucket i of scale s holds values in (base^i, base^(i+1)] with base = 2^(2^-s). Source: OpenTelemetry metrics data
model, ExponentialHistogram. Values below zero have buckets of their own, by their size; those too small to matter count
as zero.

Wire form, JSON: ``{"scale", "zero_count", "offset", "counts", "sum", "min", "max"}``; counts[k] belongs to bucket
offset + k. The last three may be missing; they are then taken from the buckets. Values below zero add
``"negative_offset"`` and ``"negative_counts"``, likewise. A compiled writer may count values below zero (a packet sent
early) as zero; they then show in sum and min alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import ceil, exp2, inf, isfinite, log2
from typing import Any

SCALE = 6
"""base = 2^(1/64) = 1.0109."""

RELATIVE_ERROR = (exp2(2.0**-SCALE) - 1) / (exp2(2.0**-SCALE) + 1)
"""Half a bucket over its middle: a quantile is within 0.55 % of the exact one, at SCALE."""

ZERO_BELOW = exp2(-30)
"""Smaller values count as zero: a billionth of any unit here is nothing."""

MAX_VALUE = exp2(62)
"""Larger values are counted in the bucket of this one."""

MIN_SCALE, MAX_SCALE = -4, 20
MAX_BUCKETS = 1 << 14
"""More counts than this in a wire form are refused."""


class ExponentialHistogram:
    """A histogram of finite values."""

    __slots__ = ("_buckets", "_max", "_min", "_negative", "_scale", "_sum", "_zero_count")

    def __init__(self, scale: int = SCALE) -> None:
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise ValueError(f"expected a scale from {MIN_SCALE} to {MAX_SCALE}, found {scale}")
        self._scale = scale
        self._buckets: Counter[int] = Counter()
        self._negative: Counter[int] = Counter()
        self._zero_count = 0
        self._sum = 0.0
        self._min = inf
        self._max = -inf

    def record(self, value: float) -> None:
        """Count one value; NaN and infinities are absent values and not counted."""
        self.record_many((value,))

    def record_many(self, values: Iterable[float]) -> None:
        """Count each of many values, as `record` does."""
        finite = [value for value in values if isfinite(value)]
        if not finite:
            return
        least, most = min(finite), max(finite)
        large = [value for value in finite if value >= ZERO_BELOW]
        below = [-value for value in finite if value <= -ZERO_BELOW] if least < 0 else []
        self._zero_count += len(finite) - len(large) - len(below)
        self._count_in(self._buckets, large)
        self._count_in(self._negative, below)
        self._sum += sum(finite)
        self._min = min(self._min, least)
        self._max = max(self._max, most)

    def _count_in(self, buckets: Counter[int], sizes: list[float]) -> None:
        if not sizes:
            return
        per_octave = exp2(self._scale)
        buckets.update([ceil(log2(size) * per_octave) - 1 for size in sizes])
        if max(sizes) > MAX_VALUE:
            self._clamp(buckets, ceil(62 * per_octave) - 1)

    def merge(self, other: ExponentialHistogram) -> None:
        """Add the values of `other`, which stays as it is; the coarser of the two scales remains."""
        self._coarsen(other._scale)
        shift = other._scale - self._scale
        for mine, theirs in ((self._buckets, other._buckets), (self._negative, other._negative)):
            for index, count in theirs.items():
                mine[index >> shift] += count
        self._zero_count += other._zero_count
        self._sum += other._sum
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)

    @property
    def scale(self) -> int:
        """Return the scale."""
        return self._scale

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return self._zero_count + self._buckets.total() + self._negative.total()

    @property
    def sum(self) -> float:
        """Return the sum of the values."""
        return self._sum

    @property
    def mean(self) -> float | None:
        """Return the mean; None without values."""
        return self._sum / self.count if self.count else None

    @property
    def min(self) -> float | None:
        """Return the exact least value; None without values."""
        return self._min if self.count else None

    @property
    def max(self) -> float | None:
        """Return the exact greatest value; None without values."""
        return self._max if self.count else None

    def quantile(self, q: float) -> float | None:
        """Return the value of rank ceil(q * count), within RELATIVE_ERROR; None without values.

        The least and the greatest value are exact.

        Args:
            q: from 0 to 1.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, qs: tuple[float, ...]) -> list[float | None]:
        """Return `quantile` of each of `qs`, which must ascend, in one pass."""
        count = self.count
        if not count:
            return [None] * len(qs)
        ordered = self.ascending()
        found: list[float | None] = []
        value, seen = 0.0, 0
        for q in qs:
            rank = min(max(ceil(q * count), 1), count)
            while seen < rank:
                value, here = next(ordered)
                seen += here
            found.append(self._exact_at_ends(rank, count, value))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        offset, counts = _row(self._buckets)
        wire = {
            "scale": self._scale,
            "zero_count": self._zero_count,
            "offset": offset,
            "counts": counts,
            "sum": self._sum,
            "min": self.min,
            "max": self.max,
        }
        if self._negative:
            wire["negative_offset"], wire["negative_counts"] = _row(self._negative)
        return wire

    @classmethod
    def from_dict(cls, wire: object) -> ExponentialHistogram:
        """Return the histogram of a wire form.

        Raises:
            ValueError: when it is none.
        """
        if not isinstance(wire, dict):
            raise ValueError(f"expected a histogram as a mapping, found {type(wire).__name__}")
        histogram = cls(_whole(wire, "scale", MIN_SCALE, MAX_SCALE))
        histogram._zero_count = _whole(wire, "zero_count", 0, 1 << 62)
        histogram._read_row(histogram._buckets, wire, "")
        if "negative_counts" in wire:
            histogram._read_row(histogram._negative, wire, "negative_")
        histogram._take_extremes(wire)
        return histogram

    def _take_extremes(self, wire: dict[str, Any]) -> None:
        """Set sum, min and max from the wire form, or from the buckets where it has none."""
        if not self.count:
            return
        values = list(self.ascending())
        self._min = _number(wire, "min", values[0][0])
        self._max = max(_number(wire, "max", values[-1][0]), self._min)
        self._sum = _number(wire, "sum", sum(value * count for value, count in values))

    def _read_row(self, buckets: Counter[int], wire: dict[str, Any], prefix: str) -> None:
        limit = 64 << max(self._scale, 0)
        offset = _whole(wire, f"{prefix}offset", -limit, limit)
        counts = wire.get(f"{prefix}counts")
        if not isinstance(counts, list) or len(counts) > MAX_BUCKETS or offset + len(counts) > limit:
            raise ValueError(f"expected at most {MAX_BUCKETS} counts in a histogram that starts at {offset}")
        for k, count in enumerate(counts):
            if type(count) is not int or not 0 <= count < 1 << 62:
                raise ValueError(f"expected counts of 0 or more in a histogram, found {count!r}")
            if count:
                buckets[offset + k] = count

    def ascending(self) -> Iterator[tuple[float, int]]:
        """Yield a value that stands for each bucket, and its count, from the least to the greatest."""
        for index in sorted(self._negative, reverse=True):
            yield -self._middle(index), self._negative[index]
        if self._zero_count:
            yield 0.0, self._zero_count
        for index in sorted(self._buckets):
            yield self._middle(index), self._buckets[index]

    def _exact_at_ends(self, rank: int, count: int, value: float) -> float:
        if rank == count:
            return self._max
        if rank == 1:
            return self._min
        return min(max(value, self._min), self._max)

    def _middle(self, index: int) -> float:
        """Return the value whose relative error is the same at both ends of a bucket."""
        low, high = self._bounds(index)
        return 2 * low * high / (low + high)

    def _bounds(self, index: int) -> tuple[float, float]:
        per_octave = exp2(self._scale)
        return exp2(index / per_octave), exp2((index + 1) / per_octave)

    def _coarsen(self, scale: int) -> None:
        """Halve the resolution until it is `scale`; nothing happens if it is coarse enough."""
        shift = self._scale - scale
        if shift <= 0:
            return
        self._buckets, self._negative = _shifted(self._buckets, shift), _shifted(self._negative, shift)
        self._scale = scale

    @staticmethod
    def _clamp(buckets: Counter[int], top: int) -> None:
        for index in [index for index in buckets if index > top]:
            buckets[top] += buckets.pop(index)


def _shifted(buckets: Counter[int], shift: int) -> Counter[int]:
    coarse: Counter[int] = Counter()
    for index, count in buckets.items():
        coarse[index >> shift] += count
    return coarse


def _row(buckets: Counter[int]) -> tuple[int, list[int]]:
    """Return the first index and the counts from there on."""
    low = min(buckets, default=0)
    return low, [buckets[index] for index in range(low, max(buckets, default=-1) + 1)]


def _whole(wire: dict[str, Any], key: str, least: int, most: int) -> int:
    value = wire.get(key)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"expected {key} of a histogram from {least} to {most}, found {value!r}")
    return value


def _number(wire: dict[str, Any], key: str, default: float) -> float:
    value = wire.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"expected {key} of a histogram to be a finite number, found {value!r}")
    return float(value)
