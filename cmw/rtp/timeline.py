"""How a stream fared over time, in a bounded number of points."""

from __future__ import annotations

from typing import Final, NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.rtp.snapshot import StreamSnapshot

MAX_POINTS: Final = 600
"""When there are more, every second one goes, and points lie twice as far apart from then on."""


class TimelinePoint(NamedTuple):
    """The figures of a stream at an instant: counts since its beginning, the rest as it was then."""

    at_ns: Nanos
    packets_expected: int
    packets_received: int
    jitter_ms: float | None
    spacing_min_ms: float | None
    """Of the two seconds before, as the next two."""
    spacing_mean_ms: float | None
    spacing_max_ms: float | None


class Timeline:
    """Points a second apart, or more where a stream is long."""

    def __init__(self) -> None:
        self.points: list[TimelinePoint] = []
        self._apart_ns: Nanos = SECOND
        self._due_ns: Nanos | None = None

    def is_due(self, at_ns: Nanos) -> bool:
        """Tell whether a point is to be added after the packet of this time."""
        if self._due_ns is None:
            self._due_ns = at_ns + self._apart_ns
        return at_ns >= self._due_ns

    def add(self, snapshot: StreamSnapshot, at_ns: Nanos) -> None:
        """Take the figures as they are at a time."""
        if len(self.points) >= MAX_POINTS:
            del self.points[::2]
            self._apart_ns *= 2
        self._due_ns = at_ns + self._apart_ns
        self.points.append(
            TimelinePoint(
                at_ns,
                snapshot.packets_expected,
                snapshot.packets_received,
                snapshot.jitter_ms,
                snapshot.packet_spacing_min_ms,
                snapshot.packet_spacing_avg_ms,
                snapshot.packet_spacing_max_ms,
            )
        )
