"""Deadlines with a reason, timers as members of an enum, and a heap of them for the owner of many machines."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from cmw.core.clock import Nanos

TimerT = TypeVar("TimerT", bound=Enum)
KeyT = TypeVar("KeyT", bound=Hashable)


class Deadline(NamedTuple):
    """An instant to come back at, and why.

    Args:
        at: instant of the monotonic clock, nanoseconds.
        reason: the timer (an enum member) or another short word, for the log.
    """

    at: Nanos
    reason: object


class TimerTable(Generic[TimerT]):
    """The timers of one machine: one slot for each member of an enum. Stopping is forgetting."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[TimerT, Nanos] = {}

    def set(self, timer: TimerT, at: Nanos) -> None:
        """Arm `timer` for the instant `at`, in place of what it was armed for."""
        self._due[timer] = at

    def stop(self, timer: TimerT) -> None:
        """Forget `timer`; nothing happens if it was not armed."""
        self._due.pop(timer, None)

    def clear(self) -> None:
        """Forget every timer."""
        self._due.clear()

    def is_set(self, timer: TimerT) -> bool:
        """Tell whether `timer` is armed."""
        return timer in self._due

    def expired(self, now: Nanos) -> Iterator[TimerT]:
        """Yield each timer that is due at `now`, the soonest first, forgetting it before it is yielded.

        A timer that the caller arms again while iterating is yielded again if it is due.
        """
        while self._due:
            timer = min(self._due, key=self._due.__getitem__)
            if self._due[timer] > now:
                return
            del self._due[timer]
            yield timer

    def soonest(self) -> Deadline | None:
        """Return the next deadline without changing anything."""
        due = self._due
        if not due:
            return None
        timer = min(due, key=due.__getitem__) if len(due) > 1 else next(iter(due))
        return Deadline(due[timer], timer)


class DeadlineHeap(Generic[KeyT]):
    """The next deadline of each of many machines, with lazy deletion: nobody scans thousands of timers.

    `set` for a key replaces its deadline; entries that were replaced stay in the heap until they surface,
    and the heap is rebuilt when most of it is stale.
    """

    __slots__ = ("_entries", "_live", "_order")

    def __init__(self) -> None:
        self._live: dict[KeyT, tuple[int, Deadline]] = {}
        self._entries: list[tuple[Nanos, int, KeyT]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, key: KeyT, deadline: Deadline | None) -> None:
        """Remember `deadline` for `key`; None forgets the key."""
        live = self._live
        if deadline is None:
            live.pop(key, None)
            return
        at = deadline[0]
        known = live.get(key)
        if known is not None and known[1][0] == at:
            live[key] = known[0], deadline
            return
        self._order = order = self._order + 1
        live[key] = order, deadline
        entries = self._entries
        heappush(entries, (at, order, key))
        if len(entries) > 64 and len(entries) > 4 * len(live):
            self._entries = [(deadline.at, order, key) for key, (order, deadline) in live.items()]
            heapify(self._entries)

    def expired(self, now: Nanos) -> Iterator[KeyT]:
        """Yield each key that is due at `now`, the soonest first, forgetting its deadline before it is yielded."""
        while (deadline := self.soonest()) is not None and deadline.at <= now:
            _, _, key = heappop(self._entries)
            del self._live[key]
            yield key

    def soonest(self) -> Deadline | None:
        """Return the next deadline of all; O(1) but for stale entries, which are dropped on the way."""
        entries = self._entries
        while entries:
            _, order, key = entries[0]
            live = self._live.get(key)
            if live is not None and live[0] == order:
                return live[1]
            heappop(entries)
        return None
