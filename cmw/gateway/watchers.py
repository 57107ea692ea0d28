"""Who waits for something to happen to a run."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class RunWatchers:
    """Wakes those who watch a run; many changes before they look wake them once."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._searches: dict[str, str] = {}
        self.is_closed = False
        """The gateway goes away: nothing more is told."""

    def changed(self, run_id: str) -> None:
        """Wake who watches a run, or the search whose step it is."""
        for event in (*self._waiting.get(run_id, ()), *self._waiting.get(self._searches.get(run_id, ""), ())):
            event.set()

    def step_begins(self, search_id: str, run_id: str) -> None:
        """Have changes of a run be changes of the search whose step it is."""
        self._searches[run_id] = search_id

    def step_ends(self, run_id: str) -> None:
        """Forget a step of a search."""
        self._searches.pop(run_id, None)

    def close(self) -> None:
        """Wake everybody, for the last time."""
        self.is_closed = True
        for run_id in list(self._waiting):
            self.changed(run_id)

    def enter(self, run_id: str) -> asyncio.Event:
        """Begin to watch; the event is set by each change, and cleared by who waits."""
        event = asyncio.Event()
        self._waiting[run_id].add(event)
        return event

    def leave(self, run_id: str, event: asyncio.Event) -> None:
        """Watch no longer."""
        self._waiting[run_id].discard(event)
        if not self._waiting[run_id]:
            del self._waiting[run_id]
