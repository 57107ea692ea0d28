"""Timers of the worker's own plans: answer after, hang up at, place a call at. Never early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cmw.core.clock import MILLISECOND, Nanos
from cmw.net.clock import monotonic_ns

ALARM_LATE_NS: Nanos = 2 * MILLISECOND
"""A callback may come this much after its instant, by the way alarms are set."""


class Alarm:
    """Call back at instants of the monotonic clock, on the running loop.

    The loop's timers count whole milliseconds and may fire one early, so each is set one later:
    a callback comes at its instant or up to two milliseconds after it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> Nanos:
        """Return the present instant of the monotonic clock, nanoseconds."""
        return monotonic_ns()

    def at(self, due_ns: Nanos, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Arrange for `callback` at `due_ns`; an instant that has passed means as soon as possible."""
        wait_ns = due_ns - monotonic_ns()
        if wait_ns <= 0:
            return self._loop.call_later(0, callback)
        return self._loop.call_later((wait_ns // MILLISECOND + 2) / 1000, callback)
