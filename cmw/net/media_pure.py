"""The media engine in plain Python: for machines without compiled modules, and to read beside `_media.pyx`.

The same commands and figures on one thread of the interpreter: a few hundred streams, while signalling leaves it time.
Real-time scheduling is not here: it would hold the interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from math import log10
from typing import Final, NamedTuple

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import CapacityError, LocalProtocolError
from cmw.net.clock import monotonic_ns
from cmw.net.media import (
    MAX_FORMATS,
    DigitEvent,
    DigitFate,
    MediaMode,
    PacingSnapshot,
    ReceivedFormat,
    TracedPacket,
)
from cmw.rtp._pure import stream_snapshot
from cmw.rtp.control import ControlSession
from cmw.rtp.extended_report import VoipRating
from cmw.rtp.g711 import linear_values
from cmw.rtp.jitter_buffer import USUAL_BUFFER, BufferSettings
from cmw.rtp.lateness import LatenessHistogram
from cmw.rtp.packet import HEADER_BYTES, PacketError, parse_header
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.statistics import LATE_LIMIT_NS, ReceiveStatistics
from cmw.rtp.telephone_event import EVENT_CODES, QUEUED_EVENTS, EndedEvent, EventReceiver, EventSender, require_order
from cmw.rtp.verdict import NO_PAYLOAD_TYPE, ControlVerdict, PacketVerdict

TICK_NS: Final = MILLISECOND
FORMER_NS: Final = 4 * SECOND
EARLY_PACKETS: Final = 2048
TRACE_PACKETS: Final = 8192
TOLD_DIGITS: Final = 4096
SWITCH_S: Final = 0.0005
"""How long other threads of the interpreter may go on when this one wants to run."""

_SO_TIMESTAMPNS: Final = 35  # of Linux; the socket module has no name for either
_SO_RXQ_OVFL: Final = 40
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_TIMESPEC: Final = struct.Struct("@ll")
_FULL_SCALE: Final = 1 << 30
_FLOOR_DBOV: Final = -100.0
_SPEECH_MARGIN_DB: Final = 15.9  # ITU-T P.56: speech lies less than this below its own mean level
_SPEECH_FLOOR_DBOV: Final = -60.0
_DBM0_OF_DBOV: Final = 6.2
_UNKNOWN: Final = 127  # RFC 3611 4.7.3
_SQUARES: Final = {name: [value * value for value in linear_values(name)] for name in ("PCMU", "PCMA")}
_STATIC_CODECS: Final = {0: "PCMU", 8: "PCMA"}

Where = tuple[str, int]
Sockets = tuple[socket.socket, socket.socket]
"""Of RTP and RTCP."""


class _Arrival(NamedTuple):
    data: bytes
    at_ns: Nanos
    source: Where


class _Slot:
    """A pair of sockets and the stream on it, when there is one."""

    sender: SendSchedule
    receiver: ReceiveStatistics
    control: ControlSession
    mode: MediaMode
    source: tuple[bytes, int]
    source_began: int  # number of the packet of the schedule that has its first frame
    format: ReceivedFormat
    formats: dict[int, tuple[ReceivedFormat, Nanos | None]]  # by payload type, with when it is taken no more
    events: int
    peer: Where
    control_peer: Where
    symmetric: bool
    heard_port: int | None
    heard_elsewhere: bool
    learns_control: bool
    candidate: tuple[_Arrival, int, int] | None  # its first packet, SSRC and the sequence number that must follow

    def __init__(self, number: int, rtp: socket.socket, rtcp: socket.socket) -> None:
        self.number = number
        self.rtp, self.rtcp = rtp, rtcp
        self.beside: Sockets | None = None  # that are heard too
        self.drops: Counter[socket.socket] = Counter()  # of the kernel, as of the last datagram read
        self.state = "open"
        self.early: deque[_Arrival] = deque(maxlen=EARLY_PACKETS)
        self.before_start = 0
        self.counts: dict[str, int] = {}
        self.clear()

    def clear(self) -> None:
        """Begin every figure anew."""
        names = "packets_after_stop kernel_drops rtcp_strangers rtcp_send_errors network_errors early_packets"
        self.counts = dict.fromkeys(names.split(), 0)
        self.strangers = 0
        self.energy = self.samples = 0
        self.levels: dict[int, list[int]] = {}  # energy and samples of packets by their level below overload
        self.muted_at: int | None = None
        self.is_muted = False
        self.echo_offset: int | None = None
        self.digits_out, self.digits_in = EventSender(), EventReceiver()
        self.waiting: deque[tuple[str, float]] = deque()  # digits that wait, and how long each is, milliseconds

    def set_peers(self, rtp: Where, rtcp: Where, symmetric: bool) -> None:
        """Send there, and hear what comes from there."""
        self.peer, self.control_peer, self.symmetric = rtp, rtcp, symmetric
        self.heard_port, self.candidate = None, None
        self.heard_elsewhere = self.learns_control = False


class PureMediaEngine:
    """Have the methods of `MediaEngine`, which tells what they do."""

    scheduling = "SCHED_OTHER, plain Python"

    def __init__(self, *, slots: int) -> None:
        if slots < 1:
            raise LocalProtocolError(f"expected slots above 0, got {slots}")
        self._most = slots
        self._slots: dict[int, _Slot] = {}
        self._by_fd: dict[int, tuple[int, socket.socket, bool]] = {}
        self._sources: list[tuple[bytes, int]] = []
        self._lock = threading.RLock()
        self._epoll = select.epoll()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._cpu_s = 0.0
        self._offset_ns = 0
        self._pacing = (LatenessHistogram(), LatenessHistogram())  # in all, and of the interval
        self._ticks = self._missed = self._skipped_before = 0
        self._closed = (0, 0, 0)
        self._stall_ns = 0
        self._trace: deque[TracedPacket] | None = None
        self._trace_lost = 0
        self._told_digits: list[DigitEvent] = []
        self._told_lost = 0
        self.event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        """Give the descriptor back."""
        if hasattr(self, "event_fd"):
            os.close(self.event_fd)

    # Life.

    def start(self) -> None:
        """Start the thread."""
        if self._thread is not None:
            raise LocalProtocolError("the media engine runs already")
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="cmw-media", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_stopping = True
            thread.join()

    def cpu_seconds(self) -> float:
        """Return the CPU time of the thread."""
        return self._cpu_s

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
            pair = _bound_pair(ip, rtp_port, dscp)
            number = next(n for n in range(self._most) if n not in self._slots)
            self._slots[number] = _Slot(number, *pair)
            self._watch(number, pair)
            return number

    def open_beside(self, slot: int, ip: str, rtp_port: int, dscp: int) -> None:
        """Bind a second pair of ports, and hear it."""
        with self._lock:
            s = self._slot(slot)
            if s.rtp.family != (socket.AF_INET6 if ":" in ip else socket.AF_INET):
                raise LocalProtocolError(f"media slot {slot}: expected an address of its family, got {ip}")
            if s.beside is not None:
                raise LocalProtocolError(f"media slot {slot} has two pairs of ports already")
            s.beside = _bound_pair(ip, rtp_port, dscp)
            self._watch(slot, s.beside)

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
                self._read_offset()
                self._drain_pair(s, pair)
                self._unwatch(s, pair)

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
            self._read_offset()
            _require_sendable(payload_type, clock_hz, ptime_ms)
            if len(cname) > 255:
                raise LocalProtocolError(f"cname: expected up to 255 bytes, got {len(cname)}")
            if jitter_buffer is not None and not jitter_buffer.is_sound():
                raise LocalProtocolError(f"jitter_buffer: expected 0 <= min <= start <= max, got {jitter_buffer}")
            if not 0 <= late_limit_ns <= 60 * SECOND:
                raise LocalProtocolError(f"late_limit_ns: expected 0 .. {60 * SECOND}, got {late_limit_ns}")
            peers = _peers(s, remote_ip, remote_rtp_port, remote_rtcp_ip, remote_rtcp_port)
            frames = self._source(source) if MediaMode(mode) is MediaMode.SEND_RECEIVE else (b"", 1)
            usual = (ReceivedFormat(payload_type, _STATIC_CODECS.get(payload_type, ""), clock_hz, payload_type),)
            _require_formats(formats or usual)
            s.formats = {one.payload_type: (ReceivedFormat(*one), None) for one in (formats or usual)}
            s.format = ReceivedFormat(*(formats or usual)[0])
            s.events = NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type
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
                event_payload_type=s.events,
                late_limit_ns=late_limit_ns,
                buffer=jitter_buffer or USUAL_BUFFER,
            )
            s.control = ControlSession(
                s.sender,
                s.receiver,
                cname=cname,
                unix_offset_ns=self._offset_ns,
                seed=ssrc << 32 | timestamp,
                now=now,
                extended_reports=extended_reports,
            )
            s.clear()
            s.set_peers(*peers, symmetric)
            s.state = "active"
            for arrival in s.early:
                s.before_start -= 1
                self._take_media(s, arrival, echo=False)
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
            s.set_peers(*_peers(s, remote_ip, remote_rtp_port, remote_rtcp_ip, remote_rtcp_port), symmetric)

    def change_sending(self, slot: int, *, payload_type: int, clock_hz: int, ptime_ms: int, source: int) -> None:
        """Send another format."""
        with self._active(slot) as s:
            _require_sendable(payload_type, clock_hz, ptime_ms)
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
        _require_formats(formats)
        with self._active(slot) as s:
            until = monotonic_ns() + FORMER_NS
            former = {number: (one, min(end or until, until)) for number, (one, end) in s.formats.items()}
            s.formats = former | {one[0]: (ReceivedFormat(*one), None) for one in formats}
            s.events = NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type
            self._set_format(s, s.formats[s.format.payload_type][0], is_new=True)

    def set_sending(self, slot: int, on: bool) -> None:
        """Let RTP leave, or keep it back."""
        with self._lock:
            s = self._slot(slot)
            if s.state == "active":
                s.is_muted = not on
                s.muted_at = s.muted_at if on else s.receiver.packets_received
                if not on:
                    self._drop_digits(s)

    def send_digits(
        self, slot: int, digits: str, *, payload_type: int, duration_ms: int, pause_ms: int, volume: int
    ) -> None:
        """Send digits instead of audio."""
        if not 0 < len(digits) <= QUEUED_EVENTS:
            raise LocalProtocolError(f"expected 1 .. {QUEUED_EVENTS} digits, got {len(digits)}")
        with self._active(slot) as s:
            duration, pause = (each * s.sender.clock_hz // 1000 for each in (duration_ms, pause_ms))
            for digit in digits:
                try:
                    require_order(EVENT_CODES.find(digit), payload_type, volume, duration, pause)
                except ValueError as error:
                    raise LocalProtocolError(f"digit {digit!r}: {error}") from None
            if s.mode is not MediaMode.SEND_RECEIVE or s.is_muted:
                raise LocalProtocolError(f"media slot {slot} sends no stream of its own that digits could be part of")
            if len(digits) > (room := QUEUED_EVENTS - len(s.digits_out)):
                raise LocalProtocolError(f"expected up to {room} digits beside those that wait, got {len(digits)}")
            for digit in digits:
                s.digits_out.queue(
                    EVENT_CODES.index(digit), payload_type=payload_type, volume=volume, duration=duration, pause=pause
                )
                s.waiting.append((digit, duration * 1000 / s.sender.clock_hz))

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
            self._told_digits = [event for event in self._told_digits if event.slot != slot]
            if s.state == "stopped":
                self._skipped_before += s.sender.packets_skipped
            del self._slots[slot]
            for pair in _pairs_of(s):
                self._unwatch(s, pair)

    def set_trace(self, on: bool) -> None:
        """Keep what `take_trace` returns, or no more."""
        with self._lock:
            self._trace = deque() if on else None

    # Looks.

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]:
        """Return packets of the trace, and how many found no room."""
        with self._lock:
            lost, self._trace_lost = self._trace_lost, 0
            kept = self._trace or deque()
            return [kept.popleft() for _ in range(min(most, len(kept)))], lost

    def take_events(self) -> tuple[list[DigitEvent], int]:
        """Return what became of digits, and how many found no room."""
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.event_fd)
            told, self._told_digits = self._told_digits, []
            lost, self._told_lost = self._told_lost, 0
            return told, lost

    def snapshot(self, slot: int) -> StreamSnapshot:
        """Return the figures of a slot."""
        with self._lock:
            return self._look(self._slot(slot))

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
            return self._told(self._pacing[0], (0, 0, 0))

    def close_pacing_interval(self) -> PacingSnapshot:
        """Return the same since the last call."""
        with self._lock:
            told = self._told(self._pacing[1], self._closed)
            self._pacing = (self._pacing[0], LatenessHistogram())
            self._closed = (self._skipped(), self._ticks, self._missed)
            self._stall_ns = 0
            return told

    # Private: state.

    def _source(self, number: int) -> tuple[bytes, int]:
        if not 0 <= number < len(self._sources):
            raise LocalProtocolError(f"source {number} was never added")
        return self._sources[number]

    def _watch(self, number: int, pair: Sockets) -> None:
        for made, control in zip(pair, (False, True), strict=True):
            self._by_fd[made.fileno()] = (number, made, control)
            self._epoll.register(made.fileno(), select.EPOLLIN)

    def _unwatch(self, s: _Slot, pair: Sockets) -> None:
        for made in pair:
            self._epoll.unregister(made.fileno())
            del self._by_fd[made.fileno()], s.drops[made]
            made.close()

    def _slot(self, slot: int) -> _Slot:
        if slot not in self._slots:
            raise LocalProtocolError(f"media slot {slot} is not open")
        return self._slots[slot]

    @contextlib.contextmanager
    def _active(self, slot: int) -> Iterator[_Slot]:
        with self._lock:
            s = self._slot(slot)
            if s.state != "active":
                raise LocalProtocolError(f"media slot {slot} has no running stream")
            yield s

    def _look(self, s: _Slot) -> StreamSnapshot:
        if not hasattr(s, "sender"):
            sender = SendSchedule(
                start_ns=0, period_ns=1, late_bound_ns=0, ssrc=0, sequence=0, timestamp=0, timestamp_step=0,
                clock_hz=1, payload_type=0,
            )  # fmt: skip
            receiver = ReceiveStatistics(clock_hz=1, payload_type=0, event_payload_type=NO_PAYLOAD_TYPE)
            control = ControlSession(sender, receiver, cname=b"", unix_offset_ns=0, seed=0, now=0)
        else:
            sender, receiver, control = s.sender, s.receiver, s.control
        seen = stream_snapshot(sender, receiver, control)
        speech, noise = _split_levels(s.levels)
        return seen._replace(
            strangers=seen.strangers + s.strangers,
            packets_before_start=s.before_start,
            packets_at_mute=s.muted_at,
            received_energy=float(s.energy),
            received_samples=s.samples,
            received_level_dbov=_to_dbov(s.energy, s.samples) if s.samples else None,
            signal_level_dbov=speech,
            noise_level_dbov=noise,
            **s.counts,  # type: ignore[arg-type]
        )

    def _skipped(self) -> int:
        return self._skipped_before + sum(
            s.sender.packets_skipped for s in self._slots.values() if hasattr(s, "sender")
        )

    def _told(self, histogram: LatenessHistogram, since: tuple[int, int, int]) -> PacingSnapshot:
        told = histogram.to_dict()
        return PacingSnapshot(
            dict(told), told["count"], told["min"], told["max"], self._skipped() - since[0], self._ticks - since[1],
            self._missed - since[2], self._stall_ns / 1e6,
        )  # fmt: skip

    def _end(self, s: _Slot) -> None:
        if s.state != "active":
            return
        self._read_offset()
        for pair in _pairs_of(s):
            self._drain_pair(s, pair)
        s.sender.active = False
        self._tell_ended(s, s.digits_in.expire(1 << 63))
        if s.sender.packets_sent or s.control.rtcp_sent:
            self._report(s, bye=True)
        s.state = "stopped"

    # Private: the thread.

    def _run(self) -> None:
        wake = (monotonic_ns() // TICK_NS + 1) * TICK_NS
        reported = 0
        while not self._is_stopping:
            time.sleep(max(0, wake - monotonic_ns()) / SECOND)
            with self._lock:
                now = monotonic_ns()
                self._stall_ns = max(self._stall_ns, now - wake)
                self._ticks += 1
                self._read_offset()
                for s in self._slots.values():
                    if s.state == "active":
                        self._send_due(s)
                for fd, events in self._epoll.poll(0, 4096):
                    number, made, control = self._by_fd[fd]
                    self._drain(self._slots[number], made, control, events)
                if self._ticks - reported >= 64:
                    reported = self._ticks
                    for s in self._slots.values():
                        if s.state == "active":
                            self._tell_ended(s, s.digits_in.expire(now))
                            if s.control.is_due(now):
                                self._report(s)
                self._cpu_s = time.thread_time()
            missed = max(0, (monotonic_ns() - wake) // TICK_NS)
            self._missed += missed
            wake += (missed + 1) * TICK_NS

    def _read_offset(self) -> None:
        self._offset_ns = time.time_ns() - monotonic_ns()

    # Private: sending.

    def _send_due(self, s: _Slot) -> None:
        due = s.sender.next_due()
        if s.mode is not MediaMode.SEND_RECEIVE or due is None or due > (now := monotonic_ns()):
            return
        if not s.sender.pull_due(now, 0):
            return
        if s.is_muted:
            s.sender.keep_back()
            return
        for histogram in self._pacing:
            histogram.record(s.sender.lateness_ns / 1000)
        event = s.digits_out.next_packet(s.sender.next_timestamp, s.sender.timestamp_step)
        if event is not None:
            packet = bytearray(HEADER_BYTES) + event.payload
            s.sender.stamp_event(packet, event.payload_type, event.timestamp, event.marker)
            self._send(s, packet)
            if event.is_over:
                self._tell(s, DigitFate.SENT, *s.waiting.popleft())
            return
        frames, size = s.source
        start = (s.sender.next_packet - s.source_began) * size % len(frames)
        packet = bytearray(HEADER_BYTES) + frames[start : start + size]
        s.sender.stamp(packet)
        self._send(s, packet)

    def _drop_digits(self, s: _Slot) -> None:
        s.digits_out.drop()
        for digit, _ in s.waiting:
            self._tell(s, DigitFate.DROPPED, digit, 0.0)
        s.waiting.clear()

    def _tell(self, s: _Slot, fate: DigitFate, digit: str, duration_ms: float) -> None:
        if len(self._told_digits) == TOLD_DIGITS:
            self._told_lost += 1
            return
        self._told_digits.append(DigitEvent(s.number, fate, digit, duration_ms))
        os.eventfd_write(self.event_fd, 1)

    def _tell_ended(self, s: _Slot, ended: list[EndedEvent]) -> None:
        for code, duration in ended:
            self._tell(s, DigitFate.RECEIVED, EVENT_CODES[code], duration * 1000 / s.receiver.clock_hz)

    def _send(self, s: _Slot, packet: bytearray) -> None:
        try:
            _send_twice(s.rtp, packet, s.peer)
        except OSError as error:
            s.sender.send_failed()
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM):
                s.sender.send_errors -= 1
                s.sender.packets_skipped += 1
        else:
            self._note(s.rtp, True, False, bytes(packet), monotonic_ns(), s.peer)

    def _report(self, s: _Slot, *, bye: bool = False) -> None:
        if not s.control_peer[1]:
            return
        levels = [_UNKNOWN if at is None else round(at + _DBM0_OF_DBOV) for at in _split_levels(s.levels)]
        s.control.rating = VoipRating(levels[0], levels[1], *s.control.rating[2:])
        report = s.control.build(now=monotonic_ns(), bye=bye)
        made = s.rtp if s.peer == s.control_peer else s.rtcp
        try:
            _send_twice(made, report, s.control_peer)
        except OSError:
            s.counts["rtcp_send_errors"] += 1
        else:
            self._note(made, True, made is s.rtcp, report, monotonic_ns(), s.control_peer)

    # Private: receiving.

    def _drain_pair(self, s: _Slot, pair: Sockets) -> None:
        for made, control in zip(pair, (False, True), strict=True):
            while self._read(s, made, control):
                pass

    def _drain(self, s: _Slot, made: socket.socket, control: bool, events: int) -> None:
        while events & select.EPOLLERR:
            try:
                made.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:
                break
            s.counts["rtcp_send_errors" if control else "network_errors"] += 1
        for _ in range(64):
            if not events & select.EPOLLIN or not self._read(s, made, control):
                break

    def _read(self, s: _Slot, made: socket.socket, control: bool) -> bool:
        """Take one datagram off a socket; return whether there may be more."""
        try:
            data, ancillary, _, source = made.recvmsg(4096, 256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        now = at_ns = monotonic_ns()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, rest = _TIMESPEC.unpack(value[: _TIMESPEC.size])
                at_ns = seconds * SECOND + rest - self._offset_ns
            elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                drops = int.from_bytes(value[:4], sys.byteorder)
                s.counts["kernel_drops"] += (drops - s.drops[made]) % (1 << 32)
                s.drops[made] = drops
        arrival = _Arrival(data, at_ns if now - 5 * SECOND < at_ns <= now else now, source[:2])
        self._note(made, False, control, data, arrival.at_ns, arrival.source)
        if control:
            self._take_control(s, arrival)
        elif s.state == "open":
            s.before_start += 1
            s.early.append(arrival)
        elif s.state == "stopped":
            s.counts["packets_after_stop"] += 1
        else:
            self._take_media(s, arrival)
        return True

    def _take_media(self, s: _Slot, arrival: _Arrival, *, echo: bool = True) -> None:
        """Count what is the peer's; see the head of `_media.pyx` for what is."""
        ip, port = arrival.source
        if ip == s.peer[0] and port in (s.heard_port, s.peer[1]):
            if port == s.peer[1] != s.heard_port:
                self._hear_negotiated(s)
            self._count(s, arrival, echo)
            return
        s.strangers += 1
        if not (s.symmetric or (s.heard_port is None and ip == s.peer[0])):
            return
        try:
            header = parse_header(arrival.data)
        except PacketError:
            return
        first = s.candidate
        if first is None or (first[0].source, *first[1:]) != (arrival.source, header.ssrc, header.seq):
            s.candidate = (arrival, header.ssrc, (header.seq + 1) % 65536)
            return
        s.candidate = None
        s.strangers -= 2
        if s.symmetric:
            self._follow(s, arrival.source)
        else:
            s.heard_port, s.heard_elsewhere = port, True
        self._count(s, first[0], echo)
        self._count(s, arrival, echo)

    def _hear_negotiated(self, s: _Slot) -> None:
        s.heard_port = s.peer[1]
        if s.heard_elsewhere:
            s.heard_elsewhere = False
            s.strangers += s.receiver.packets_received
            s.receiver.begin_anew()
            s.energy = s.samples = 0
            s.levels = {}

    def _follow(self, s: _Slot, source: Where) -> None:
        """Send to `source` from now on, for good."""
        shared = s.control_peer[1] == s.peer[1]
        s.symmetric, s.heard_port = False, source[1]
        if source != s.peer:
            s.peer = source
            s.control_peer = source if shared else (source[0], source[1] + 1)
            s.learns_control = not shared

    def _count(self, s: _Slot, arrival: _Arrival, echo: bool) -> None:
        try:
            header = parse_header(arrival.data)
        except PacketError:
            header = None
        if header is not None and header.payload_type != s.format.payload_type:
            known, until = s.formats.get(header.payload_type, (None, None))
            if known is not None and (until is None or arrival.at_ns <= until):
                self._set_format(s, known)
        verdict = s.receiver.receive(arrival.data, arrival.at_ns)
        if verdict == PacketVerdict.IS_RTCP:
            s.control.receive(arrival.data, arrival.at_ns)
        if header is None or verdict > PacketVerdict.NEW_SSRC:
            return
        if s.symmetric:
            self._follow(s, arrival.source)
        payload = arrival.data[header.payload_offset : header.payload_offset + header.payload_bytes]
        if header.payload_type == s.events:
            self._tell_ended(s, s.digits_in.receive(payload, header.timestamp, arrival.at_ns))
        elif header.seq % 4 == 0 and (squares := _SQUARES.get(s.format.codec)) is not None:
            self._measure(s, sum(map(squares.__getitem__, payload)), len(payload))
        if echo and s.mode is MediaMode.ECHO and verdict != PacketVerdict.DUPLICATE and not s.is_muted:
            if s.echo_offset is None:
                s.echo_offset = s.sender.first_timestamp - header.timestamp
            is_audio = header.payload_type == s.format.payload_type
            s.sender.payload_type = s.format.echo_as if is_audio else header.payload_type
            packet = bytearray(HEADER_BYTES) + payload
            timestamp = (header.timestamp + s.echo_offset) % (1 << 32)
            s.sender.stamp_as(packet, timestamp, header.marker, now=monotonic_ns())
            self._send(s, packet)

    def _measure(self, s: _Slot, energy: int, samples: int) -> None:
        if samples:
            s.energy += energy
            s.samples += samples
            level = s.levels.setdefault(int(-min(0.0, _to_dbov(energy, samples))), [0, 0])
            level[0] += energy
            level[1] += samples

    def _set_format(self, s: _Slot, found: ReceivedFormat, *, is_new: bool = False) -> None:
        is_other = found.payload_type != s.format.payload_type or found.clock_hz != s.format.clock_hz
        s.format = found
        if is_other or is_new:
            s.receiver.change_payload(
                payload_type=found.payload_type, event_payload_type=s.events, clock_hz=found.clock_hz
            )

    def _take_control(self, s: _Slot, arrival: _Arrival) -> None:
        if s.state == "open" or arrival.source[0] != s.control_peer[0]:
            s.counts["rtcp_strangers"] += 1
        elif s.control.receive(arrival.data, arrival.at_ns) <= ControlVerdict.BYE_RECEIVED and s.learns_control:
            s.learns_control = False
            s.control_peer = arrival.source

    def _note(self, made: socket.socket, sent: bool, control: bool, data: bytes, at_ns: Nanos, remote: Where) -> None:
        """Keep a packet for `take_trace`."""
        if self._trace is None:
            return
        if len(self._trace) >= TRACE_PACKETS:
            self._trace_lost += 1
            return
        port, at_unix_ns, size = made.getsockname()[1], at_ns + self._offset_ns, len(data)
        if control or (size >= 2 and 192 <= data[1] <= 223):
            ssrc, numbers = int.from_bytes(data[4:8]), (0, 0, data[1] if size >= 2 else 0, False)
        else:
            header = data[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
            _, second, seq, timestamp, ssrc = struct.unpack("!BBHII", header)
            numbers = (seq, timestamp, second & 0x7F, second > 127)
        self._trace.append(TracedPacket(at_unix_ns, sent, control, port, remote[0], remote[1], ssrc, *numbers, size))


def _to_dbov(energy: int, samples: int) -> float:
    return max(_FLOOR_DBOV, 10 * log10(energy / samples / _FULL_SCALE)) if energy else _FLOOR_DBOV


def _split_levels(levels: dict[int, list[int]]) -> tuple[float | None, float | None]:
    """Tell speech and pauses apart: from the loudest packets down, speech ends far below the mean of those before."""
    heard, rest = [0, 0], [0, 0]
    is_speech = True
    for below, (energy, samples) in sorted(levels.items()):
        if is_speech:
            is_speech = below <= -_SPEECH_FLOOR_DBOV
            is_speech = is_speech and (not heard[1] or _to_dbov(*heard) + below < _SPEECH_MARGIN_DB)
        part = heard if is_speech else rest
        part[0] += energy
        part[1] += samples
    return _to_dbov(*heard) if heard[1] else None, _to_dbov(*rest) if rest[1] else None


def _require_sendable(payload_type: int, clock_hz: int, ptime_ms: int) -> None:
    if not 0 <= payload_type <= 127 or clock_hz < 1 or not 1 <= ptime_ms <= 1000:
        raise LocalProtocolError(
            f"expected payload_type 0 .. 127, clock_hz > 0 and ptime_ms 1 .. 1000, "
            f"got {payload_type}, {clock_hz} and {ptime_ms}"
        )


def _require_formats(formats: Sequence[ReceivedFormat]) -> None:
    if not 1 <= len(formats) <= MAX_FORMATS:
        raise LocalProtocolError(f"expected 1 .. {MAX_FORMATS} received formats, got {len(formats)}")
    for payload_type, _, clock_hz, echo_as in formats:
        if not 0 <= payload_type <= 127 or not 0 <= echo_as <= 127 or not 1 <= clock_hz <= 10_000_000:
            raise LocalProtocolError(f"expected payload types of 0 .. 127 and a clock, got {payload_type}, {clock_hz}")


def _peers(s: _Slot, ip: str, port: int, control_ip: str | None, control_port: int) -> tuple[Where, Where]:
    """Return both addresses to send to; refuses names and the other family."""
    found: list[Where] = []
    for host, number in ((ip, port), (ip if control_ip is None else control_ip, control_port)):
        if not 0 <= number <= 65535:
            raise LocalProtocolError(f"remote port {number}: expected 0 .. 65535")
        try:
            packed = socket.inet_pton(s.rtp.family, host)
        except OSError:
            kind = "IPv6" if s.rtp.family == socket.AF_INET6 else "IPv4"
            raise LocalProtocolError(f"remote_ip {host!r}: expected a literal {kind} address") from None
        found.append((socket.inet_ntop(s.rtp.family, packed), number))
    return found[0], found[1]


def _send_twice(made: socket.socket, data: bytes | bytearray, where: Where) -> None:
    """Send; once more after an error, which may be the ICMP answer to an earlier packet."""
    try:
        made.sendto(data, where)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOBUFS):
            raise
        made.sendto(data, where)


def _pairs_of(s: _Slot) -> list[Sockets]:
    return [(s.rtp, s.rtcp), *([s.beside] if s.beside is not None else [])]


def _bound_pair(ip: str, rtp_port: int, dscp: int) -> Sockets:
    rtp = _bound_socket(ip, rtp_port, dscp)
    try:
        return rtp, _bound_socket(ip, rtp_port + 1, dscp)
    except BaseException:
        rtp.close()
        raise


def _bound_socket(ip: str, port: int, dscp: int) -> socket.socket:
    """Return a socket that dates what it receives, counts what it drops and hears ICMP errors."""
    if not 1 <= port <= 65535 or not 0 <= dscp <= 63:
        raise LocalProtocolError(f"expected a port in 1 .. 65535 and a dscp in 0 .. 63, got {port} and {dscp}")
    try:
        made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise CapacityError(f"no descriptor left for a media socket: {error.strerror}") from error
        raise
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if ":" in ip:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        made.bind((ip, port))
    except BaseException:
        made.close()
        raise
    return made
