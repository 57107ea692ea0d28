"""Durations of the timers. Source: RFC 3261 table 4, RFC 6026 8."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.sip.timing import Timer, Timing


@pytest.mark.parametrize(
    ("timer", "duration_ns"),
    [
        (Timer.A, 500 * MILLISECOND),
        (Timer.B, 32 * SECOND),
        (Timer.C, 180 * SECOND),
        (Timer.D, 32 * SECOND),
        (Timer.E, 500 * MILLISECOND),
        (Timer.F, 32 * SECOND),
        (Timer.G, 500 * MILLISECOND),
        (Timer.H, 32 * SECOND),
        (Timer.I, 5 * SECOND),
        (Timer.J, 32 * SECOND),
        (Timer.K, 5 * SECOND),
        (Timer.L, 32 * SECOND),
        (Timer.M, 32 * SECOND),
    ],
)
def test_defaults_are_those_of_the_rfc(timer: Timer, duration_ns: int) -> None:
    assert Timing().durations[timer] == duration_ns


def test_all_timers_have_a_duration() -> None:
    assert set(Timing().durations) == set(Timer)


def test_timer_d_is_never_shorter_than_32_s() -> None:
    assert Timing(t1_ns=10 * MILLISECOND).durations[Timer.D] == 32 * SECOND
    assert Timing(t1_ns=1 * SECOND).durations[Timer.D] == 64 * SECOND


def test_timer_a_doubles_without_bound_and_the_others_up_to_t2() -> None:
    timing = Timing()
    assert timing.doubled(Timer.A, 4 * SECOND) == 8 * SECOND
    assert timing.doubled(Timer.E, 1 * SECOND) == 2 * SECOND
    assert timing.doubled(Timer.E, 4 * SECOND) == 4 * SECOND
    assert timing.doubled(Timer.G, 3 * SECOND) == 4 * SECOND
