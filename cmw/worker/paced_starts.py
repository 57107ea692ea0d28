"""Registrations and calls begun at their instants, and after a stall of the worker at a bounded rate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from cmw.core.clock import Nanos
from cmw.load.call_pacer import CallPacer
from cmw.worker.alarm import Alarm


class PacedStarts:
    """Run what was planned when its pacer says so; one timer for all, however many there are.

    Call `arm` after the last of several `add`.
    """

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._pacer: CallPacer[Callable[[], None]] = CallPacer()
        self._due: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def late_max_ns(self) -> Nanos:
        """Return how late the latest was begun."""
        return self._pacer.late_max_ns

    @property
    def late_count(self) -> int:
        """Return how many were begun late, by more than timers are by nature."""
        return self._pacer.late_count

    def add(self, at: Nanos, begin: Callable[[], None]) -> None:
        """Plan `begin` for the instant `at`."""
        self._pacer.add(at, begin)

    def arm(self) -> None:
        """Wake up when the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self._alarm.now() if self._due else self._pacer.next_wake()
        if wake_at is not None and not self._is_closed:
            self._timer = self._alarm.at(wake_at, self._begin_due)

    def close(self) -> None:
        """Begin nothing any more."""
        self._is_closed = True
        self._due.clear()
        self.arm()

    def _begin_due(self) -> None:
        self._timer = None
        self._due.extend(self._pacer.pull_due(self._alarm.now()))
        try:
            while self._due:
                self._due.popleft()()
        finally:
            self.arm()  # should one fail, the others begin all the same
