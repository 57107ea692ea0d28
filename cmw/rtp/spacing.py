"""Time between neighbouring arrivals: of the last 2 s, and of the whole stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cmw.core.clock import MILLISECOND, Nanos

BUCKET_NS: Final = 250 * MILLISECOND
BUCKETS: Final = 8
"""The window is made of whole buckets: 1.75 to 2 s before the newest arrival."""


@dataclass(slots=True)
class _Bucket:
    index: int
    spans_ns: list[Nanos] = field(default_factory=list)


class PacketSpacing:
    """Smallest, mean and largest spacing of arrivals."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self.min_ns: Nanos | None = None
        self.max_ns: Nanos = 0

    def record(self, spacing_ns: Nanos, arrival_ns: Nanos) -> None:
        """Count the time between the packet that arrived at `arrival_ns` and the one before, 0 or above."""
        index = arrival_ns // BUCKET_NS
        bucket = self._buckets.get(index % BUCKETS)
        if bucket is None or bucket.index != index:
            bucket = self._buckets[index % BUCKETS] = _Bucket(index)
        bucket.spans_ns.append(spacing_ns)
        self.min_ns = spacing_ns if self.min_ns is None else min(self.min_ns, spacing_ns)
        self.max_ns = max(self.max_ns, spacing_ns)

    def recent_ms(self, newest_ns: Nanos) -> tuple[float, float, float] | tuple[None, None, None]:
        """Return min, mean and max of the 2 s before `newest_ns`, milliseconds; Nones when there are none."""
        newest = newest_ns // BUCKET_NS
        live = (bucket for bucket in self._buckets.values() if 0 <= newest - bucket.index < BUCKETS)
        spans = [span_ns for bucket in live for span_ns in bucket.spans_ns]
        if not spans:
            return None, None, None
        return min(spans) / 1e6, sum(spans) / 1e6 / len(spans), max(spans) / 1e6
