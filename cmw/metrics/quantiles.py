"""The description of a population that every report uses: count, mean, min, p5, p50, p95, p99, max."""

from __future__ import annotations

from cmw.metrics.histogram import ExponentialHistogram

Quantiles = dict[str, float | int | None]
"""``{"count", "mean", "min", "p5", "p50", "p95", "p99", "max"}``; all but count are None when count is 0."""

LEVELS: dict[str, float] = {"p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99}

KEYS: tuple[str, ...] = ("count", "mean", "min", *LEVELS, "max")


def describe(histogram: ExponentialHistogram) -> Quantiles:
    """Return the description of what a histogram counted; figures have six significant digits."""
    found = histogram.quantiles(tuple(LEVELS.values()))
    values: Quantiles = {"count": histogram.count, "mean": _short(histogram.mean), "min": _short(histogram.min)}
    values.update({name: _short(value) for name, value in zip(LEVELS, found, strict=True)})
    values["max"] = _short(histogram.max)
    return values


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
