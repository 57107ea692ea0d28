"""Which hops failed of late, so that others are tried before them. Source: RFC 3263 4.3, RFC 3261 21.5.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.sip.hop import Hop

FAILED_FOR_NS: Final[Nanos] = 60 * SECOND
"""How long a hop stays behind others that did not say itself when to come back."""

MAX_FAILED_FOR_S: Final = 3600
"""The longest time that a hop may ask for by Retry-After."""

MAX_HOPS: Final = 1024
"""Hops that are remembered; beyond it the one that failed first is forgotten."""


class FailedHops:
    """A bounded memory of failures; a hop in it is tried last, and never left out when there is no other."""

    def __init__(self) -> None:
        self._until: dict[Hop, Nanos] = {}

    def __len__(self) -> int:
        return len(self._until)

    def note(self, hop: Hop, after_s: int | None = None, *, now: Nanos) -> None:
        """Remember a failure.

        Args:
            hop: what failed; any connection to it.
            after_s: what its Retry-After said, None when there was none.
            now: instant of the monotonic clock, nanoseconds.
        """
        hop = hop._replace(flow=0)
        self._until.pop(hop, None)
        if len(self._until) >= MAX_HOPS:
            del self._until[next(iter(self._until))]
        self._until[hop] = now + (FAILED_FOR_NS if after_s is None else min(after_s, MAX_FAILED_FOR_S) * SECOND)

    def forgive(self, hop: Hop) -> None:
        """Forget the failures of a hop that has answered."""
        if self._until:
            self._until.pop(hop._replace(flow=0), None)

    def has(self, hop: Hop, *, now: Nanos) -> bool:
        """Tell whether a hop failed of late."""
        if not self._until:
            return False
        hop = hop._replace(flow=0)
        until = self._until.get(hop)
        if until is None:
            return False
        if until > now:
            return True
        del self._until[hop]
        return False

    def order(self, hops: Sequence[Hop], *, now: Nanos) -> tuple[Hop, ...]:
        """Return the hops as they are to be tried: as given, those that failed behind the others."""
        if not self._until or len(hops) < 2:
            return tuple(hops)
        return tuple(sorted(hops, key=lambda hop: self.has(hop, now=now)))
