"""How much later than the fastest a packet came: transit times above their recent minimum."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.rtp.sequence import signed

BASE_NS: Final = 10 * SECOND
"""The minimum is that of the current and the previous span of this length: no clock drifts far in it."""
TRANSIT_BITS: Final = 40
"""A transit in 1/256 RTP unit is known modulo 2^32 units."""


class RelativeTransit:
    """Delay of each packet against the fastest of the last 10 to 20 s, in 1/256 of an RTP unit."""

    def __init__(self) -> None:
        self._span = 0
        self._lowest_q8: int | None = None
        self._before_q8: int | None = None

    def update(self, transit_q8: int, arrival_ns: Nanos) -> int:
        """Return how much later than the fastest a packet came, 0 or above.

        Args:
            transit_q8: arrival less timestamp.
        """
        span = arrival_ns // BASE_NS
        if span != self._span:
            self._before_q8 = self._lowest_q8 if span == self._span + 1 else None
            self._lowest_q8 = None
            self._span = span
        if self._lowest_q8 is None or signed(transit_q8 - self._lowest_q8, TRANSIT_BITS) < 0:
            self._lowest_q8 = transit_q8
        delay_q8 = signed(transit_q8 - self._lowest_q8, TRANSIT_BITS)
        if self._before_q8 is not None:
            delay_q8 = max(delay_q8, signed(transit_q8 - self._before_q8, TRANSIT_BITS))
        return delay_q8

    def forget(self) -> None:
        """Begin anew: the sender may have set its clock."""
        self._lowest_q8 = self._before_q8 = None
