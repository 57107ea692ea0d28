"""What a worker has reported and the gateway has not yet acknowledged.

Bounded in bytes: when it is full the oldest sample batches go first, then the oldest progress reports. Outcomes, ends
of runs and events are never dropped, even if they alone exceed the bound: there is one outcome for each endpoint. What
is in flight is not dropped either, for it has most likely arrived.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cmw.errors import LocalProtocolError
from cmw.link.limits import SPOOL_MAX_BYTES, WINDOW_BYTES

OVERHEAD_BYTES: Final = 256
"""What an entry costs beyond its payload, roughly."""


class Worth(IntEnum):
    """What goes first when there is no room; the lower the sooner."""

    SAMPLES = 0
    PROGRESS = 1
    OUTCOME = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One report, ready to be sent: text of a text frame or bytes of a binary one."""

    seq: int
    worth: Worth
    payload: str | bytes
    size_bytes: int


class Spool:
    """The unacknowledged reports of a session, in order of their sequence numbers.

    Args:
        max_bytes: bound of what is kept, payloads and their overhead.
        window_bytes: bound of what is in flight; one larger entry travels alone.
    """

    def __init__(self, *, max_bytes: int = SPOOL_MAX_BYTES, window_bytes: int = WINDOW_BYTES) -> None:
        self.dropped_samples = 0
        self.dropped_progress = 0
        self.size_bytes = 0
        self.in_flight_bytes = 0
        self._max_bytes = max_bytes
        self._window_bytes = window_bytes
        self._entries: dict[int, Entry] = {}
        self._unsent: deque[int] = deque()
        self._in_flight: deque[Entry] = deque()
        self._droppable: dict[Worth, deque[int]] = {Worth.SAMPLES: deque(), Worth.PROGRESS: deque()}
        self._last_seq = 0
        self._highest_sent = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_seq(self) -> int:
        """The sequence number that the next entry must have or exceed."""
        return self._last_seq + 1

    @property
    def highest_sent(self) -> int:
        """The highest sequence number that was ever sent; 0 for none."""
        return self._highest_sent

    def append(self, seq: int, worth: Worth, payload: str | bytes) -> None:
        """Keep a report until it is acknowledged, dropping others or itself if there is no room.

        Raises:
            LocalProtocolError: the sequence number does not rise.
        """
        if seq <= self._last_seq:
            raise LocalProtocolError(f"expected a sequence number above {self._last_seq}, found {seq}")
        size_bytes = OVERHEAD_BYTES + len(payload.encode() if isinstance(payload, str) else payload)
        self._last_seq = seq
        self._entries[seq] = Entry(seq, worth, payload, size_bytes)
        self._unsent.append(seq)
        if worth in self._droppable:
            self._droppable[worth].append(seq)
        self.size_bytes += size_bytes
        self._make_room()

    def next_to_send(self) -> Entry | None:
        """Return the next report that fits into the window and count it as in flight; None if there is none."""
        while self._unsent and self._unsent[0] not in self._entries:
            self._unsent.popleft()
        if not self._unsent:
            return None
        entry = self._entries[self._unsent[0]]
        if self._in_flight and self.in_flight_bytes + entry.size_bytes > self._window_bytes:
            return None
        self._unsent.popleft()
        self._in_flight.append(entry)
        self.in_flight_bytes += entry.size_bytes
        self._highest_sent = max(self._highest_sent, entry.seq)
        return entry

    def acknowledge(self, seq: int) -> int:
        """Forget everything up to and with `seq`; return how many reports that were.

        Raises:
            LocalProtocolError: `seq` was never sent.
        """
        if seq > self._highest_sent:
            raise LocalProtocolError(f"expected at most {self._highest_sent}, found {seq}")
        count = 0
        while self._in_flight and self._in_flight[0].seq <= seq:
            entry = self._in_flight.popleft()
            self.in_flight_bytes -= entry.size_bytes
            self._forget(entry)
            count += 1
        while self._unsent and self._unsent[0] <= seq:
            unsent = self._entries.get(self._unsent.popleft())
            if unsent is not None:
                self._forget(unsent)
                count += 1
        return count

    def rewind(self) -> None:
        """Count what is in flight as unsent again: the connection is gone.

        Nothing is dropped here, even above the bound: most of it has arrived, and the next welcome will say so.
        """
        self._unsent.extendleft(entry.seq for entry in reversed(self._in_flight))
        self._in_flight.clear()
        self.in_flight_bytes = 0

    def unacknowledged(self) -> list[Entry]:
        """Return what is kept, in order; looks only."""
        return [self._entries[seq] for seq in sorted(self._entries)]

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.seq]
        self.size_bytes -= entry.size_bytes
        queue = self._droppable.get(entry.worth)
        if queue and queue[0] == entry.seq:
            queue.popleft()

    def _make_room(self) -> None:
        for worth, queue in self._droppable.items():
            while self.size_bytes > self._max_bytes and self._drop_oldest(worth, queue):
                pass
        if len(self._unsent) > 2 * len(self._entries) + 64:
            self._unsent = deque(seq for seq in self._unsent if seq in self._entries)

    def _drop_oldest(self, worth: Worth, queue: deque[int]) -> bool:
        """Drop the oldest entry of a queue that is not in flight; return False if there is none."""
        first_unsent = self._in_flight[-1].seq + 1 if self._in_flight else 0
        protected: list[int] = []
        while queue and queue[0] < first_unsent:
            protected.append(queue.popleft())
        dropped = self._entries.get(queue.popleft()) if queue else None
        if dropped is not None:
            del self._entries[dropped.seq]
            self.size_bytes -= dropped.size_bytes
            self._count(worth)
        queue.extendleft(reversed(protected))
        return dropped is not None

    def _count(self, worth: Worth) -> None:
        if worth is Worth.SAMPLES:
            self.dropped_samples += 1
        else:
            self.dropped_progress += 1


def worth_of(kind: str) -> Worth:
    """Return what a report of this kind is worth."""
    return Worth.PROGRESS if kind == "progress" else Worth.OUTCOME
