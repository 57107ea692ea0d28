"""From one sampling rate to another: the signal between the samples, made by a filter that keeps below both halves.

A sample at a moment is the sum of its neighbours, each weighed by a sinc under a Kaiser window. The moments repeat
after `to_hz / gcd` samples, and so do the weights: a table of them is made once for each pair of rates.
Source: Oppenheim and Schafer, Discrete-Time Signal Processing, 4.6 and 7.5.3 (Kaiser's formulas).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache
from math import ceil, gcd, pi, sin, sqrt
from operator import mul
from typing import Final, NamedTuple

PASS_EDGE: Final = 0.85
"""Up to this part of half the lower rate everything stays: 3400 Hz, where telephony ends, at 8000 Hz."""
STOP_EDGE: Final = 1.05
"""From here on nothing is left; what lies between folds back to above 3800 Hz."""
STOP_DB: Final = 60.0
MAX_PHASES: Final = 1000
"""Moments between two samples that are told apart: at rates with nothing in common the nearest one below serves."""


class _Filter(NamedTuple):
    """Weights by phase, the sample that each begins at relative to its moment, and the step from one to the next."""

    phases: tuple[tuple[float, ...], ...]
    reach: int
    """Samples before the moment."""
    up: int
    down: int
    """Samples in for `up` samples out."""


def resample(samples: Sequence[float], from_hz: int, to_hz: int) -> array[float]:
    """Return the same sound at another rate; before its beginning and after its end there is silence.

    Args:
        samples: at `from_hz`.
    """
    made = _make_filter(from_hz, to_hz)
    taps = len(made.phases[0])
    padded = array("d", bytes(8 * made.reach)) + array("d", samples) + array("d", bytes(8 * (taps + 1)))
    out = array("d", bytes(8 * ceil(len(samples) * to_hz / from_hz)))
    for k in range(len(out)):
        whole, part = divmod(k * made.down, made.up)
        weights = made.phases[part * len(made.phases) // made.up]
        out[k] = sum(map(mul, weights, padded[whole : whole + taps]))
    return out


@cache
def _make_filter(from_hz: int, to_hz: int) -> _Filter:
    common = gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    half = min(from_hz, to_hz) / 2
    cutoff = (PASS_EDGE + STOP_EDGE) / 2 * half / from_hz  # cycles a sample
    width = 2 * pi * (STOP_EDGE - PASS_EDGE) * half / from_hz
    reach = ceil((STOP_DB - 8) / (2.285 * width) / 2)
    phases = []
    for phase in range(count := min(up, MAX_PHASES)):
        offsets = [k - reach - phase / count for k in range(2 * reach + 2)]
        weights = [_sinc(2 * cutoff * at) * _kaiser(at / (reach + 1)) for at in offsets]
        total = sum(weights)  # a constant stays as it is, at every phase
        phases.append(tuple(weight / total for weight in weights))
    return _Filter(tuple(phases), reach, up, down)


def _sinc(x: float) -> float:
    return sin(pi * x) / (pi * x) if x else 1.0


_BETA: Final = 0.1102 * (STOP_DB - 8.7)


def _kaiser(x: float) -> float:
    """Return the window at `x`, from -1 to 1."""
    return _bessel(_BETA * sqrt(1 - x * x)) / _bessel(_BETA) if abs(x) < 1 else 0.0


def _bessel(x: float) -> float:
    """Return the modified Bessel function of the first kind, order 0, by its series."""
    total = term = 1.0
    k = 1
    while term > 1e-12 * total:
        term *= (x / (2 * k)) ** 2
        total += term
        k += 1
    return total
