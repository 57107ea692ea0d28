"""The wall clock of the gateway: what the store keeps and what people read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from cmw.core.clock import MILLISECOND, Nanos

UnixMillis = int
"""Milliseconds since 1970 UTC."""

UnixClock = Callable[[], UnixMillis]


def unix_ms() -> UnixMillis:
    """Return the wall clock now."""
    return time.time_ns() // 1_000_000


class SteadyClock:
    """The wall clock for what has deadlines: a step of the machine's clock moves it only when `follow` says so.

    Args:
        wall: the clock that may be stepped.
        monotonic: one that is not, nanoseconds.
    """

    def __init__(self, wall: UnixClock, monotonic: Callable[[], Nanos]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead_ms = self._now_ms() - wall()

    def __call__(self) -> UnixMillis:
        """Return the wall clock now, as if it had not been stepped since `follow`."""
        return self._now_ms() - self._ahead_ms

    def follow(self) -> UnixMillis:
        """Take on the steps that the wall clock has made; return by how much this moves the clock."""
        before, self._ahead_ms = self._ahead_ms, self._now_ms() - self._wall()
        return before - self._ahead_ms

    def _now_ms(self) -> UnixMillis:
        return self._monotonic() // MILLISECOND


def iso(at_ms: UnixMillis | None) -> str | None:
    """Return an instant as ISO 8601 in UTC with milliseconds, such as ``2026-03-01T12:00:00.000Z``; None stays None."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
