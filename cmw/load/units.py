"""Durations and rates as people write them in a plan: ``60s``, ``1m30s``, ``500ms``, ``10/s``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import gcd

from cmw.core.clock import MILLISECOND, SECOND, Nanos

UNITS_NS: dict[str, Nanos] = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": MILLISECOND}
"""The units of a duration, the largest first."""

RATE_UNITS_NS: dict[str, Nanos] = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}

_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/(s|m|h)", re.ASCII)


def parse_duration(text: str) -> Nanos:
    """Return the nanoseconds of ``60s``, ``500ms``, ``1.5h`` or ``1m30s`` (larger units first, each at most once).

    Raises:
        ValueError: anything else, a number without its unit included, and parts of less than a nanosecond.
    """
    total = Fraction(0)
    at = 0
    units: list[Nanos] = []
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise ValueError(f"{text!r} is not a duration")
        units.append(UNITS_NS[part[2]])
        total += Fraction(part[1]) * units[-1]
        at = part.end()
    if not units or any(later >= earlier for earlier, later in pairwise(units)):
        raise ValueError(f"{text!r} is not a duration")
    if total.denominator != 1:
        raise ValueError(f"{text!r} is finer than a nanosecond")
    return total.numerator


def format_duration(span_ns: Nanos) -> str:
    """Return the shortest text that `parse_duration` reads back as `span_ns`, which must be 0 or more."""
    if span_ns == 0:
        return "0s"
    parts: list[str] = []
    for unit, unit_ns in UNITS_NS.items():
        count, span_ns = divmod(span_ns, unit_ns)
        if unit == "ms" and span_ns:
            parts.append(f"{count}.{span_ns:06d}".rstrip("0") + unit)
        elif count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many events in so much time, exactly: `events` in every `per_ns` nanoseconds, both whole, in lowest terms."""

    events: int
    per_ns: Nanos

    def __post_init__(self) -> None:
        common = gcd(self.events, self.per_ns)
        object.__setattr__(self, "events", self.events // common)
        object.__setattr__(self, "per_ns", self.per_ns // common)

    def __str__(self) -> str:
        return format_rate(self)

    @property
    def per_second(self) -> float:
        """Return events per second."""
        return self.events * SECOND / self.per_ns


def parse_rate(text: str) -> Rate:
    """Return the rate of ``10/s``, ``0.5/s``, ``90/m``, ``600/h`` or ``0/s``.

    Raises:
        ValueError: anything else.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate")
    exact = Fraction(match[1]) / RATE_UNITS_NS[match[2]]
    return Rate(exact.numerator, exact.denominator)


def format_rate(rate: Rate) -> str:
    """Return a text that `parse_rate` reads back as `rate`; any rate that `parse_rate` gave can be written."""
    exact = Fraction(rate.events, rate.per_ns)
    for unit, unit_ns in RATE_UNITS_NS.items():
        scaled = exact * unit_ns * 10**9
        if scaled.denominator == 1:
            whole, rest = divmod(scaled.numerator, 10**9)
            return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + f"/{unit}"
    raise ValueError(f"{rate!r} has no finite decimal form")
