"""The wall clock of the gateway: what the store keeps and what people read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

UnixMillis = int
"""Milliseconds since 1970 UTC."""

UnixClock = Callable[[], UnixMillis]


def unix_ms() -> UnixMillis:
    """Return the wall clock now."""
    return time.time_ns() // 1_000_000


def iso(at_ms: UnixMillis | None) -> str | None:
    """Return an instant as ISO 8601 in UTC with milliseconds, such as ``2026-03-01T12:00:00.000Z``; None stays None."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
