"""Interarrival jitter. Source: RFC 3550 6.4.1, A.8."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from cmw.core.clock import Nanos
from cmw.rtp.sequence import rtp_units, signed


class TransitDifferences(NamedTuple):
    """Differences of neighbouring transit times in whole RTP units. Source: RFC 3611 4.6."""

    lowest: int
    highest: int
    mean: int
    deviation: int


class JitterEstimate:
    """The estimator of A.8 in 1/4096 of an RTP unit, and its lowest, mean and highest value.

    A.8 counts in whole RTP units, 125 us at 8 kHz: a jitter of 20 us would come out as 0 or as 60. With 8 more bits
    the formula is the same and the result is what exact arithmetic gives, within 1/256 of a unit.
    """

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._transit_q8: int | None = None  # None, for 0 is a legal transit
        self.jitter_q12 = 0
        self.min_q12 = 0
        self.max_q12 = 0
        self.count = 0
        self._sum_q12 = 0.0
        self._differences = 0
        self._lowest_q8 = self._highest_q8 = 0
        self._sum_q8 = self._squares_q16 = 0.0
        self._begin_interval()

    @property
    def rtp_units(self) -> int:
        """Return the estimate in whole RTP units, as a report block carries it."""
        return self.jitter_q12 >> 12

    @property
    def mean_q12(self) -> float:
        """Return the mean over the packets that moved the estimate."""
        return self._sum_q12 / self.count

    def update(self, timestamp: int, arrival_ns: Nanos) -> int:
        """Take the packet that came next, in order of arrival; return its transit in 1/256 RTP unit, not reduced."""
        arrival_q8 = rtp_units(arrival_ns, self._clock_hz, fraction_bits=8)
        transit_q8 = arrival_q8 - (timestamp << 8)
        before_q8, self._transit_q8 = self._transit_q8, transit_q8
        if before_q8 is None:
            return transit_q8
        d_q8 = abs(signed(transit_q8 - before_q8, 40))  # modulo 2^32 units: a wrap of the timestamp does not show
        self._differences += 1
        self._lowest_q8 = min(self._lowest_q8, d_q8)
        self._highest_q8 = max(self._highest_q8, d_q8)
        self._sum_q8 += d_q8
        self._squares_q16 += float(d_q8) * float(d_q8)
        self.jitter_q12 += d_q8 - ((self.jitter_q12 + 8) >> 4)
        self.min_q12 = self.jitter_q12 if self.count == 0 else min(self.min_q12, self.jitter_q12)
        self.max_q12 = max(self.max_q12, self.jitter_q12)
        self._sum_q12 += self.jitter_q12
        self.count += 1
        return transit_q8

    def forget_transit(self) -> None:
        """Let the next packet be compared with none: its clock may have been set anew."""
        self._transit_q8 = None

    def restart(self) -> None:
        """Begin at 0 for another source; lowest, mean and highest go on."""
        self._transit_q8 = None
        self.jitter_q12 = 0

    def change_clock(self, clock_hz: int) -> None:
        """Begin at 0 in units of another clock; lowest, mean and highest go on."""
        self.restart()
        self.min_q12 = self.min_q12 * clock_hz // self._clock_hz
        self.max_q12 = self.max_q12 * clock_hz // self._clock_hz
        self._sum_q12 = self._sum_q12 * clock_hz / self._clock_hz
        self._begin_interval()
        self._clock_hz = clock_hz

    def close_interval(self) -> TransitDifferences:
        """Return the differences since the last call, zeros when there were none, and begin anew."""
        if not self._differences:
            return TransitDifferences(0, 0, 0, 0)
        mean_q8 = self._sum_q8 / self._differences
        variance_q16 = max(0.0, self._squares_q16 / self._differences - mean_q8 * mean_q8)
        found = (self._lowest_q8, self._highest_q8, int(mean_q8), int(sqrt(variance_q16)))
        self._begin_interval()
        return TransitDifferences(*(min(value >> 8, 0xFFFFFFFF) for value in found))

    def _begin_interval(self) -> None:
        self._differences = 0
        self._lowest_q8 = 1 << 62
        self._highest_q8 = 0
        self._sum_q8 = 0.0
        self._squares_q16 = 0.0
