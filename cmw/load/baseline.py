"""Thresholds against an earlier run: ``p(50) >= baseline - 0.1`` becomes a number before anything is sent."""

from __future__ import annotations

import re

from cmw.load.ratios import RATIOS
from cmw.load.summary import Q, Summary
from cmw.load.thresholds import COUNTS, Threshold, parse_threshold

_BASELINE = re.compile(
    r"(?P<head>.*?(?:>=|<=|==|!=|>|<))\s*baseline\s*"
    r"(?:(?P<operator>[-+*])\s*(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*)?",
    re.ASCII,
)

_QUANTILES = {0.0: "min", 5.0: "p5", 50.0: "p50", 95.0: "p95", 99.0: "p99", 100.0: "max"}
_FUNCTIONS = {"avg": "mean", "med": "p50", "min": "min", "max": "max"}


def names_baseline(expression: str) -> bool:
    """Tell whether a threshold compares with an earlier run."""
    return "baseline" in expression


def fill_baseline(metric: str, expression: str, earlier: Summary) -> str:
    """Return the expression with a number in place of the baseline, and what it was made of behind it.

    Raises:
        ValueError: it is none, or the earlier run has no such figure; with what was found and what was expected.
    """
    found = _BASELINE.fullmatch(expression.strip())
    if found is None:
        raise ValueError(
            f"found {expression[:80]!r}, expected baseline alone, baseline - 0.1, baseline + 0.1 or baseline * 0.95 "
            "after the comparison"
        )
    threshold = parse_threshold(metric, f"{found['head']} 0")
    value = _value_of(threshold, earlier)
    if value is None:
        raise ValueError(f"found no figure of {metric} in the baseline, expected a run that measured it")
    limit = _apply(value, found["operator"], float(found["number"] or 0))
    made_of = f"baseline {value:.6g}" + (f" {found['operator']} {found['number']}" if found["operator"] else "")
    return f"{found['head']} {limit:.6f} ({made_of})"


def _apply(value: float, operator: str | None, number: float) -> float:
    match operator:
        case "+":
            return value + number
        case "-":
            return value - number
        case "*":
            return value * number
    return value


def _value_of(threshold: Threshold, earlier: Summary) -> float | None:
    """Return the figure of the earlier run that the threshold's function names; of two sides the worse one.

    Of a group, a run knows the figures that it had thresholds over.
    """
    if threshold.group:
        return _judged(threshold, earlier)
    if threshold.name in RATIOS:
        return earlier.ratios.get(threshold.name)
    if threshold.name in COUNTS:
        return float(_count(threshold.name, earlier))
    if threshold.function == "total" and not threshold.sides:
        return float(getattr(earlier.signalling, threshold.key))
    figures: list[Q | int | None] = [getattr(earlier.media, side).get(threshold.key) for side in threshold.sides]
    values = [_figure(threshold, figure) for figure in figures or [earlier.timing.get(threshold.key)]]
    known = [value for value in values if value is not None]
    return (max if threshold.comparison in ("<", "<=") else min)(known) if known else None


def _judged(threshold: Threshold, earlier: Summary) -> float | None:
    for part in earlier.thresholds:
        if part.metric == threshold.metric and part.value is not None:
            other = parse_threshold(part.metric, part.expression)
            if (other.function, other.percent) == (threshold.function, threshold.percent):
                return part.value
    return None


def _count(metric: str, earlier: Summary) -> int:
    match metric:
        case "calls_failed":
            return earlier.calls.failed
        case "one_way_calls":
            return earlier.media.one_way_calls
    return earlier.media.silent_calls


def _figure(threshold: Threshold, figure: Q | int | None) -> float | None:
    if not isinstance(figure, Q):
        return None if figure is None else float(figure)
    name = _QUANTILES.get(threshold.percent) if threshold.function == "p" else _FUNCTIONS[threshold.function]
    if name is None:
        raise ValueError(f"found p({threshold.percent:g}) of a baseline, expected p(5), p(50), p(95) or p(99)")
    value: float | None = getattr(figure, name)
    return value
