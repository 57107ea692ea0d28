"""The offset of the gateway's clock by four timestamps. Source: RFC 5905 8, 10 (the sample of least delay)."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from cmw.core.clock import Nanos

REMEMBERED: Final = 8
"""Round trips that the filter looks at. Source: RFC 5905 10, NSTAGE."""


class RoundTrip(NamedTuple):
    """One measurement; the smaller the delay, the less the offset can be wrong."""

    rtt_ns: Nanos
    offset_ns: Nanos


class ClockOffset:
    """Keeps the offset of the quickest of the last eight round trips."""

    def __init__(self) -> None:
        self._trips: deque[RoundTrip] = deque(maxlen=REMEMBERED)

    def add(self, sent: Nanos, received: Nanos, replied: Nanos, arrived: Nanos) -> bool:
        """Take one round trip in: our clock, theirs, theirs, ours; return False if it is impossible."""
        rtt_ns = (arrived - sent) - (replied - received)
        if rtt_ns < 0 or replied < received:
            return False
        self._trips.append(RoundTrip(rtt_ns, ((received - sent) + (replied - arrived)) // 2))
        return True

    @property
    def is_known(self) -> bool:
        """Whether there is a measurement."""
        return bool(self._trips)

    @property
    def offset_ns(self) -> Nanos:
        """Their clock minus ours, nanoseconds; 0 before the first measurement."""
        return min(self._trips).offset_ns if self._trips else 0

    @property
    def rtt_ns(self) -> Nanos:
        """Delay of the quickest round trip, nanoseconds; 0 before the first measurement."""
        return min(self._trips).rtt_ns if self._trips else 0
