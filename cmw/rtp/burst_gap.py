"""Bursts of loss and the gaps between them. Source: RFC 3611 4.7.2; ITU-T G.107 7.5 for the burst ratio."""

from __future__ import annotations

from typing import Final

GMIN: Final = 16
"""So many packets received in a row end a burst. Source: RFC 3611 4.7.2, the recommended value."""


class BurstGap:
    """Bursts and gaps of one stream, told in order which packets were lost, or discarded for coming too late.

    A burst begins and ends with a loss, has two of them at least, and fewer than GMIN packets received in a row. All
    the rest is gap, losses that stand alone included. The beginning and the end of a run count as packets received.
    """

    def __init__(self, seq: int) -> None:
        self.bursts = 0
        self.burst_packets = 0
        self.burst_lost = 0
        self.gaps = 0
        self.gap_packets = 0
        self.gap_lost = 0
        self.unheard_packets = 0
        self.unheard_rows = 0
        """Rows of packets unheard without one heard between them: their mean length gives the burst ratio."""
        self.begin_run(seq)

    def begin_run(self, seq: int) -> None:
        """Begin at extended sequence number `seq`, after `end_run` of the numbers before."""
        self._gap_from = seq
        self._first = 0
        self._last = 0
        self._lost = 0  # losses since _first, none of them GMIN away from the next; 0 when there is none

    def record_unheard(self, ext_seq: int) -> None:
        """Take the next packet that was lost or discarded."""
        self.unheard_packets += 1
        if self._lost and ext_seq - self._last <= GMIN:
            self.unheard_rows += ext_seq - self._last > 1
            self._lost += 1
            self._last = ext_seq
            return
        self._settle()
        self.unheard_rows += 1
        self._first = self._last = ext_seq
        self._lost = 1

    def end_run(self, highest: int) -> None:
        """Close what is open; `highest` was the last packet."""
        self._settle()
        self._close_gap(highest + 1)

    def _settle(self) -> None:
        """Decide what the losses since `_first` were: GMIN packets came after them."""
        if self._lost == 1:
            self.gap_lost += 1
        elif self._lost:
            self._close_gap(self._first)
            self.bursts += 1
            self.burst_packets += self._last + 1 - self._first
            self.burst_lost += self._lost
            self._gap_from = self._last + 1
        self._lost = 0

    def _close_gap(self, end: int) -> None:
        if end > self._gap_from:
            self.gaps += 1
            self.gap_packets += end - self._gap_from
            self._gap_from = end
