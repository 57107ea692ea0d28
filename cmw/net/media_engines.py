"""Several media engines, a thread each, as one: each new stream goes to the one that has the fewest.

A thread wakes a thousand times a second, however few streams it has. So the first takes all until it has
STREAMS_OF_A_THREAD, and each further one is started when those before it have as many.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cmw._twin import pure_wanted
from cmw.errors import CapacityError, LocalProtocolError
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net.media import DigitEvent, PacingSnapshot, TracedPacket
from cmw.net.media_pure import PureMediaEngine
from cmw.net.packet_log import PacketLog
from cmw.rtp.snapshot import StreamSnapshot

if TYPE_CHECKING:
    from cmw.net._media import MediaEngine

STREAMS_OF_A_THREAD = 100
"""Streams on each thread before one more is made use of: a tenth of what one carries with ease."""


def is_compiled() -> bool:
    """Tell whether the compiled engine is there, and wanted: CMW_PURE=1 asks for the one in plain Python.

    One that is there but does not load is an error, not a reason to fall back.
    """
    if pure_wanted():
        return False
    try:
        import cmw.net._media  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "cmw.net._media":
            raise
        return False
    return True


class MediaEngines:
    """Have the methods of one `MediaEngine`, which tells what they do; slot numbers are of all engines together.

    Args:
        slots: streams that can be open at once.
        threads: media threads at most, 1 or more; in plain Python there is one, for they would take turns.
        realtime: ask for SCHED_FIFO; `scheduling` tells what was granted.
    """

    def __init__(self, *, slots: int, threads: int = 1, realtime: bool = True) -> None:
        if threads < 1:
            raise LocalProtocolError(f"threads: expected 1 or more, got {threads}")
        self.is_compiled = is_compiled()
        self._engines = _make(slots, threads, realtime) if self.is_compiled else [PureMediaEngine(slots=slots)]
        self._slots = slots
        self._used = 0  # threads that have been started
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many threads there may be."""
        return len(self._engines)

    # Commands.

    def start(self) -> None:
        """Start the first thread; the others follow when there are streams for them."""
        with self._lock:
            self._engines[0].start()
            self._used = 1

    def stop(self) -> None:
        """End every thread and wait for it."""
        with self._lock:
            for engine in self._engines[: self._used]:
                engine.stop()
            self._used = 0

    def add_source(self, frames: bytes, frame_bytes: int) -> int:
        """Keep a source for the streams of every thread, under one number."""
        with self._lock:
            numbers = [engine.add_source(frames, frame_bytes) for engine in self._engines]
        return numbers[0]

    def open(self, ip: str, rtp_port: int, dscp: int) -> int:
        """Bind a pair of ports for the thread that has the fewest streams; return the slot."""
        with self._lock:
            taken = self.open_slots
            if taken >= self._slots:
                raise CapacityError(f"all {self._slots} media slots are in use")
            self._use(taken // STREAMS_OF_A_THREAD + 1)
            candidates = self._engines[: max(1, self._used)]
            index, engine = min(enumerate(candidates), key=lambda each: each[1].open_slots)
            return engine.open(ip, rtp_port, dscp) * len(self._engines) + index

    def open_beside(self, slot: int, ip: str, rtp_port: int, dscp: int) -> None:
        """Bind a second pair of ports, which is heard too."""
        engine, its_slot = self._at(slot)
        engine.open_beside(its_slot, ip, rtp_port, dscp)

    def change_pair(self, slot: int) -> None:
        """Send from the second pair."""
        engine, its_slot = self._at(slot)
        engine.change_pair(its_slot)

    def close_beside(self, slot: int) -> None:
        """Close the pair that is not sent from."""
        engine, its_slot = self._at(slot)
        engine.close_beside(its_slot)

    def start_stream(self, slot: int, **settings: Any) -> None:
        """Begin to send and to measure."""
        engine, its_slot = self._at(slot)
        engine.start_stream(its_slot, **settings)

    def change_remote(self, slot: int, **remote: Any) -> None:
        """Send to another address."""
        engine, its_slot = self._at(slot)
        engine.change_remote(its_slot, **remote)

    def change_sending(self, slot: int, **sending: Any) -> None:
        """Send another format."""
        engine, its_slot = self._at(slot)
        engine.change_sending(its_slot, **sending)

    def change_source(self, slot: int, *, source: int) -> None:
        """Say another source from its beginning."""
        engine, its_slot = self._at(slot)
        engine.change_source(its_slot, source=source)

    def change_receiving(self, slot: int, **receiving: Any) -> None:
        """Take other formats."""
        engine, its_slot = self._at(slot)
        engine.change_receiving(its_slot, **receiving)

    def set_sending(self, slot: int, on: bool) -> None:
        """Let RTP leave, or keep it back."""
        engine, its_slot = self._at(slot)
        engine.set_sending(its_slot, on)

    def send_digits(self, slot: int, digits: str, **order: int) -> None:
        """Send digits instead of audio."""
        engine, its_slot = self._at(slot)
        engine.send_digits(its_slot, digits, **order)

    def rate_streams(self, ratings: Iterable[tuple[int, int, int, int]]) -> None:
        """Say these scores in extended reports."""
        shares: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        for slot, *scores in ratings:
            its_slot, index = divmod(slot, len(self._engines))
            shares[index].append((its_slot, *scores))  # type: ignore[arg-type]
        for index, share in shares.items():
            self._engines[index].rate_streams(share)

    def stop_stream(self, slot: int) -> None:
        """Stop sending and freeze what was measured."""
        engine, its_slot = self._at(slot)
        engine.stop_stream(its_slot)

    def close(self, slot: int) -> None:
        """Close the sockets and free the slot."""
        engine, its_slot = self._at(slot)
        engine.close(its_slot)

    def set_trace(self, on: bool) -> None:
        """Keep what `take_trace` returns, or no more."""
        for engine in self._engines:
            engine.set_trace(on)

    def set_label(self, slot: int, label: int) -> None:
        """Say what a slot is known by in logs."""
        engine, its_slot = self._at(slot)
        engine.set_label(its_slot, label)

    def set_log(self, slot: int, log: PacketLog | None) -> None:
        """Keep the datagrams of a slot, or no more."""
        engine, its_slot = self._at(slot)
        engine.set_log(its_slot, log)

    def set_control_logs(self, logs: Sequence[PacketLog | None]) -> None:
        """Keep the RTCP of all slots, or no more.

        Args:
            logs: one for each thread.
        """
        for engine, log in zip(self._engines, logs, strict=True):
            engine.set_control_log(log)

    # Looks.

    @property
    def scheduling(self) -> str:
        """Tell what the threads were granted: ``SCHED_FIFO``, or ``3 of SCHED_FIFO, 1 of SCHED_OTHER``."""
        granted = Counter([engine.scheduling for engine in self._engines if engine.scheduling] or [""])
        if len(granted) == 1:
            return next(iter(granted))
        return ", ".join(f"{count} of {name}" for name, count in sorted(granted.items()))

    @property
    def open_slots(self) -> int:
        """Return how many slots are open."""
        return sum(engine.open_slots for engine in self._engines)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all threads."""
        return sum(engine.cpu_seconds() for engine in self._engines)

    def snapshot(self, slot: int) -> StreamSnapshot:
        """Return the figures of a slot."""
        engine, its_slot = self._at(slot)
        return engine.snapshot(its_slot)

    def snapshot_all(self) -> list[tuple[int, StreamSnapshot]]:
        """Return the figures of every open slot."""
        count = len(self._engines)
        return [
            (slot * count + index, seen)
            for index, engine in enumerate(self._engines)
            for slot, seen in engine.snapshot_all()
        ]

    def wakes(self) -> list[int]:
        """Return how often each thread that was started has woken."""
        return [engine.pacing().ticks for engine in self._engines[: self._used]]

    def pacing(self) -> PacingSnapshot:
        """Return how far sending was from its schedule since the engines were made."""
        return _merge([engine.pacing() for engine in self._engines])

    def close_pacing_interval(self) -> PacingSnapshot:
        """Return the same since the last call."""
        return _merge([engine.close_pacing_interval() for engine in self._engines])

    @property
    def event_fds(self) -> list[int]:
        """Return descriptors of which one can be read from while `take_events` has something to tell."""
        return [engine.event_fd for engine in self._engines]

    def take_events(self) -> tuple[list[DigitEvent], int]:
        """Return what became of digits since the last call, and how many found no room."""
        count, found, missed = len(self._engines), [], 0
        for index, engine in enumerate(self._engines):
            events, lost = engine.take_events()
            found += [event._replace(slot=event.slot * count + index) for event in events]
            missed += lost
        return found, missed

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]:
        """Return up to `most` packets of the trace in the order of their times, and how many found no room."""
        share = -(-most // len(self._engines))
        taken = [engine.take_trace(share) for engine in self._engines]
        return sorted(packet for packets, _ in taken for packet in packets), sum(lost for _, lost in taken)

    # Private.

    def _use(self, threads: int) -> None:
        """Start further threads, if any thread runs; none is stopped before the end."""
        while 0 < self._used < min(threads, len(self._engines)):
            self._engines[self._used].start()
            self._used += 1

    def _at(self, slot: int) -> tuple[MediaEngine | PureMediaEngine, int]:
        its_slot, index = divmod(slot, len(self._engines))
        return self._engines[index], its_slot


def _make(slots: int, threads: int, realtime: bool) -> list[MediaEngine | PureMediaEngine]:
    from cmw.net._media import MediaEngine

    each = -(-slots // threads)
    return [MediaEngine(slots=each, realtime=realtime) for _ in range(threads)]


def _merge(parts: list[PacingSnapshot]) -> PacingSnapshot:
    if len(parts) == 1:
        return parts[0]
    histogram = ExponentialHistogram()
    for part in parts:
        histogram.merge(ExponentialHistogram.from_dict(part.histogram))
    least = [part.min_us for part in parts if part.min_us is not None]
    most = [part.max_us for part in parts if part.max_us is not None]
    return PacingSnapshot(
        histogram.to_dict(),
        sum(part.packets for part in parts),
        min(least, default=None),
        max(most, default=None),
        sum(part.skipped for part in parts),
        sum(part.ticks for part in parts),
        sum(part.ticks_missed for part in parts),
        max(part.stall_ms for part in parts),
    )
