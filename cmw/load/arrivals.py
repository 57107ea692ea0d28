"""When each call of a group starts, counted from the start of the run. One schedule for any number of workers.

A shape says how many calls per time there are at each instant; call k is due when its integral has reached k. With
Poisson arrivals it is due when the integral has reached the sum of k + 1 random gaps with a mean of 1 instead, which
makes a Poisson process of that intensity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from math import isqrt, lcm
from typing import NamedTuple

from cmw.core.clock import Nanos
from cmw.load.draws import Draws
from cmw.load.units import Rate

GRAIN = 1 << 32
"""Random gaps are whole multiples of a call's GRAIN-th part: what follows from them is exact."""


class Stage(NamedTuple):
    """A span in which the rate goes evenly from one value to another; a span of None never ends, at the first."""

    span_ns: Nanos | None
    first: Rate
    last: Rate

    @property
    def calls(self) -> Fraction:
        """Return how many calls there are in the span, which must have an end."""
        assert self.span_ns is not None
        return (_exact(self.first) + _exact(self.last)) * self.span_ns / 2

    def is_over(self, calls: Fraction) -> bool:
        """Tell whether the stage ends before so many calls; one that has none is over at once."""
        return self.span_ns is not None and (calls > self.calls or not self.calls)

    def reach(self, calls: Fraction) -> Nanos:
        """Return when so many calls are reached, from the start of the stage, rounded down; its end when they are not.

        The root of `rise / 2 t^2 + first t = calls`, in whole numbers throughout.
        """
        if self.span_ns is not None and self.is_over(calls):
            return self.span_ns
        first, last = _exact(self.first), _exact(self.last)
        if self.span_ns is None or first == last:
            return int(calls / first) if calls else 0
        half_rise = (last - first) / (2 * self.span_ns)
        scale = lcm(half_rise.denominator, first.denominator, calls.denominator)
        a, b, c = int(half_rise * scale), int(first * scale), int(calls * scale)
        inner = b * b + 4 * a * c
        if a > 0:
            return (isqrt(inner) - b) // (2 * a)
        return (b - _root_up(inner)) // (-2 * a)


def schedule(stages: Sequence[Stage], count: int, draws: Draws | None = None) -> list[Nanos]:
    """Return the offset of each of `count` calls from the start of the run, nanoseconds.

    Each is computed on its own and rounded down to the nanosecond, so that no error adds up.

    Args:
        stages: one after the other; none for all at once. The last should not end before `count` calls are placed:
            what is left then is placed at its end.
        draws: of a Poisson process; None for even spacing.
    """
    if not stages:
        return [0] * count
    marks = map(Fraction, range(count)) if draws is None else _poisson_marks(draws, count)
    return list(_reach(stages, marks))


def constant(rate: Rate) -> list[Stage]:
    """Return the shape of a rate that stays."""
    return [Stage(None, rate, rate)]


def calls_within(stages: Iterable[Stage]) -> Fraction | None:
    """Return how many calls the stages place; None when they never end."""
    total = Fraction(0)
    for stage in stages:
        if stage.span_ns is None:
            return None
        total += stage.calls
    return total


def _reach(stages: Sequence[Stage], marks: Iterable[Fraction]) -> Iterator[Nanos]:
    """Yield when each of the marks, which never fall, is reached."""
    began_at, placed, at = 0, Fraction(0), 0
    stage = stages[at]
    for mark in marks:
        while at + 1 < len(stages) and stage.span_ns is not None and stage.is_over(mark - placed):
            began_at, placed, at = began_at + stage.span_ns, placed + stage.calls, at + 1
            stage = stages[at]
        yield began_at + stage.reach(mark - placed)


def _poisson_marks(draws: Draws, count: int) -> Iterator[Fraction]:
    gaps = (round(draws.exponential(k) * GRAIN) for k in range(count))
    return (Fraction(units, GRAIN) for units in accumulate(gaps))


def _root_up(square: int) -> int:
    """Return the square root, rounded up."""
    return isqrt(square - 1) + 1 if square else 0


def _exact(rate: Rate) -> Fraction:
    return Fraction(rate.events, rate.per_ns)
