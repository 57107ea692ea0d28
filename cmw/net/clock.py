"""The two clocks of this machine; nothing else in cmw reads them."""

from __future__ import annotations

import time
from collections.abc import Callable

from cmw.core.clock import Nanos, WallClock

monotonic_ns: Callable[[], Nanos] = time.monotonic_ns
"""Return `now`: nanoseconds of CLOCK_MONOTONIC, which kernel timestamps are mapped to as well."""


def wall_clock() -> WallClock:
    """Return the tie between both clocks, read as closely together as can be.

    The reading with the shortest gap between two looks at the monotonic clock wins.
    """
    best_gap_ns, best = None, WallClock(0, 0)
    for _ in range(5):
        before = time.monotonic_ns()
        unix_ns = time.time_ns()
        gap_ns = time.monotonic_ns() - before
        if best_gap_ns is None or gap_ns < best_gap_ns:
            best_gap_ns, best = gap_ns, WallClock(before + gap_ns // 2, unix_ns)
    return best
