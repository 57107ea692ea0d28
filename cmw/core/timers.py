"""Deadlines with a reason, timers as members of an enum, and a heap of them for the owner of many machines."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from cmw.core.clock import Nanos

TimerT = TypeVar("TimerT", bound=Enum)
KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Deadline:
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
        if not self._due:
            return None
        timer = min(self._due, key=self._due.__getitem__)
        return Deadline(self._due[timer], timer)


class DeadlineHeap(Generic[KeyT]):
    """The next deadline of each of many machines, with lazy deletion: nobody scans thousands of timers.

    `set` for a key replaces its deadline; entries that were replaced stay in the heap until they surface,
    and the heap is rebuilt when most of it is stale.
    """

    __slots__ = ("_entries", "_live", "_order")

    def __init__(self) -> None:
        self._live: dict[KeyT, tuple[Nanos, int, Deadline]] = {}
        self._entries: list[tuple[Nanos, int, KeyT]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, key: KeyT, deadline: Deadline | None) -> None:
        """Remember `deadline` for `key`; None forgets the key."""
        if deadline is None:
            self._live.pop(key, None)
            return
        known = self._live.get(key)
        if known is not None and known[0] == deadline.at:
            self._live[key] = (known[0], known[1], deadline)
            return
        self._order += 1
        self._live[key] = (deadline.at, self._order, deadline)
        heappush(self._entries, (deadline.at, self._order, key))
        if len(self._entries) > 64 and len(self._entries) > 4 * len(self._live):
            self._entries = [(at, order, key) for key, (at, order, _) in self._live.items()]
            heapify(self._entries)

    def expired(self, now: Nanos) -> Iterator[KeyT]:
        """Yield each key that is due at `now`, the soonest first, forgetting its deadline before it is yielded."""
        while (deadline := self.soonest()) is not None and deadline.at <= now:
            _, _, key = heappop(self._entries)
            del self._live[key]
            yield key

    def soonest(self) -> Deadline | None:
        """Return the next deadline of all; O(1) but for stale entries, which are dropped on the way."""
        while self._entries:
            _, order, key = self._entries[0]
            live = self._live.get(key)
            if live is not None and live[1] == order:
                return live[2]
            heappop(self._entries)
        return None
