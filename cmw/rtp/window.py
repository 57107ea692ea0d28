"""The sequence numbers of one run: the highest, which of the last 128 came, and runs of missing ones."""

from __future__ import annotations

from copy import copy
from typing import Final

from cmw.rtp.burst_gap import BurstGap

WINDOW_BITS: Final = 128
"""More than MAX_MISORDER, so that every packet that can be placed has its bit."""

_MASK: Final = (1 << WINDOW_BITS) - 1


class ArrivalWindow:
    """Extended sequence numbers `base` .. `highest`; bit i of the window is set when `highest - i` came.

    A packet is missing for good when it leaves the window unseen; missing neighbours make one burst. A second row of
    bits says which of those that came were discarded: they came too late to be played.
    """

    def __init__(self, seq: int) -> None:
        self.loss_bursts = 0
        self.longest_loss_burst = 0
        self.burst_gap = BurstGap(seq)
        self._bits = 0
        self._discarded = 0
        self._missing = 0
        self._start(seq)

    def begin_run(self, seq: int) -> None:
        """Forget the numbers, not the bursts, and begin at `seq`, 0 .. 65535."""
        self._flush()
        self.burst_gap.begin_run(seq)
        self._start(seq)

    @property
    def expected(self) -> int:
        """Packets from the first to the highest. Source: RFC 3550 A.3."""
        return self.highest - self.base + 1

    def advance(self, ahead: int) -> None:
        """Take a packet `ahead` (1 or more) of the highest."""
        for _ in range(ahead):
            self._leave(WINDOW_BITS - 1)
            self._bits = self._bits << 1 & _MASK
            self._discarded = self._discarded << 1 & _MASK
            self.highest += 1
        self._bits |= 1

    def mark(self, behind: int) -> bool:
        """Take a packet `behind` (0 .. 127) the highest; tell whether it is the first of its number."""
        new = not self._bits >> behind & 1
        self._bits |= 1 << behind
        return new

    def discard(self, behind: int) -> None:
        """Note that the packet `behind` (0 .. 127) the highest, which came, cannot be played."""
        self._discarded |= 1 << behind

    def ended(self) -> ArrivalWindow:
        """Return a copy as it will be, were the run to end here."""
        end = copy(self)
        end.burst_gap = copy(self.burst_gap)
        end._flush()
        return end

    def longest_gap(self) -> int:
        """Return the longest row of numbers of the window that have not come."""
        longest = row = 0
        for i in range(min(WINDOW_BITS, self.expected)):
            row = 0 if self._bits >> i & 1 else row + 1
            longest = max(longest, row)
        return longest

    def _start(self, seq: int) -> None:
        self.base = seq
        self.highest = seq
        self._bits = 1
        self._discarded = 0
        self._missing = 0

    def _flush(self) -> None:
        for i in reversed(range(WINDOW_BITS)):
            self._leave(i)
        self._missing = 0
        self.burst_gap.end_run(self.highest)

    def _leave(self, behind: int) -> None:
        """Settle the packet `behind` the highest: what has not come by now never will."""
        ext_seq = self.highest - behind
        if ext_seq < self.base:
            return
        came = self._bits >> behind & 1
        if not came or self._discarded >> behind & 1:
            self.burst_gap.record_unheard(ext_seq)
        if came:
            self._missing = 0
            return
        self._missing += 1
        self.loss_bursts += self._missing == 1
        self.longest_loss_burst = max(self.longest_loss_burst, self._missing)
