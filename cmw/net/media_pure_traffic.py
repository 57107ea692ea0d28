"""Packets of the media engine in plain Python: sent when they are due, received, counted and told of."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections import deque
from typing import Final

from cmw.core.clock import Nanos
from cmw.net.clock import monotonic_ns
from cmw.net.media import DigitEvent, DigitFate, MediaMode, TracedPacket
from cmw.net.media_pure_slot import Slot
from cmw.net.media_pure_sockets import Arrival, Sockets, Where, receive, send_twice
from cmw.net.packet_log import LoggedPacket, PacketLog
from cmw.rtp.extended_report import UNAVAILABLE, VoipRating
from cmw.rtp.lateness import LatenessHistogram
from cmw.rtp.packet import HEADER_BYTES, PacketError, parse_header
from cmw.rtp.telephone_event import EVENT_CODES, EndedEvent
from cmw.rtp.verdict import ControlVerdict, PacketVerdict

TRACE_PACKETS: Final = 8192
TOLD_DIGITS: Final = 4096
_DBM0_OF_DBOV: Final = 6.2


class Traffic:
    """What the thread does with packets, and what it notes of them; the engine's lock is held around each call."""

    def __init__(self) -> None:
        self.offset_ns: Nanos = 0
        """Wall clock less monotonic clock, as last read."""
        self.pacing = (LatenessHistogram(), LatenessHistogram())
        """In all, and of the interval."""
        self.event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._trace: deque[TracedPacket] | None = None
        self._trace_lost = 0
        self.control_log: PacketLog | None = None
        self._told_digits: list[DigitEvent] = []
        self._told_lost = 0

    def __del__(self) -> None:
        """Give the descriptor back."""
        if hasattr(self, "event_fd"):
            os.close(self.event_fd)

    def read_offset(self) -> None:
        """Set the wall clock beside ours."""
        self.offset_ns = time.time_ns() - monotonic_ns()

    # What was noted.

    def set_trace(self, on: bool) -> None:
        """Keep what `take_trace` returns, or no more."""
        self._trace = deque() if on else None

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]:
        """Return packets of the trace, and how many found no room."""
        lost, self._trace_lost = self._trace_lost, 0
        kept = self._trace or deque()
        return [kept.popleft() for _ in range(min(most, len(kept)))], lost

    def take_events(self) -> tuple[list[DigitEvent], int]:
        """Return what became of digits, and how many found no room."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.event_fd)
        told, self._told_digits = self._told_digits, []
        lost, self._told_lost = self._told_lost, 0
        return told, lost

    def forget(self, slot: int) -> None:
        """Tell nothing of a slot that is closed."""
        self._told_digits = [event for event in self._told_digits if event.slot != slot]

    # Sending.

    def send_due(self, s: Slot) -> None:
        """Send the packet of the slot that is due, if one is."""
        due = s.sender.next_due()
        if s.mode is not MediaMode.SEND_RECEIVE or due is None or due > (now := monotonic_ns()):
            return
        if not s.sender.pull_due(now, 0):
            return
        if s.is_muted:
            s.sender.keep_back()
            return
        for histogram in self.pacing:
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

    def drop_digits(self, s: Slot) -> None:
        """Send none of the digits that wait."""
        s.digits_out.drop()
        for digit, _ in s.waiting:
            self._tell(s, DigitFate.DROPPED, digit, 0.0)
        s.waiting.clear()

    def _tell(self, s: Slot, fate: DigitFate, digit: str, duration_ms: float) -> None:
        if len(self._told_digits) == TOLD_DIGITS:
            self._told_lost += 1
            return
        self._told_digits.append(DigitEvent(s.number, fate, digit, duration_ms))
        os.eventfd_write(self.event_fd, 1)

    def tell_ended(self, s: Slot, ended: list[EndedEvent]) -> None:
        """Tell of digits that the peer sent."""
        for code, duration in ended:
            self._tell(s, DigitFate.RECEIVED, EVENT_CODES[code], duration * 1000 / s.receiver.clock_hz)

    def _send(self, s: Slot, packet: bytearray) -> None:
        try:
            send_twice(s.rtp, packet, s.peer)
        except OSError as error:
            s.sender.send_failed()
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM):
                s.sender.send_errors -= 1
                s.sender.packets_skipped += 1
        else:
            self._note(s, s.rtp, True, False, bytes(packet), monotonic_ns(), s.peer)

    def report(self, s: Slot, *, bye: bool = False) -> None:
        """Send a control packet."""
        if not s.control_peer[1]:
            return
        levels = [UNAVAILABLE if at is None else round(at + _DBM0_OF_DBOV) for at in s.levels.split()]
        s.control.rating = VoipRating(levels[0], levels[1], *s.control.rating[2:])
        report = s.control.build(now=monotonic_ns(), bye=bye)
        made = s.rtp if s.peer == s.control_peer else s.rtcp
        try:
            send_twice(made, report, s.control_peer)
        except OSError:
            s.counts["rtcp_send_errors"] += 1
        else:
            self._note(s, made, True, made is s.rtcp, report, monotonic_ns(), s.control_peer)

    # Receiving.

    def drain_pair(self, s: Slot, pair: Sockets) -> None:
        """Read a pair of sockets to its end."""
        for made, control in zip(pair, (False, True), strict=True):
            while self._read(s, made, control):
                pass

    def drain(self, s: Slot, made: socket.socket, control: bool, events: int) -> None:
        """Take the errors and up to 64 datagrams off a socket."""
        while events & select.EPOLLERR:
            try:
                made.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:
                break
            s.counts["rtcp_send_errors" if control else "network_errors"] += 1
        for _ in range(64):
            if not events & select.EPOLLIN or not self._read(s, made, control):
                break

    def _read(self, s: Slot, made: socket.socket, control: bool) -> bool:
        """Take one datagram off a socket; return whether there may be more."""
        try:
            arrival, drops = receive(made, self.offset_ns)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if drops is not None:
            s.counts["kernel_drops"] += (drops - s.drops[made]) % (1 << 32)
            s.drops[made] = drops
        self._note(s, made, False, control, arrival.data, arrival.at_ns, arrival.source)
        if control:
            self._take_control(s, arrival)
        elif s.state == "open":
            s.before_start += 1
            s.early.append(arrival)
        elif s.state == "stopped":
            s.counts["packets_after_stop"] += 1
        else:
            self.take_media(s, arrival)
        return True

    def take_media(self, s: Slot, arrival: Arrival, *, echo: bool = True) -> None:
        """Count what is the peer's; see the head of `_media.pyx` for what is."""
        if s.is_peer(arrival):
            self._count(s, arrival, echo)
            return
        s.strangers += 1
        if not s.may_speak(arrival.source):
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
            s.hear_from(arrival.source[1], header.ssrc)
        self._count(s, first[0], echo)
        self._count(s, arrival, echo)

    def _follow(self, s: Slot, source: Where) -> None:
        """Send to `source` from now on, for good."""
        shared = s.control_peer[1] == s.peer[1]
        s.symmetric, s.heard_port = False, source[1]
        if source != s.peer:
            s.peer = source
            s.control_peer = source if shared else (source[0], source[1] + 1)
            s.learns_control = not shared

    def _count(self, s: Slot, arrival: Arrival, echo: bool) -> None:
        try:
            header = parse_header(arrival.data)
        except PacketError:
            header = None
        if header is not None:
            s.follow_format(header.payload_type, arrival.at_ns)
        verdict = s.receiver.receive(arrival.data, arrival.at_ns)
        if verdict == PacketVerdict.IS_RTCP:
            s.control.receive(arrival.data, arrival.at_ns)
        if verdict <= PacketVerdict.PROBATION and s.heard_port is None and arrival.source == s.peer:
            s.heard_port = s.peer[1]
        if header is None or verdict > PacketVerdict.NEW_SSRC:
            return
        if s.symmetric and arrival.source == s.peer:
            self._follow(s, arrival.source)
        payload = arrival.data[header.payload_offset : header.payload_offset + header.payload_bytes]
        if header.payload_type == s.receiver.event_payload_type:
            self.tell_ended(s, s.digits_in.receive(payload, header.timestamp, arrival.at_ns))
        elif header.seq % 4 == 0:
            s.levels.add(s.format.codec, payload)
        if echo and s.mode is MediaMode.ECHO and verdict != PacketVerdict.DUPLICATE and not s.is_muted:
            now = monotonic_ns()
            if s.echo_offset is None:
                s.echo_offset = s.sender.first_timestamp - header.timestamp
            elif verdict == PacketVerdict.NEW_SSRC:  # its timestamps are others; ours go on
                s.echo_offset = s.sender.timestamp_at(now) - header.timestamp
            is_audio = header.payload_type == s.format.payload_type
            s.sender.payload_type = s.format.echo_as if is_audio else header.payload_type
            packet = bytearray(HEADER_BYTES) + payload
            timestamp = (header.timestamp + s.echo_offset) % (1 << 32)
            s.sender.stamp_as(packet, timestamp, header.marker, now=now)
            self._send(s, packet)

    def _take_control(self, s: Slot, arrival: Arrival) -> None:
        ip = arrival.source[0]
        if s.state == "open" or (ip != s.control_peer[0] and ip != s.former_at(arrival.at_ns)[0]):
            s.counts["rtcp_strangers"] += 1
            return
        verdict = s.control.receive(arrival.data, arrival.at_ns)
        if verdict <= ControlVerdict.BYE_RECEIVED and s.learns_control and ip == s.control_peer[0]:
            s.learns_control = False
            s.control_peer = arrival.source

    def _note(
        self, s: Slot, made: socket.socket, sent: bool, control: bool, data: bytes, at_ns: Nanos, remote: Where
    ) -> None:
        """Keep a packet wherever it is wanted."""
        if self._trace is None and s.log is None and self.control_log is None:
            return
        port, control = made.getsockname()[1], control or (len(data) >= 2 and 192 <= data[1] <= 223)
        at_unix_ns = at_ns + self.offset_ns
        packet = LoggedPacket(at_unix_ns, s.label, sent, control, port, remote[0], remote[1], len(data), data)
        if s.log is not None:
            s.log.add(packet)
        if self.control_log is not None and control:
            self.control_log.add(packet)
        if self._trace is not None:
            self._note_trace(self._trace, packet)

    def _note_trace(self, trace: deque[TracedPacket], packet: LoggedPacket) -> None:
        """Keep a packet for `take_trace`."""
        if len(trace) >= TRACE_PACKETS:
            self._trace_lost += 1
            return
        data, size = packet.data, packet.size
        if packet.is_control:
            ssrc, numbers = int.from_bytes(data[4:8]), (0, 0, data[1] if size >= 2 else 0, False)
        else:
            header = data[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
            _, second, seq, timestamp, ssrc = struct.unpack("!BBHII", header)
            numbers = (seq, timestamp, second & 0x7F, second > 127)
        at_unix_ns, _, sent, control, port, ip, remote_port, *_ = packet
        trace.append(TracedPacket(at_unix_ns, sent, control, port, ip, remote_port, ssrc, *numbers, size))
