"""The clocks of the machine."""

from __future__ import annotations

import time

from cmw.core.clock import SECOND
from cmw.net.clock import monotonic_ns, wall_clock


def test_now_never_goes_back() -> None:
    instants = [monotonic_ns() for _ in range(1000)]
    assert instants == sorted(instants)


def test_the_wall_clock_is_tied_to_the_monotonic_one() -> None:
    clock = wall_clock()
    assert abs(clock.unix_at(monotonic_ns()) - time.time_ns()) < SECOND
