"""Notices a media thread that does not run any more: whatever is sent and measured then is nobody's fault but ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

PATIENCE: Final = 5
"""Looks in a row at which a thread had not run since the look before; looks, not seconds: a process may be stopped."""


class Standstill:
    """Look once a second.

    Args:
        wakes: reads how often each thread has woken so far.
    """

    def __init__(self, wakes: Callable[[], Sequence[int]]) -> None:
        self._wakes = wakes
        self._seen: Sequence[int] = ()
        self._looks: list[int] = []

    def look(self) -> None:
        """Compare each thread with the look before; a thread that came since counts as one that runs."""
        wakes = self._wakes()
        before = [*self._seen, *[-1] * (len(wakes) - len(self._seen))]
        looks = [*self._looks, *[0] * (len(wakes) - len(self._looks))]
        self._looks = [count + 1 if now == then else 0 for now, then, count in zip(wakes, before, looks, strict=False)]
        self._seen = wakes

    @property
    def fault(self) -> str:
        """Return what is wrong, "" for nothing."""
        stuck = sum(count >= PATIENCE for count in self._looks)
        if not stuck:
            return ""
        return f"{stuck} of {len(self._looks)} media threads did not run for {PATIENCE} s or more"
