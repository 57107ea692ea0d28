"""Which hops failed of late, so that others are tried before them, and which have answered.

Source: RFC 3263 4.3, RFC 3261 21.5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.sip.hop import Hop

FAILED_FOR_NS: Final[Nanos] = 60 * SECOND
"""How long a hop stays behind others that did not say itself when to come back."""

MAX_FAILED_FOR_S: Final = 3600
"""The longest time that a hop may ask for by Retry-After."""

MAX_REMEMBERED: Final = 1024
"""Hops that are remembered of each kind; beyond it the oldest are forgotten."""


class HopMemory:
    """A bounded memory. A hop that failed is tried last, and never left out when there is no other."""

    def __init__(self) -> None:
        self._failed_until: dict[Hop, Nanos] = {}
        self._answered_at: dict[Hop, Nanos] = {}

    def note_failure(self, hop: Hop, after_s: int | None = None, *, now: Nanos) -> None:
        """Remember a failure.

        Args:
            hop: what failed; any connection to it.
            after_s: what its Retry-After said, None when there was none.
            now: instant of the monotonic clock, nanoseconds.
        """
        hop = _any_flow(hop)
        self._failed_until.pop(hop, None)
        if len(self._failed_until) >= MAX_REMEMBERED:
            del self._failed_until[next(iter(self._failed_until))]
        span_ns = FAILED_FOR_NS if after_s is None else min(after_s, MAX_FAILED_FOR_S) * SECOND
        self._failed_until[hop] = now + span_ns

    def note_answer(self, hop: Hop, *, now: Nanos) -> None:
        """Remember that a hop answered; its failures are forgotten."""
        if hop.flow:
            hop = _any_flow(hop)
        if self._failed_until:
            self._failed_until.pop(hop, None)
        if len(self._answered_at) >= MAX_REMEMBERED:
            self._answered_at.clear()
        self._answered_at[hop] = now

    def has_failed(self, hop: Hop, *, now: Nanos) -> bool:
        """Tell whether a hop failed of late."""
        if not self._failed_until:
            return False
        hop = _any_flow(hop)
        until = self._failed_until.get(hop)
        if until is None:
            return False
        if until > now:
            return True
        del self._failed_until[hop]
        return False

    def has_answered(self, hop: Hop, *, since: Nanos) -> bool:
        """Tell whether something came from a hop at `since` or later."""
        at = self._answered_at.get(_any_flow(hop))
        return at is not None and at >= since

    def order(self, hops: Sequence[Hop], *, now: Nanos) -> tuple[Hop, ...]:
        """Return the hops as they are to be tried: as given, those that failed behind the others."""
        if not self._failed_until or len(hops) < 2:
            return tuple(hops)
        return tuple(sorted(hops, key=lambda hop: self.has_failed(hop, now=now)))


def _any_flow(hop: Hop) -> Hop:
    return hop._replace(flow=0) if hop.flow else hop
