"""Turns for registrations that come back: so many a second to one registrar, in the order they asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.errors import LocalProtocolError

DEFAULT_RETURNS_PER_S = 200
"""How many registrations that failed come back to one registrar in a second."""

CATCH_UP_NS: Nanos = 10 * MILLISECOND
"""Turns of this time are made good when we come late; those of a longer stall are not, for it would end in a storm."""

TurnT = TypeVar("TurnT")


class _Lane(Generic[TurnT]):
    """Those who wait for one registrar, and when the first of them goes."""

    __slots__ = ("next_at", "queue")

    def __init__(self, now: Nanos) -> None:
        self.next_at = now
        self.queue: OrderedDict[TurnT, None] = OrderedDict()

    def spend(self, interval_ns: Nanos, now: Nanos) -> None:
        self.next_at = max(self.next_at, now - CATCH_UP_NS) + interval_ns


class RegisterPacer(Generic[TurnT]):
    """A queue for each registrar, served at a bounded rate.

    Whoever wants to go calls `enter`; when that says no, its turn comes out of `due` at `next_timeout`.

    Args:
        per_s: turns a second for each registrar; 0 for no bound.
    """

    def __init__(self, per_s: int = DEFAULT_RETURNS_PER_S) -> None:
        if per_s < 0:
            raise LocalProtocolError(f"expected a rate of at least 0, found {per_s}")
        self._interval_ns = SECOND // per_s if per_s else 0
        self._lanes: dict[str, _Lane[TurnT]] = {}
        self._heap: DeadlineHeap[str] = DeadlineHeap()

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(len(lane.queue) for lane in self._lanes.values())

    def enter(self, key: str, turn: TurnT, *, now: Nanos) -> bool:
        """Return whether to go at once; otherwise the turn waits.

        Args:
            key: names the registrar.
            turn: who wants to go; may wait once only.
        """
        if not self._interval_ns:
            return True
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(now)
        if not lane.queue and lane.next_at <= now:
            lane.spend(self._interval_ns, now)
            return True
        lane.queue[turn] = None
        self._heap.set(key, Deadline(lane.next_at, "REGISTER_TURN"))
        return False

    def leave(self, key: str, turn: TurnT) -> None:
        """Forget a turn; nothing happens if it does not wait."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.queue.pop(turn, None)
            self._rearm(key, lane)

    def due(self, *, now: Nanos) -> Iterator[TurnT]:
        """Yield those whose turn has come."""
        for key in self._heap.expired(now):
            lane = self._lanes[key]
            while lane.queue and lane.next_at <= now:
                lane.spend(self._interval_ns, now)
                yield lane.queue.popitem(last=False)[0]
            self._rearm(key, lane)

    def next_timeout(self) -> Deadline | None:
        """Return when the next turn comes."""
        return self._heap.soonest()

    def _rearm(self, key: str, lane: _Lane[TurnT]) -> None:
        self._heap.set(key, Deadline(lane.next_at, "REGISTER_TURN") if lane.queue else None)
