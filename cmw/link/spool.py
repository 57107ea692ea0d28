"""What a worker has reported and the gateway has not yet acknowledged.

Bounded in bytes: when it is full the oldest sample batches go first, then the oldest progress reports and packets of
calls. Outcomes, ends of runs and other events are never dropped, even if they alone exceed the bound: there is one
outcome for each endpoint. What is in flight is not dropped either, for it has most likely arrived.

What goes leaves a note behind, in its place and under its number: one for each run that lost something, an event that
counts batches and seconds. So the gateway knows of the loss before it is told that the run is done.

A spool may have a shelf: somewhere outside of memory, kept by the driver. It puts there what waits, and takes the
payloads of what is there out of memory when there are too many; a successor of this process finds it on the shelf.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from cmw.errors import LocalProtocolError
from cmw.link.limits import MAX_SEQ, MEMORY_BYTES, SPOOL_MAX_BYTES, WINDOW_BYTES
from cmw.link.messages import Report, serialize_message

OVERHEAD_BYTES: Final = 256
"""What an entry costs beyond its payload, roughly."""

BULKY_EVENT: Final = "evidence_packets"
"""Kind of the event that is worth no more than progress: a run may bring more of it than a spool holds."""

SPOOL_DROPPED: Final = "spool_dropped"
"""Kind of the event that speaks of what had to be dropped."""

Place = tuple[int, int, int]
"""Where the shelf has a payload; its own affair."""


class Worth(IntEnum):
    """What goes first when there is no room; the lower the sooner."""

    SAMPLES = 0
    PROGRESS = 1
    OUTCOME = 2


@dataclass(slots=True)
class Entry:
    """One report, ready to be sent: text of a text frame or bytes of a binary one; None while only the shelf has it.

    Args:
        second: of samples, which second of their run they are of.
        place: where on the shelf it is, None while it is not.
    """

    seq: int
    worth: Worth
    payload: str | bytes | None
    size_bytes: int
    run_id: str | None = None
    second: int | None = None
    place: Place | None = None


class Frame(NamedTuple):
    """What is to be sent now."""

    seq: int
    payload: str | bytes


class Shelf(Protocol):
    """Where a driver keeps what does not have to be in memory."""

    def read(self, place: Place) -> str | bytes | None:
        """Return a payload, None if it cannot be read any more."""


@dataclass(slots=True)
class Loss:
    """What a run has lost that one note speaks of.

    Args:
        seq: the number of the note: that of the first thing that it is about.
    """

    seq: int
    samples: int = 0
    reports: int = 0
    first_second: int | None = None
    last_second: int | None = None

    def add(self, entry: Entry) -> None:
        """Count one more entry."""
        if entry.worth is not Worth.SAMPLES:
            self.reports += 1
            return
        self.samples += 1
        if entry.second is not None:
            self.first_second = entry.second if self.first_second is None else min(self.first_second, entry.second)
            self.last_second = entry.second if self.last_second is None else max(self.last_second, entry.second)

    def note(self, run_id: str | None) -> str:
        """Return the event that says it, as a frame."""
        data = {
            "kind": SPOOL_DROPPED,
            "sample_batches": self.samples,
            "reports": self.reports,
            "first_second": self.first_second,
            "last_second": self.last_second,
        }
        return serialize_message(Report(seq=self.seq, kind="event", run_id=run_id, data=data))


class Spool:
    """The unacknowledged reports of a session, in order of their sequence numbers.

    Args:
        max_bytes: bound of what is kept, payloads and their overhead.
        window_bytes: bound of what is in flight; one larger entry travels alone.
        shelf: reads what was put on it; None for a spool that lives in memory only.
        memory_bytes: bound of the payloads in memory, as far as the shelf has them.
    """

    def __init__(
        self,
        *,
        max_bytes: int = SPOOL_MAX_BYTES,
        window_bytes: int = WINDOW_BYTES,
        shelf: Shelf | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.dropped_samples = 0
        self.dropped_progress = 0
        self.unreadable = 0
        """Entries of any worth that the shelf could not give back."""
        self.size_bytes = 0
        self.in_flight_bytes = 0
        self.payload_bytes = 0
        """Payloads that are in memory."""
        self._max_bytes = max_bytes
        self._window_bytes = window_bytes
        self._memory_bytes = memory_bytes
        self._shelf = shelf
        self._entries: dict[int, Entry] = {}
        self._unsent: deque[int] = deque()
        self._in_flight: deque[Entry] = deque()
        self._droppable: dict[Worth, deque[int]] = {Worth.SAMPLES: deque(), Worth.PROGRESS: deque()}
        self._losses: dict[str | None, Loss] = {}
        self._dropped_of: dict[str | None, int] = {}
        self._unshelved: dict[int, None] = {}
        self._releasable: deque[int] = deque()
        self._gone: list[Place] = []
        self._last_seq = 0
        self._highest_sent = 0
        self._acknowledged = 0

    @classmethod
    def restored(
        cls, entries: Iterable[Entry], *, acknowledged: int, shelf: Shelf, max_bytes: int = SPOOL_MAX_BYTES
    ) -> Spool:
        """Return what an earlier process left on the shelf; nothing is added to it any more.

        Args:
            entries: in any order; two of one number may be the same report twice, the later one counts.
            acknowledged: the last number that the earlier process knew to be committed.
        """
        spool = cls(shelf=shelf, max_bytes=max_bytes)
        latest = {entry.seq: entry for entry in entries if entry.seq > acknowledged}
        for seq in sorted(latest):
            spool._keep(latest[seq])
        spool._make_room()
        spool._last_seq = spool._highest_sent = MAX_SEQ  # that process may have sent more than it wrote
        spool._acknowledged = acknowledged
        return spool

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

    @property
    def acknowledged(self) -> int:
        """The highest number that is known to be committed; 0 for none."""
        return self._acknowledged

    def dropped_of(self, run_id: str | None) -> int:
        """Return how many sample batches of a run had to go."""
        return self._dropped_of.get(run_id, 0)

    def append(
        self, seq: int, worth: Worth, payload: str | bytes, *, run_id: str | None = None, second: int | None = None
    ) -> None:
        """Keep a report until it is acknowledged, dropping others or itself if there is no room.

        Raises:
            LocalProtocolError: the sequence number does not rise.
        """
        if seq <= self._last_seq:
            raise LocalProtocolError(f"expected a sequence number above {self._last_seq}, found {seq}")
        self._last_seq = seq
        self._keep(Entry(seq, worth, payload, _size(payload), run_id, second))
        self._make_room()

    def next_to_send(self) -> Frame | None:
        """Return the next report that fits into the window and count it as in flight; None if there is none."""
        while self._unsent:
            entry = self._entries.get(self._unsent[0])
            if entry is None:
                self._unsent.popleft()
                continue
            if self._in_flight and self.in_flight_bytes + entry.size_bytes > self._window_bytes:
                return None
            payload = entry.payload if entry.payload is not None else self._read(entry)
            if payload is None:
                self.unreadable += 1
                self._drop(entry)
                continue
            self._unsent.popleft()
            self._in_flight.append(entry)
            self.in_flight_bytes += entry.size_bytes
            self._highest_sent = max(self._highest_sent, entry.seq)
            return Frame(entry.seq, payload)
        return None

    def acknowledge(self, seq: int) -> int:
        """Forget everything up to and with `seq`; return how many reports that were.

        Raises:
            LocalProtocolError: `seq` was never sent.
        """
        if seq > self._highest_sent:
            raise LocalProtocolError(f"expected at most {self._highest_sent}, found {seq}")
        self._acknowledged = max(self._acknowledged, seq)
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

    # The shelf.

    def take_unshelved(self, up_to: int) -> list[Entry]:
        """Return what the shelf does not have yet, as far as its number is at most `up_to`; drains.

        Put it there and call `shelved`, or `not_shelved` if there was no room for it.
        """
        taken = [entry for seq in self._unshelved if seq <= up_to and (entry := self._entries.get(seq)) is not None]
        self._unshelved = {seq: None for seq in self._unshelved if seq > up_to}
        return taken

    def shelved(self, entry: Entry, payload: str | bytes, place: Place) -> None:
        """Note that the shelf has `payload` for this entry: its memory may be used again."""
        if self._entries.get(entry.seq) is not entry or entry.payload is not payload:
            self._gone.append(place)  # acknowledged, dropped or rewritten meanwhile
            return
        if entry.place is not None:
            self._gone.append(entry.place)
        entry.place = place
        self._releasable.append(entry.seq)
        self._release()

    def not_shelved(self, entries: Iterable[Entry]) -> None:
        """Take back what the shelf had no room for; memory alone holds it now."""
        self._unshelved = {entry.seq: None for entry in entries} | self._unshelved
        if self.payload_bytes > SPOOL_MAX_BYTES:
            self._make_room(self.size_bytes - (self.payload_bytes - SPOOL_MAX_BYTES))

    def moved(self, seq: int, before: Place, after: Place) -> None:
        """Note that the shelf has put an entry somewhere else."""
        entry = self._entries.get(seq)
        if entry is not None and entry.place == before:
            entry.place = after
        else:
            self._gone.append(after)

    def take_gone(self) -> list[Place]:
        """Return what the shelf need not keep any more; drains."""
        gone, self._gone = self._gone, []
        return gone

    # Private.

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.seq] = entry
        self._unsent.append(entry.seq)
        if entry.worth in self._droppable:
            self._droppable[entry.worth].append(entry.seq)
        self.size_bytes += entry.size_bytes
        if entry.payload is not None:
            self.payload_bytes += entry.size_bytes
        if self._shelf is not None and entry.place is None:
            self._unshelved[entry.seq] = None

    def _read(self, entry: Entry) -> str | bytes | None:
        return self._shelf.read(entry.place) if self._shelf is not None and entry.place is not None else None

    def _release(self) -> None:
        """Take payloads that the shelf has out of memory while there are too many."""
        while self.payload_bytes > self._memory_bytes and self._releasable:
            entry = self._entries.get(self._releasable.popleft())
            if entry is not None and entry.payload is not None and entry.place is not None:
                entry.payload = None
                self.payload_bytes -= entry.size_bytes

    def _forget(self, entry: Entry) -> None:
        self._take_out(entry)
        loss = self._losses.get(entry.run_id)
        if loss is not None and loss.seq == entry.seq:
            del self._losses[entry.run_id]
        queue = self._droppable.get(entry.worth)
        if queue and queue[0] == entry.seq:
            queue.popleft()

    def _take_out(self, entry: Entry) -> None:
        del self._entries[entry.seq]
        self.size_bytes -= entry.size_bytes
        if entry.payload is not None:
            self.payload_bytes -= entry.size_bytes
        if entry.place is not None:
            self._gone.append(entry.place)

    def _make_room(self, max_bytes: int | None = None) -> None:
        bound = self._max_bytes if max_bytes is None else min(max_bytes, self._max_bytes)
        for queue in self._droppable.values():
            while self.size_bytes > bound and self._drop_oldest(queue):
                pass
        if len(self._unsent) > 2 * len(self._entries) + 64:
            self._unsent = deque(seq for seq in self._unsent if seq in self._entries)
        if len(self._unshelved) > 2 * len(self._entries) + 64:
            self._unshelved = {seq: None for seq in self._unshelved if seq in self._entries}

    def _drop_oldest(self, queue: deque[int]) -> bool:
        """Drop the oldest entry of a queue that is not in flight; return False if there is none."""
        first_unsent = self._in_flight[-1].seq + 1 if self._in_flight else 0
        protected: list[int] = []
        while queue and queue[0] < first_unsent:
            protected.append(queue.popleft())
        dropped = self._entries.get(queue.popleft()) if queue else None
        if dropped is not None:
            self._drop(dropped)
        queue.extendleft(reversed(protected))
        return dropped is not None

    def _drop(self, entry: Entry) -> None:
        """Give an entry up, and say so in its place unless a note of its run does that already."""
        if entry.worth is Worth.SAMPLES:
            self.dropped_samples += 1
            self._dropped_of[entry.run_id] = self._dropped_of.get(entry.run_id, 0) + 1
        else:
            self.dropped_progress += 1
        self._take_out(entry)
        loss = self._losses.get(entry.run_id)
        if loss is None or min(loss.seq, entry.seq) <= self._highest_sent:
            # What was sent may have arrived: then neither was it lost, nor will another note of that number be read.
            loss = Loss(entry.seq)
            self._entries[entry.seq] = Entry(entry.seq, Worth.OUTCOME, None, 0, entry.run_id)
            if entry.seq > self._highest_sent:
                self._losses[entry.run_id] = loss
        loss.add(entry)
        self._rewrite(self._entries[loss.seq], loss.note(entry.run_id))

    def _rewrite(self, note: Entry, text: str) -> None:
        if note.payload is not None:
            self.payload_bytes -= note.size_bytes
        size_bytes = _size(text)
        self.size_bytes += size_bytes - note.size_bytes
        self.payload_bytes += size_bytes
        note.payload, note.size_bytes = text, size_bytes
        if note.place is not None:
            self._gone.append(note.place)
            note.place = None
        if self._shelf is not None:
            self._unshelved[note.seq] = None


def worth_of(kind: str, data: Mapping[str, Any]) -> Worth:
    """Return what a report of this kind is worth."""
    is_bulky = kind == "event" and data.get("kind") == BULKY_EVENT
    return Worth.PROGRESS if kind == "progress" or is_bulky else Worth.OUTCOME


def _size(payload: str | bytes) -> int:
    return OVERHEAD_BYTES + len(payload.encode() if isinstance(payload, str) else payload)
