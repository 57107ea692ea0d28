"""The media engine in plain Python: for machines without compiled modules, and to read beside `_media.pyx`.

The same commands and figures on one thread of the interpreter: a few hundred streams, while signalling leaves it time.
Real-time scheduling is not here: it would hold the interpreter.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cmw.core.clock import MILLISECOND, Nanos
from cmw.errors import CapacityError, LocalProtocolError
from cmw.net.clock import monotonic_ns
from cmw.net.media import DigitEvent, MediaMode, PacingSnapshot, ReceivedFormat, TracedPacket
from cmw.net.media_pure_slot import Slot, peers_of, require_formats, require_measured, require_sendable
from cmw.net.media_pure_sockets import SocketWatch, bound_pair
from cmw.net.media_pure_thread import TICK_NS, TickThread
from cmw.net.media_pure_traffic import Traffic
from cmw.net.packet_log import PacketLog
from cmw.rtp.control import ControlSession
from cmw.rtp.extended_report import VoipRating
from cmw.rtp.jitter_buffer import USUAL_BUFFER, BufferSettings
from cmw.rtp.lateness import LatenessHistogram
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.statistics import LATE_LIMIT_NS, ReceiveStatistics
from cmw.rtp.telephone_event import QUEUED_EVENTS
from cmw.rtp.verdict import NO_PAYLOAD_TYPE

REPORT_TICKS: Final = 64
_STATIC_CODECS: Final = {0: "PCMU", 8: "PCMA"}


class PureMediaEngine:
    """Have the methods of `MediaEngine`, which tells what they do."""

    scheduling = "SCHED_OTHER, plain Python"

    def __init__(self, *, slots: int) -> None:
        if slots < 1:
            raise LocalProtocolError(f"expected slots above 0, got {slots}")
        self._most = slots
        self._slots: dict[int, Slot] = {}
        self._sources: list[tuple[bytes, int]] = []
        self._lock = threading.RLock()
        self._watch = SocketWatch()
        self._traffic = Traffic()
        self._thread = TickThread()
        self._skipped_before = 0
        self._closed = (0, 0, 0)

    @property
    def event_fd(self) -> int:
        """Return the descriptor that can be read when there is something to take."""
        return self._traffic.event_fd

    # Life.

    def start(self) -> None:
        """Start the thread."""
        self._thread.start(self._serve)

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._thread.stop()

    def cpu_seconds(self) -> float:
        """Return the CPU time of the thread."""
        return self._thread.cpu_seconds

    @property
    def open_slots(self) -> int:
        """Return how many slots are open."""
        return len(self._slots)

    # Commands.

    def add_source(self, frames: bytes, frame_bytes: int) -> int:
        """Keep frames; return the number of the source."""
        if frame_bytes < 1 or not frames or len(frames) % frame_bytes:
            raise LocalProtocolError(f"expected whole frames, got {len(frames)}/{frame_bytes}")
        self._sources.append((frames, frame_bytes))
        return len(self._sources) - 1

    def open(self, ip: str, rtp_port: int, dscp: int) -> int:
        """Bind a pair of ports; return the slot."""
        with self._lock:
            if len(self._slots) >= self._most:
                raise CapacityError(f"all {self._most} media slots are in use")
            pair = bound_pair(ip, rtp_port, dscp)
            number = next(n for n in range(self._most) if n not in self._slots)
            self._slots[number] = Slot(number, *pair)
            self._watch.add(number, pair)
            return number

    def open_beside(self, slot: int, ip: str, rtp_port: int, dscp: int) -> None:
        """Bind a second pair of ports, and hear it."""
        with self._lock:
            s = self._slot(slot)
            if s.rtp.family != (socket.AF_INET6 if ":" in ip else socket.AF_INET):
                raise LocalProtocolError(f"media slot {slot}: expected an address of its family, got {ip}")
            if s.beside is not None:
                raise LocalProtocolError(f"media slot {slot} has two pairs of ports already")
            s.beside = bound_pair(ip, rtp_port, dscp)
            self._watch.add(slot, s.beside)

    def change_pair(self, slot: int) -> None:
        """Send from the second pair, and hear the first."""
        with self._lock:
            s = self._slot(slot)
            if s.beside is None:
                raise LocalProtocolError(f"media slot {slot} has no second pair of ports")
            (s.rtp, s.rtcp), s.beside = s.beside, (s.rtp, s.rtcp)

    def close_beside(self, slot: int) -> None:
        """Read the pair that is not sent from to its end, and close it."""
        with self._lock:
            s = self._slot(slot)
            pair, s.beside = s.beside, None
            if pair is not None:
                self._traffic.read_offset()
                self._traffic.drain_pair(s, pair)
                self._watch.close(pair)

    def start_stream(
        self,
        slot: int,
        *,
        remote_ip: str,
        remote_rtp_port: int,
        remote_rtcp_port: int,
        payload_type: int,
        clock_hz: int,
        ptime_ms: int,
        source: int,
        ssrc: int,
        sequence: int,
        timestamp: int,
        cname: bytes,
        mode: int,
        event_payload_type: int | None = None,
        extended_reports: bool = True,
        jitter_buffer: BufferSettings | None = None,
        late_limit_ns: int = LATE_LIMIT_NS,
        remote_rtcp_ip: str | None = None,
        formats: Sequence[ReceivedFormat] = (),
        symmetric: bool = False,
    ) -> None:
        """Begin to send and to measure."""
        with self._lock:
            s = self._slot(slot)
            if s.state == "active":
                raise LocalProtocolError(f"media slot {slot} has a running stream")
            self._traffic.read_offset()
            require_sendable(payload_type, clock_hz, ptime_ms)
            require_measured(cname, jitter_buffer, late_limit_ns)
            peers = peers_of(s, remote_ip, remote_rtp_port, remote_rtcp_ip, remote_rtcp_port)
            frames = self._source(source) if MediaMode(mode) is MediaMode.SEND_RECEIVE else (b"", 1)
            usual = (ReceivedFormat(payload_type, _STATIC_CODECS.get(payload_type, ""), clock_hz, payload_type),)
            require_formats(formats or usual)
            s.formats = [(ReceivedFormat(*one), None) for one in (formats or usual)]
            s.format = s.formats[0][0]
            now = monotonic_ns()
            period_ns = ptime_ms * MILLISECOND
            phases = max(1, period_ns // TICK_NS)
            soon = now // TICK_NS + 2
            s.mode, s.source, s.source_began = MediaMode(mode), frames, 0
            s.sender = SendSchedule(
                start_ns=(soon + (slot - soon) % phases) * TICK_NS,
                period_ns=period_ns,
                late_bound_ns=0,
                ssrc=ssrc,
                sequence=sequence,
                timestamp=timestamp,
                timestamp_step=clock_hz * ptime_ms // 1000,
                clock_hz=clock_hz,
                payload_type=payload_type,
            )
            s.receiver = ReceiveStatistics(
                clock_hz=s.format.clock_hz,
                payload_type=s.format.payload_type,
                event_payload_type=NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type,
                late_limit_ns=late_limit_ns,
                buffer=jitter_buffer or USUAL_BUFFER,
            )
            s.control = ControlSession(
                s.sender,
                s.receiver,
                cname=cname,
                unix_offset_ns=self._traffic.offset_ns,
                seed=ssrc << 32 | timestamp,
                now=now,
                extended_reports=extended_reports,
            )
            s.clear()
            s.set_peers(*peers, symmetric)
            s.state = "active"
            for arrival in s.early:
                s.before_start -= 1
                self._traffic.take_media(s, arrival, echo=False)
            s.early.clear()
            s.counts["early_packets"] = s.receiver.packets_received

    def change_remote(
        self,
        slot: int,
        *,
        remote_ip: str,
        remote_rtp_port: int,
        remote_rtcp_port: int,
        remote_rtcp_ip: str | None = None,
        symmetric: bool = False,
    ) -> None:
        """Send to another address."""
        with self._active(slot) as s:
            peers = peers_of(s, remote_ip, remote_rtp_port, remote_rtcp_ip, remote_rtcp_port)
            s.leave_peer(monotonic_ns())
            s.set_peers(*peers, symmetric)

    def change_sending(self, slot: int, *, payload_type: int, clock_hz: int, ptime_ms: int, source: int) -> None:
        """Send another format."""
        with self._active(slot) as s:
            require_sendable(payload_type, clock_hz, ptime_ms)
            s.source = self._source(source)
            s.source_began = s.source_began * s.sender.period_ns // (ptime_ms * MILLISECOND)
            s.sender.change(
                payload_type=payload_type,
                clock_hz=clock_hz,
                period_ns=ptime_ms * MILLISECOND,
                timestamp_step=clock_hz * ptime_ms // 1000,
            )

    def change_source(self, slot: int, *, source: int) -> None:
        """Say another source, from its beginning."""
        frames = self._source(source)
        with self._active(slot) as s:
            if s.mode is not MediaMode.SEND_RECEIVE:
                raise LocalProtocolError(f"media slot {slot} has no running stream that sends a source")
            s.source, s.source_began = frames, s.sender.next_packet

    def change_receiving(
        self, slot: int, *, formats: Sequence[ReceivedFormat], event_payload_type: int | None = None
    ) -> None:
        """Take other formats, and those before them for a while."""
        require_formats(formats)
        with self._active(slot) as s:
            s.replace_formats([ReceivedFormat(*one) for one in formats], monotonic_ns())
            s.receiver.event_payload_type = NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type

    def set_sending(self, slot: int, on: bool) -> None:
        """Let RTP leave, or keep it back."""
        with self._lock:
            s = self._slot(slot)
            if s.state == "active":
                s.is_muted = not on
                s.muted_at = s.muted_at if on else s.receiver.packets_received
                if not on:
                    self._traffic.drop_digits(s)

    def send_digits(
        self, slot: int, digits: str, *, payload_type: int, duration_ms: int, pause_ms: int, volume: int
    ) -> None:
        """Send digits instead of audio."""
        if not 0 < len(digits) <= QUEUED_EVENTS:
            raise LocalProtocolError(f"expected 1 .. {QUEUED_EVENTS} digits, got {len(digits)}")
        with self._active(slot) as s:
            s.queue_digits(digits, payload_type, duration_ms, pause_ms, volume)

    def rate_streams(self, ratings: Iterable[tuple[int, int, int, int]]) -> None:
        """Say these scores in extended reports."""
        with self._lock:
            for slot, r_factor, listening, conversational in ratings:
                s = self._slot(slot)
                if s.state == "active":
                    s.control.rating = VoipRating(127, 127, r_factor, listening, conversational)

    def stop_stream(self, slot: int) -> None:
        """Stop sending, say BYE on RTCP and freeze what was measured."""
        with self._lock:
            self._end(self._slot(slot))

    def close(self, slot: int) -> None:
        """Close the sockets and free the slot."""
        with self._lock:
            s = self._slot(slot)
            self._end(s)
            self._traffic.forget(slot)
            if s.state == "stopped":
                self._skipped_before += s.sender.packets_skipped
            del self._slots[slot]
            for pair in s.pairs:
                self._watch.close(pair)

    def set_trace(self, on: bool) -> None:
        """Keep what `take_trace` returns, or no more."""
        with self._lock:
            self._traffic.set_trace(on)

    def set_label(self, slot: int, label: int) -> None:
        """Say what a slot is known by in logs."""
        with self._lock:
            self._slot(slot).label = label

    def set_log(self, slot: int, log: PacketLog | None) -> None:
        """Keep the datagrams of a slot, or no more."""
        with self._lock:
            self._slot(slot).log = log

    def set_control_log(self, log: PacketLog | None) -> None:
        """Keep the RTCP of all slots, or no more."""
        with self._lock:
            self._traffic.control_log = log

    # Looks.

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]:
        """Return packets of the trace, and how many found no room."""
        with self._lock:
            return self._traffic.take_trace(most)

    def take_events(self) -> tuple[list[DigitEvent], int]:
        """Return what became of digits, and how many found no room."""
        with self._lock:
            return self._traffic.take_events()

    def snapshot(self, slot: int) -> StreamSnapshot:
        """Return the figures of a slot."""
        with self._lock:
            return self._slot(slot).look()

    def snapshot_all(self) -> list[tuple[int, StreamSnapshot]]:
        """Return the figures of every open slot, a lock for each: sending goes on between them."""
        found = []
        for slot in sorted(self._slots):
            with contextlib.suppress(LocalProtocolError):  # closed meanwhile
                found.append((slot, self.snapshot(slot)))
        return found

    def pacing(self) -> PacingSnapshot:
        """Return how far sending was from its schedule since the engine was made."""
        with self._lock:
            return self._told(self._traffic.pacing[0], (0, 0, 0))

    def close_pacing_interval(self) -> PacingSnapshot:
        """Return the same since the last call."""
        with self._lock:
            told = self._told(self._traffic.pacing[1], self._closed)
            self._traffic.pacing = (self._traffic.pacing[0], LatenessHistogram())
            self._closed = (self._skipped(), self._thread.ticks, self._thread.missed)
            self._thread.stall_ns = 0
            return told

    # Private: state.

    def _source(self, number: int) -> tuple[bytes, int]:
        if not 0 <= number < len(self._sources):
            raise LocalProtocolError(f"source {number} was never added")
        return self._sources[number]

    def _slot(self, slot: int) -> Slot:
        if slot not in self._slots:
            raise LocalProtocolError(f"media slot {slot} is not open")
        return self._slots[slot]

    @contextlib.contextmanager
    def _active(self, slot: int) -> Iterator[Slot]:
        with self._lock:
            s = self._slot(slot)
            if s.state != "active":
                raise LocalProtocolError(f"media slot {slot} has no running stream")
            yield s

    def _skipped(self) -> int:
        return self._skipped_before + sum(
            s.sender.packets_skipped for s in self._slots.values() if hasattr(s, "sender")
        )

    def _told(self, histogram: LatenessHistogram, since: tuple[int, int, int]) -> PacingSnapshot:
        told, thread = histogram.to_dict(), self._thread
        return PacingSnapshot(
            dict(told), told["count"], told["min"], told["max"], self._skipped() - since[0], thread.ticks - since[1],
            thread.missed - since[2], thread.stall_ns / 1e6,
        )  # fmt: skip

    def _end(self, s: Slot) -> None:
        if s.state != "active":
            return
        self._traffic.read_offset()
        for pair in s.pairs:
            self._traffic.drain_pair(s, pair)
        s.sender.active = False
        self._traffic.tell_ended(s, s.digits_in.expire(1 << 63))
        if s.sender.packets_sent or s.control.rtcp_sent:
            self._traffic.report(s, bye=True)
        s.state = "stopped"

    # Private: the thread.

    def _serve(self, now: Nanos, tick: int) -> None:
        with self._lock:
            self._traffic.read_offset()
            active = [s for s in self._slots.values() if s.state == "active"]
            for s in active:
                self._traffic.send_due(s)
            for number, made, control, events in self._watch.ready():
                self._traffic.drain(self._slots[number], made, control, events)
            for s in active if tick % REPORT_TICKS == 0 else ():
                self._traffic.tell_ended(s, s.digits_in.expire(now))
                if s.control.is_due(now):
                    self._traffic.report(s)
