"""Thresholds: ``p(5) >= 4.0`` over a metric of the run, read and judged."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cmw.load.faults import suggest
from cmw.load.ratios import RATIOS
from cmw.metrics.keys import Direction, Kind, Metric, by_key

COUNTS: dict[str, str] = {
    "calls_failed": "calls that were not answered or did not end well",
    "one_way_calls": "answered calls with media in one direction only",
    "silent_calls": "answered calls without media in either direction",
}
"""Metrics that are one number for the run, judged by `count`."""

SHORT_NAMES: dict[str, str] = {
    "rrd": "registration_time_ms",
    "srd": "session_request_delay_ms",
    "pdd": "post_dial_delay_ms",
    "sdd": "session_disconnect_delay_ms",
    "sdt": "call_duration_ms",
}
"""What RFC 6076, and telephony, call some metrics; ratios have their short names already. Case does not matter."""

FUNCTIONS: dict[Kind, str] = {
    Kind.GAUGE: "p(N), avg, min, max, med",
    Kind.ONE_SHOT: "p(N), avg, min, max, med",
    Kind.COUNTER: "total",
}

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}

_SELECTED = re.compile(r"([^{}]*)(?:\{\s*group\s*:\s*([^{}]*[^{}\s])\s*\})?")
_EXPRESSION = re.compile(
    r"\s*(?:p\(\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*\)|([a-z]+))\s*(>=|<=|==|!=|>|<)\s*"
    r"(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?:\([^()]{1,80}\)\s*)?",  # a remark may follow
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One thing that must hold.

    Args:
        metric: as written: a key, perhaps with ``send.`` or ``receive.`` before and ``{group:NAME}`` behind it.
        function: ``p``, ``avg``, ``min``, ``max``, ``med``, ``total``, ``rate`` or ``count``.
        percent: of ``p``, 0 to 100; 0 otherwise.
    """

    metric: str
    expression: str
    function: str
    percent: float
    comparison: str
    limit: float

    @property
    def key(self) -> str:
        """Return the metric's key without side and group."""
        return self.name.rpartition(".")[2]

    @property
    def name(self) -> str:
        """Return the metric without its group, by its own name."""
        return _selected(self.metric)[0]

    @property
    def group(self) -> str:
        """Return the group whose endpoints are judged; nothing for those of the whole run."""
        return _selected(self.metric)[1]

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the sides to judge: the one written, or all that the metric has."""
        side = self.name.rpartition(".")[0]
        return (side,) if side else by_key[self.key].direction.sides

    def holds(self, value: float) -> bool:
        """Tell whether `value` satisfies the threshold."""
        return COMPARISONS[self.comparison](value, self.limit)


def parse_threshold(metric: str, expression: str) -> Threshold:
    """Return the threshold that a line of the plan describes.

    Raises:
        ValueError: with what was found and what was expected.
    """
    functions = functions_of(metric)
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise ValueError(f"found {expression[:80]!r}, expected a threshold such as {_example(functions)!r}")
    percent, word, comparison, limit = match.groups()
    function = "p" if percent is not None else {"mean": "avg", "p50": "med"}.get(word, word)
    shown = "p(N)" if function == "p" else function
    if shown not in functions.split(", ") or (percent is not None and float(percent) > 100):
        raise ValueError(f"found {expression[:80]!r}, expected one of {functions} of {metric} (N from 0 to 100)")
    return Threshold(metric, expression.strip(), function, float(percent or 0), comparison, float(limit))


def metric_names() -> list[str]:
    """Return every name that may have a threshold; most may have ``send.`` or ``receive.`` before them too."""
    return [*RATIOS, *COUNTS, *(metric.key for metric in by_key.values() if metric.measured)]


def group_of(metric: str) -> str:
    """Return the group that a metric is judged of; nothing for all."""
    return _selected(metric)[1]


def functions_of(written: str) -> str:
    """Return the functions that may judge a metric, as text for messages.

    Raises:
        ValueError: when there is no such metric, or this version does not measure it.
    """
    name, _ = _selected(written)
    if name in RATIOS:
        return "rate"
    if name in COUNTS:
        return "count"
    side, _, key = name.rpartition(".")
    metric = by_key.get(key)
    if metric is None:
        raise ValueError(f"is not a metric{suggest(name, metric_names()) or '; see docs/metrics.md'}")
    if not metric.measured:
        raise ValueError("is not measured by this version; docs/metrics.md says which metrics are")
    _check_side(name, side, metric)
    return FUNCTIONS[metric.kind]


def _selected(metric: str) -> tuple[str, str]:
    """Part a metric from its group, and return it by its own name."""
    found = _SELECTED.fullmatch(metric)
    if found is None:
        raise ValueError("is not a metric, expected its name alone or with a group, such as mos{group:callers}")
    short = found[1].lower()
    return SHORT_NAMES.get(short, short if short in RATIOS else found[1]), found[2] or ""


def _check_side(name: str, side: str, metric: Metric) -> None:
    if side and (metric.direction is Direction.CALL or side not in metric.direction.sides):
        sides = " or ".join(f"{s}.{metric.key}" for s in metric.direction.sides)
        raise ValueError(f"is not a metric, expected {sides or metric.key}")


def _example(functions: str) -> str:
    return {"rate": "rate >= 0.99", "count": "count <= 0", "total": "total <= 10"}.get(functions, "p(95) <= 100")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A threshold with its value; a value that is absent fails it."""

    threshold: Threshold
    value: float | None

    @property
    def passed(self) -> bool:
        """Tell whether the value is known and satisfies the threshold."""
        return self.value is not None and self.threshold.holds(self.value)


Lookup = Callable[[Threshold, str], float | None]
"""Return the value of a threshold's function over one side (``send``, ``receive`` or nothing); None when absent."""


def evaluate(thresholds: Iterable[Threshold], lookup: Lookup) -> list[Judgement]:
    """Judge thresholds, in their order.

    A metric that has two sides is judged on each side that has values; the judgement shows the one that is worse off.
    """
    return [_judge(threshold, lookup) for threshold in thresholds]


def _judge(threshold: Threshold, lookup: Lookup) -> Judgement:
    sides = () if threshold.name in RATIOS or threshold.name in COUNTS else threshold.sides
    values = [value for side in sides or ("",) if (value := lookup(threshold, side)) is not None]
    failing = [value for value in values if not threshold.holds(value)]
    return Judgement(threshold, _worse(threshold, failing or values))


def _worse(threshold: Threshold, values: Sequence[float]) -> float | None:
    """Return the value that is furthest from what is wanted, or nearest to its end; None without values."""
    match threshold.comparison:
        case "<" | "<=":
            return max(values, default=None)
        case "==":
            return max(values, key=lambda value: abs(value - threshold.limit), default=None)
    return min(values, default=None)
