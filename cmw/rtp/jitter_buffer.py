"""A model of the listener's jitter buffer: what would have been played, and what came too late. No audio is held.

A packet is played when it comes no later after the fastest one than the buffer waits, and is discarded else. A fixed
buffer always waits the same. An adaptive one follows the mean lateness plus four mean deviations, up at once and down
by 1/256 of the difference with each packet; a packet that came too late makes it wait as long as that one needed.
Source of the estimate: Ramjee, Kurose, Towsley, Schulzrinne, "Adaptive playout mechanisms", INFOCOM 1994, algorithm 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cmw.core.clock import MILLISECOND, Nanos
from cmw.rtp.sequence import rtp_units


class BufferSettings(NamedTuple):
    """How long a buffer waits; it is fixed when `min_ns` and `max_ns` are equal. 0 <= min <= start <= max <= 10 s."""

    start_ns: Nanos = 40 * MILLISECOND
    min_ns: Nanos = 20 * MILLISECOND
    max_ns: Nanos = 200 * MILLISECOND

    def is_sound(self) -> bool:
        """Tell whether the numbers are within their ranges."""
        return 0 <= self.min_ns <= self.start_ns <= self.max_ns <= MAX_BUFFER_NS


MAX_BUFFER_NS: Final = 10_000 * MILLISECOND
USUAL_BUFFER: Final = BufferSettings()


class JitterBuffer:
    """Counts of one stream's packets in the buffer; its delay in 1/256 RTP unit."""

    def __init__(self, settings: BufferSettings, clock_hz: int) -> None:
        self.settings = settings
        self.pushed = 0
        self.late = 0
        self.mean_q12 = 0
        self.deviation_q12 = 0
        self.set_clock(clock_hz)

    @property
    def is_adaptive(self) -> bool:
        """Tell whether the delay changes."""
        return self.settings.min_ns != self.settings.max_ns

    def set_clock(self, clock_hz: int) -> None:
        """Begin with the delay of the settings, in units of `clock_hz`."""
        self.delay_q8, self._min_q8, self.max_q8 = (rtp_units(ns, clock_hz, fraction_bits=8) for ns in self.settings)
        self.restart()

    def restart(self) -> None:
        """Forget how late packets came: the sender's clock was set anew."""
        self.mean_q12 = 0
        self.deviation_q12 = 0

    def receive(self, late_q8: int) -> bool:
        """Take a packet that came so much later than the fastest; tell whether it is played."""
        off_q8 = abs(late_q8 - (self.mean_q12 >> 4))
        self.mean_q12 += late_q8 - ((self.mean_q12 + 8) >> 4)
        self.deviation_q12 += off_q8 - ((self.deviation_q12 + 8) >> 4)
        played = late_q8 <= self.delay_q8
        self.pushed += played
        self.late += not played
        if self.is_adaptive:
            self._adapt(late_q8, played)
        return played

    def _adapt(self, late_q8: int, played: bool) -> None:
        wanted_q8 = (self.mean_q12 + 4 * self.deviation_q12) >> 4
        if not played:
            wanted_q8 = max(wanted_q8, late_q8)
        wanted_q8 = max(self._min_q8, min(wanted_q8, self.max_q8))
        if wanted_q8 >= self.delay_q8:
            self.delay_q8 = wanted_q8
        else:
            self.delay_q8 -= (self.delay_q8 - wanted_q8 + 255) >> 8
