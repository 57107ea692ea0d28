"""When planned calls are really started: on time, and after a stall as fast as a clock that runs half as fast again.

A program that was stopped for two seconds has two seconds' calls due at once. Started in one burst they would bury the
answers to the calls that are under way, which then are sent again: a storm. So the plan's clock stands still while the
program does, and then gains on the real one by a bounded share: no tick starts more than `CATCH_UP` times what the plan
has in it. Calls that the plan has at one instant still start at one instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

from cmw.core.clock import MILLISECOND, Nanos

CATCH_UP: Final = 1.5
"""How fast the plan's clock runs while it is behind: two seconds are made up for in four."""

TICK_NS: Final[Nanos] = 10 * MILLISECOND
"""How often calls are started while the plan's clock is behind."""

GRACE_NS: Final[Nanos] = 2 * TICK_NS
"""A wake-up that is not later than this is no stall, and everything due is started."""

ItemT = TypeVar("ItemT")


class CallPacer(Generic[ItemT]):
    """Hands out what is to be started, each item once, in the order of the plan.

    Ask `pull_due` at `next_wake` and start what it returns.

    Args:
        planned: instant and item, in any order.

    Attributes:
        late_max_ns: how late the latest item was handed out.
        late_count: how many were later than `GRACE_NS`.
    """

    __slots__ = ("_clock", "_is_behind", "_looked_at", "_order", "_waiting", "late_count", "late_max_ns")

    def __init__(self, planned: Iterable[tuple[Nanos, ItemT]] = ()) -> None:
        self._waiting: list[tuple[Nanos, int, ItemT]] = [(at, n, item) for n, (at, item) in enumerate(planned)]
        heapify(self._waiting)
        self._order = len(self._waiting)
        self._clock: Nanos = 0
        self._looked_at: Nanos = 0
        self._is_behind = False
        self.late_max_ns: Nanos = 0
        self.late_count = 0

    @property
    def is_behind(self) -> bool:
        """Tell whether the plan's clock is still behind after a stall."""
        return self._is_behind

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, at: Nanos, item: ItemT) -> None:
        """Plan an item for the instant `at`."""
        heappush(self._waiting, (at, self._order, item))
        self._order += 1

    def next_wake(self) -> Nanos | None:
        """Return when to ask again; None when nothing is planned."""
        if not self._waiting:
            return None
        if self._is_behind:
            return self._looked_at + TICK_NS
        return self._waiting[0][0]

    def pull_due(self, now: Nanos) -> list[ItemT]:
        """Return what is to be started now, the soonest first."""
        self._advance(now)
        due: list[ItemT] = []
        while self._waiting and self._waiting[0][0] <= self._clock:
            at, _, item = heappop(self._waiting)
            self._note_lateness(now - at)
            due.append(item)
        return due

    def _advance(self, now: Nanos) -> None:
        """Let the plan's clock go on: to `now` when we were asked in time, else by what it may gain."""
        expected = self.next_wake()
        if expected is None or (not self._is_behind and now <= expected + GRACE_NS):
            self._clock = max(self._clock, now)
            return
        if self._is_behind:
            gained = CATCH_UP * min(max(0, now - self._looked_at), GRACE_NS)
        else:
            gained = CATCH_UP * GRACE_NS
            self._clock = max(self._clock, expected)  # nothing is due before
        self._clock = max(self._clock, min(now, self._clock + int(gained)))
        self._is_behind = self._clock < now
        self._looked_at = max(self._looked_at, now)

    def _note_lateness(self, late_ns: Nanos) -> None:
        self.late_max_ns = max(self.late_max_ns, late_ns)
        self.late_count += late_ns > GRACE_NS
