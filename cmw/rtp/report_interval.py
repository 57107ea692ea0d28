"""When the next control packet is due: the rules of RFC 3550 6.2 and 6.3, with timer reconsideration."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import SECOND, Nanos

MIN_INTERVAL_NS: Final = 5 * SECOND
"""Half of it before the first report. Source: RFC 3550 6.2."""
BANDWIDTH: Final = 500
"""Bytes a second for control: 5 % of a G.711 stream with its headers. Source: RFC 3550 6.2."""
LOWER_LAYERS: Final = 28
"""Bytes of UDP and IPv4 that count with each control packet. Source: RFC 3550 6.2."""
FIRST_SIZE: Final = 128
"""Bytes that our first control packet probably has. Source: RFC 3550 6.3.2."""

_WORD64 = (1 << 64) - 1


class ReportInterval:
    """The timer of one participant.

    Args:
        seed: 0 .. 2^64 - 1; its only purpose is that sessions do not report in step.
        now: when it joined.
    """

    def __init__(self, seed: int, now: Nanos) -> None:
        self._random_state = seed
        self._sent_ns = now  # tp
        self._average_q4 = FIRST_SIZE << 4  # avg_rtcp_size in 1/16 byte
        self._is_first = True  # initial
        self._members = 1  # pmembers
        self.next_due: Nanos | None = now + self._draw_ns(1, 0, we_sent=False)  # tn

    def is_due(self, now: Nanos, members: int, senders: int, *, we_sent: bool) -> bool:
        """Tell whether to send; when the time has come but the session has changed, put it off. Source: 6.3.6."""
        if self.next_due is None or now < self.next_due:
            return False
        again_ns = self._sent_ns + self._draw_ns(members, senders, we_sent=we_sent)
        self._members = members
        if again_ns <= now:
            return True
        self.next_due = again_ns
        return False

    def sent(self, size: int, now: Nanos, members: int, senders: int, *, we_sent: bool) -> None:
        """Take a control packet of ours and set the next. Source: 6.3.6."""
        self.add_size(size)
        self._sent_ns = now
        self._is_first = False
        self._members = members
        self.next_due = now + self._draw_ns(members, senders, we_sent=we_sent)

    def stop(self) -> None:
        """Send nothing more: BYE was said."""
        self.next_due = None

    def add_size(self, size: int) -> None:
        """Take the size of a compound packet, sent or received, into the average. Source: 6.3.3."""
        self._average_q4 += size + LOWER_LAYERS - (self._average_q4 >> 4)

    def member_left(self, members: int, now: Nanos) -> None:
        """Report sooner, as there are fewer: reverse reconsideration. Source: 6.3.4."""
        if members < self._members and self.next_due is not None:
            self.next_due = now + max(0, self.next_due - now) * members // self._members
            self._sent_ns = now - max(0, now - self._sent_ns) * members // self._members
            self._members = members

    def _draw_ns(self, members: int, senders: int, *, we_sent: bool) -> Nanos:
        """Return T: 0.5 .. 1.5 times Td, divided by e - 3/2. Source: 6.3.1."""
        share, sharing = 4, members  # of the bandwidth in quarters, and by how many
        if 4 * senders <= members:
            share, sharing = (1, senders) if we_sent else (3, members - senders)
        least_ns = MIN_INTERVAL_NS // 2 if self._is_first else MIN_INTERVAL_NS
        wanted_ns = max(least_ns, sharing * self._average_q4 * SECOND // (4 * share * BANDWIDTH))
        return (wanted_ns * (32768 + self._draw_q16()) >> 16) * 100_000 // 121_828

    def _draw_q16(self) -> int:
        self._random_state = z = (self._random_state + 0x9E3779B97F4A7C15) & _WORD64  # splitmix64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD64
        return (z ^ z >> 31) >> 48
