"""Deadlines with a reason, timers as members of an enum, and what the owner of many machines keeps theirs in."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, Protocol, TypeVar

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


class TimerTable(dict[TimerT, Nanos]):
    """The timers of one machine: when each member of an enum that is armed is due. Stopping is forgetting."""

    __slots__ = ()

    def set(self, timer: TimerT, at: Nanos) -> None:
        """Arm `timer` for the instant `at`, in place of what it was armed for."""
        self[timer] = at

    def stop(self, timer: TimerT) -> None:
        """Forget `timer`; nothing happens if it was not armed."""
        self.pop(timer, None)

    def is_set(self, timer: TimerT) -> bool:
        """Tell whether `timer` is armed."""
        return timer in self

    def expired(self, now: Nanos) -> Iterator[TimerT]:
        """Yield each timer that is due at `now`, the soonest first, forgetting it before it is yielded.

        A timer that the caller arms again while iterating is yielded again if it is due.
        """
        while self:
            timer = min(self, key=self.__getitem__)
            if self[timer] > now:
                return
            del self[timer]
            yield timer

    def soonest(self) -> Deadline | None:
        """Return the next deadline without changing anything."""
        if not self:
            return None
        timer = min(self, key=self.__getitem__) if len(self) > 1 else next(iter(self))
        return Deadline(self[timer], timer)


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


class Sleeper(Protocol):
    """A machine that carries its own deadline."""

    due_at: Nanos | None


SleeperT = TypeVar("SleeperT", bound=Sleeper)


class DeadlineQueues(Generic[SleeperT]):
    """The next deadlines of machines that nearly all wait for one of a few spans: no heap for these, and no key.

    Deadlines of one span come due in the order in which they are set, so that each span has a queue; a heap takes the
    others. A machine carries its deadline, and an entry that says otherwise is stale: it is dropped when it surfaces,
    or with all others like it when they are most of what there is.

    Args:
        spans: the usual spans, nanoseconds.
    """

    __slots__ = ("_entries", "_heap", "_live", "_order", "_queues")

    def __init__(self, spans: Iterable[Nanos]) -> None:
        self._queues: dict[Nanos, deque[tuple[Nanos, SleeperT]]] = {span_ns: deque() for span_ns in spans}
        self._heap: list[tuple[Nanos, int, SleeperT]] = []
        self._order = 0
        self._live = 0
        self._entries = 0

    def __len__(self) -> int:
        return self._live

    def set(self, machine: SleeperT, at: Nanos | None, *, now: Nanos) -> None:
        """Wake `machine` at the instant `at` and not when it was to be woken before; None lets it sleep."""
        known = machine.due_at
        if at == known:
            return
        machine.due_at = at
        if at is None:
            self._live -= 1
            return
        if known is None:
            self._live += 1
        queue = self._queues.get(at - now)
        if queue is None or (queue and at < queue[-1][0]):
            self._order += 1
            heappush(self._heap, (at, self._order, machine))
        else:
            queue.append((at, machine))
        self._entries += 1
        if self._entries > 64 and self._entries > 4 * self._live:
            self._forget_stale()

    def expired(self, now: Nanos) -> Iterator[SleeperT]:
        """Yield each machine that is due at `now`, the soonest first, forgetting its deadline before it is yielded."""
        while (soonest := self.soonest()) is not None and soonest <= now:
            machine = self._take(soonest)
            self._entries -= 1
            self._live -= 1
            machine.due_at = None
            yield machine

    def soonest(self) -> Nanos | None:
        """Return the next deadline of all; O(1) but for stale entries, which are dropped on the way."""
        soonest: Nanos | None = None
        for queue in self._queues.values():
            while queue:
                at, machine = queue[0]
                if machine.due_at == at:
                    if soonest is None or at < soonest:
                        soonest = at
                    break
                queue.popleft()
                self._entries -= 1
        heap = self._heap
        while heap:
            at, _, machine = heap[0]
            if machine.due_at == at:
                return at if soonest is None or at < soonest else soonest
            heappop(heap)
            self._entries -= 1
        return soonest

    def _take(self, at: Nanos) -> SleeperT:
        """Return who is due at `at`, and drop the entry."""
        for queue in self._queues.values():
            if queue and queue[0][0] == at:
                return queue.popleft()[1]
        return heappop(self._heap)[2]

    def _forget_stale(self) -> None:
        for queue in self._queues.values():
            kept = [entry for entry in queue if entry[1].due_at == entry[0]]
            queue.clear()
            queue.extend(kept)
        self._heap = [entry for entry in self._heap if entry[2].due_at == entry[0]]
        heapify(self._heap)
        self._entries = sum(map(len, self._queues.values())) + len(self._heap)
