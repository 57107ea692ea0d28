"""The sequence numbers of one run: the highest, which of the last 128 came, and runs of missing ones."""

from __future__ import annotations

from typing import Final

WINDOW_BITS: Final = 128
"""More than MAX_MISORDER, so that every packet that can be placed has its bit."""

_MASK: Final = (1 << WINDOW_BITS) - 1


class ArrivalWindow:
    """Extended sequence numbers `base` .. `highest`; bit i of the window is set when `highest - i` came.

    A packet is missing for good when it leaves the window unseen; missing neighbours make one burst.
    """

    def __init__(self, seq: int) -> None:
        self._bursts = 0
        self._longest = 0
        self.begin_run(seq, count=False)

    def begin_run(self, seq: int, *, count: bool = True) -> None:
        """Forget the numbers, not the bursts, and begin at `seq`, 0 .. 65535."""
        if count:
            self._bursts, self._longest = self.loss_bursts()
        self.base = seq
        self.highest = seq
        self._bits = 1
        self._missing = 0

    @property
    def expected(self) -> int:
        """Packets from the first to the highest. Source: RFC 3550 A.3."""
        return self.highest - self.base + 1

    def advance(self, ahead: int) -> None:
        """Take a packet `ahead` (1 or more) of the highest."""
        for _ in range(ahead):
            self._leave(self._bits >> WINDOW_BITS - 1, self.highest - (WINDOW_BITS - 1))
            self._bits = self._bits << 1 & _MASK
            self.highest += 1
        self._bits |= 1

    def mark(self, behind: int) -> bool:
        """Take a packet `behind` (0 .. 127) the highest; tell whether it is the first of its number."""
        new = not self._bits >> behind & 1
        self._bits |= 1 << behind
        return new

    def loss_bursts(self) -> tuple[int, int]:
        """Return how many bursts there are and the longest, were the run to end here."""
        if self._bits == _MASK and not self._missing:
            return self._bursts, self._longest
        end = ArrivalWindow.__new__(ArrivalWindow)
        end.base, end._missing, end._bursts, end._longest = self.base, self._missing, self._bursts, self._longest
        for i in reversed(range(WINDOW_BITS)):
            end._leave(self._bits >> i & 1, self.highest - i)
        return end._bursts, end._longest

    def _leave(self, came: int, ext_seq: int) -> None:
        if ext_seq < self.base:
            return
        if came:
            self._missing = 0
            return
        self._missing += 1
        self._bursts += self._missing == 1
        self._longest = max(self._longest, self._missing)
