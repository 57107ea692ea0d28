"""When to dial again: exponential back-off with full jitter, and a slow pace after a refusal."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.ids import Ids

FLOOR: Final[Nanos] = 500 * MILLISECOND
"""No two tries are closer than this."""

FIRST: Final[Nanos] = 1 * SECOND
CAP: Final[Nanos] = 30 * SECOND
AFTER_REFUSAL: Final[Nanos] = 60 * SECOND


class Backoff:
    """Delays until the next try: evenly between `FLOOR` and a ceiling that doubles from 1 s to 30 s."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._ceiling: Nanos = FIRST

    def next_delay(self) -> Nanos:
        """Return how long to wait after a failure, nanoseconds, and double the ceiling."""
        ceiling = self._ceiling
        self._ceiling = min(2 * ceiling, CAP)
        return FLOOR + int((ceiling - FLOOR) * self._ids.unit())

    def reset(self) -> None:
        """Begin again at 1 s; call it when a link has held for a while."""
        self._ceiling = FIRST
