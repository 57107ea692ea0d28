"""A run over time, at a size that does not grow with it: the samples of all endpoints in a bounded number of spans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmw.metrics.histogram import ExponentialHistogram

MAX_SPANS = 240
"""Points of a chart over time; when the run outgrows them, two neighbours become one."""

MAX_BANDS = 120
"""Rows of the heat map; above it, neighbouring endpoints share one."""

SCALE = 7
"""Resolution of the percentiles: within 0.3 %."""

MOS, JITTER, LOSS = "receive.mos", "receive.jitter_ms", "receive.fraction_lost"
FIGURES = (MOS, JITTER, LOSS)


class Span:
    """What was measured in a few neighbouring seconds."""

    __slots__ = ("histograms", "rows", "untrusted_rows", "worst_mos")

    def __init__(self) -> None:
        self.histograms = {key: ExponentialHistogram(SCALE) for key in FIGURES}
        self.rows = 0
        self.untrusted_rows = 0
        self.worst_mos: dict[int, float] = {}
        """By the band of endpoints."""

    def merge(self, other: Span) -> None:
        """Add another span to this one."""
        self.rows += other.rows
        self.untrusted_rows += other.untrusted_rows
        for key, histogram in other.histograms.items():
            self.histograms[key].merge(histogram)
        for band, mos in other.worst_mos.items():
            self.worst_mos[band] = min(mos, self.worst_mos.get(band, mos))


class RunTimeline:
    """Take the samples of a run one by one, in any order, and keep what charts need.

    Args:
        endpoints: how many the run has.
    """

    def __init__(self, endpoints: int) -> None:
        self.seconds_per_span = 1
        self.endpoints_per_band = max(1, -(-endpoints // MAX_BANDS))
        self.bands = -(-endpoints // self.endpoints_per_band)
        self.spans: dict[int, Span] = {}
        self._seconds: set[int] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take what was measured of an endpoint in a second; None is what is not known."""
        second = int(row["second"])
        while second >= MAX_SPANS * self.seconds_per_span:
            self._halve()
        self._seconds.add(second)
        span = self.spans.get(second // self.seconds_per_span)
        if span is None:
            span = self.spans[second // self.seconds_per_span] = Span()
        span.rows += 1
        span.untrusted_rows += bool(row.get("untrusted"))
        for key in FIGURES:
            if (value := row.get(key)) is not None:
                span.histograms[key].record(value)
        if (mos := row.get(MOS)) is not None:
            band = int(row["endpoint"]) // self.endpoints_per_band
            span.worst_mos[band] = min(mos, span.worst_mos.get(band, mos))

    def starts(self) -> list[int]:
        """Return the first second of each span, from that of the run to the last with samples."""
        return [number * self.seconds_per_span for number in range(max(self.spans, default=-1) + 1)]

    def calls(self) -> list[float]:
        """Return how many calls were held at a time, for each span."""
        seconds: dict[int, int] = {}
        for second in self._seconds:
            seconds[second // self.seconds_per_span] = seconds.get(second // self.seconds_per_span, 0) + 1
        return [
            round(self.spans[number].rows / seconds[number], 1) if number in self.spans else 0.0
            for number in range(len(self.starts()))
        ]

    def percentile(self, key: str, q: float) -> list[float | None]:
        """Return a percentile of a figure, for each span; None where it is not known."""
        found = [self.spans[n].histograms[key].quantile(q) if n in self.spans else None for n in self._numbers()]
        return [None if value is None else round(value, 3) for value in found]

    def mean(self, key: str) -> list[float | None]:
        """Return the mean of a figure, for each span; None where it is not known."""
        found = [self.spans[n].histograms[key].mean if n in self.spans else None for n in self._numbers()]
        return [None if value is None else round(value, 3) for value in found]

    def untrusted(self) -> list[tuple[int, int]]:
        """Return the spans in which a worker was the limit, as the seconds from and to, neighbours joined."""
        width, joined = self.seconds_per_span, list[tuple[int, int]]()
        for number in (n for n in self._numbers() if n in self.spans and self.spans[n].untrusted_rows):
            if joined and joined[-1][1] == number * width:
                joined[-1] = (joined[-1][0], (number + 1) * width)
            else:
                joined.append((number * width, (number + 1) * width))
        return joined

    def whole(self, key: str) -> ExponentialHistogram:
        """Return a figure over all endpoints and seconds."""
        total = ExponentialHistogram(SCALE)
        for span in self.spans.values():
            total.merge(span.histograms[key])
        return total

    def worst_mos(self) -> list[list[float | None]]:
        """Return, for each band of endpoints, the worst MOS of each span; None where nothing was heard."""
        return [
            [
                None if number not in self.spans or (mos := self.spans[number].worst_mos.get(band)) is None
                else round(mos, 2)
                for number in self._numbers()
            ]
            for band in range(self.bands)
        ]  # fmt: skip

    def _numbers(self) -> range:
        return range(max(self.spans, default=-1) + 1)

    def _halve(self) -> None:
        """Join each two neighbours."""
        self.seconds_per_span *= 2
        before, self.spans = self.spans, {}
        for number, span in before.items():
            kept = self.spans.get(number // 2)
            if kept is None:
                self.spans[number // 2] = span
            else:
                kept.merge(span)
