"""The three words for time.

`now` drives state: integer nanoseconds of one monotonic clock, origin unspecified.
`rtp_ts` is the media clock, modulo 2^32. `ntp` is the wall clock, 32.32 fixed point.
"""

from __future__ import annotations

from dataclasses import dataclass

Nanos = int
"""Nanoseconds; an instant of the monotonic clock or a span, as the name says."""

MILLISECOND: Nanos = 1_000_000
SECOND: Nanos = 1_000_000_000

NTP_UNIX_OFFSET_S = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01. Source: RFC 868."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """Tie between the monotonic clock and the wall clock, taken once.

    Args:
        now: an instant of the monotonic clock, nanoseconds.
        unix_ns: the wall clock at that instant, nanoseconds since 1970 UTC.
    """

    now: Nanos
    unix_ns: int

    def unix_at(self, now: Nanos) -> int:
        """Return the wall clock at `now`, nanoseconds since 1970 UTC."""
        return self.unix_ns + (now - self.now)

    def ntp_at(self, now: Nanos) -> int:
        """Return the 64-bit NTP timestamp at `now`. Source: RFC 3550 4."""
        unix_ns = self.unix_at(now)
        seconds, rest_ns = divmod(unix_ns, SECOND)
        return ((seconds + NTP_UNIX_OFFSET_S) & 0xFFFFFFFF) << 32 | (rest_ns << 32) // SECOND
