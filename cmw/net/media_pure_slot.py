"""A slot of the media engine in plain Python: a pair of sockets, the stream on it, and what its commands may ask."""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.net.media import MAX_FORMATS, MediaMode, ReceivedFormat
from cmw.net.media_pure_levels import HeardLevels
from cmw.net.media_pure_sockets import Arrival, Sockets, Where
from cmw.net.packet_log import PacketLog
from cmw.rtp._pure import stream_snapshot
from cmw.rtp.control import ControlSession
from cmw.rtp.jitter_buffer import BufferSettings
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.statistics import ReceiveStatistics
from cmw.rtp.telephone_event import EVENT_CODES, QUEUED_EVENTS, EventReceiver, EventSender, require_order
from cmw.rtp.verdict import NO_PAYLOAD_TYPE

EARLY_PACKETS: Final = 2048
FORMER_NS: Final = 4 * SECOND
LATE_LIMIT_MAX_NS: Final = 60 * SECOND
NOWHERE: Final = ("", 0)


class Slot:
    """A pair of sockets and the stream on it, when there is one."""

    sender: SendSchedule
    receiver: ReceiveStatistics
    control: ControlSession
    mode: MediaMode
    source: tuple[bytes, int]
    source_began: int  # number of the packet of the schedule that has its first frame
    format: ReceivedFormat
    formats: list[tuple[ReceivedFormat, Nanos | None]]  # the expected one first, each with when it is taken no more
    peer: Where
    control_peer: Where
    symmetric: bool
    heard_port: int | None
    began_elsewhere: bool  # all that was counted came from another port than the negotiated one
    learns_control: bool
    candidate: tuple[Arrival, int, int] | None  # its first packet, SSRC and the sequence number that must follow

    def __init__(self, number: int, rtp: socket.socket, rtcp: socket.socket) -> None:
        self.number = number
        self.rtp, self.rtcp = rtp, rtcp
        self.beside: Sockets | None = None  # that are heard too
        self.drops: Counter[socket.socket] = Counter()  # of the kernel, as of the last datagram read
        self.state = "open"
        self.early: deque[Arrival] = deque(maxlen=EARLY_PACKETS)
        self.before_start = 0
        self.label = 0
        self.log: PacketLog | None = None
        self.counts: dict[str, int] = {}
        self.clear()

    def clear(self) -> None:
        """Begin every figure anew."""
        names = "packets_after_stop kernel_drops rtcp_strangers rtcp_send_errors network_errors early_packets"
        self.counts = dict.fromkeys(names.split(), 0)
        self.strangers = 0
        self.levels = HeardLevels()
        self.muted_at: int | None = None
        self.is_muted = False
        self.echo_offset: int | None = None
        self.digits_out, self.digits_in = EventSender(), EventReceiver()
        self.waiting: deque[tuple[str, float]] = deque()  # digits that wait, and how long each is, milliseconds
        self.former: tuple[Where, Nanos] = (NOWHERE, 0)  # where RTP came from before the peer moved, and until when

    def set_peers(self, rtp: Where, rtcp: Where, symmetric: bool) -> None:
        """Send there, and hear what comes from there."""
        self.peer, self.control_peer, self.symmetric = rtp, rtcp, symmetric
        self.heard_port, self.candidate = None, None
        self.began_elsewhere = self.learns_control = False

    def leave_peer(self, now: Nanos) -> None:
        """Remember where RTP came from: packets are under way when the peer moves."""
        self.former = (self.peer[0], self.heard_port or self.peer[1]), now + FORMER_NS

    def former_at(self, at_ns: Nanos) -> Where:
        """Return where RTP may still come from at this instant."""
        return self.former[0] if at_ns < self.former[1] else NOWHERE

    def is_peer(self, arrival: Arrival) -> bool:
        """Tell whether RTP from there is the stream's."""
        is_heard = arrival.source == (self.peer[0], self.heard_port or self.peer[1])
        return is_heard or arrival.source == self.former_at(arrival.at_ns)

    def may_speak(self, source: Where) -> bool:
        """Tell whether this source, which is not the peer, may become it."""
        is_free = self.heard_port is None and source[0] == self.peer[0]
        return self.symmetric or is_free or source == self.peer

    def hear_from(self, port: int, ssrc: int) -> None:
        """Take RTP from this port of the peer's. What another source said so far, from another port, was not its."""
        if self.began_elsewhere and self.receiver.ssrc != ssrc:
            heard = self.receiver
            self.strangers += heard.packets_received + heard.discarded_packets + heard.strangers
            self.receiver.begin_anew()
            self.levels = HeardLevels()
        self.began_elsewhere = port != self.peer[1] and self.receiver.ssrc is None
        self.heard_port = port

    def follow_format(self, payload_type: int, at_ns: Nanos) -> None:
        """Measure the format of this number, if it may come; leave one that may not come any more."""
        taken = [one for one, until in self.formats if until is None or at_ns <= until]
        others = [one for one in taken if one.payload_type == payload_type]
        if self.format not in taken:
            others.append(self.formats[0][0])
        if others and others[0] != self.format:
            self._measure(others[0])

    def replace_formats(self, found: Sequence[ReceivedFormat], now: Nanos) -> None:
        """Let `found` come; what came before them still may for FORMER_NS, as far as there is room."""
        until, numbers = now + FORMER_NS, {one.payload_type for one in found}
        former = [(one, min(end or until, until)) for one, end in self.formats if one.payload_type not in numbers]
        self.formats = [*((one, None) for one in found), *former][:MAX_FORMATS]
        expected = [one for one, _ in self.formats if one.payload_type == self.format.payload_type]
        self._measure((expected or found)[0])

    def _measure(self, found: ReceivedFormat) -> None:
        is_other = (found.payload_type, found.clock_hz) != (self.format.payload_type, self.format.clock_hz)
        self.format = found
        if is_other:
            self.receiver.change_payload(
                payload_type=found.payload_type,
                event_payload_type=self.receiver.event_payload_type,
                clock_hz=found.clock_hz,
            )

    def queue_digits(self, digits: str, payload_type: int, duration_ms: int, pause_ms: int, volume: int) -> None:
        """Let digits wait for their turn, or refuse all of them."""
        duration, pause = (each * self.sender.clock_hz // 1000 for each in (duration_ms, pause_ms))
        for digit in digits:
            try:
                require_order(EVENT_CODES.find(digit), payload_type, volume, duration, pause)
            except ValueError as error:
                raise LocalProtocolError(f"digit {digit!r}: {error}") from None
        if self.mode is not MediaMode.SEND_RECEIVE or self.is_muted:
            raise LocalProtocolError(
                f"media slot {self.number} sends no stream of its own that digits could be part of"
            )
        if len(digits) > (room := QUEUED_EVENTS - len(self.digits_out)):
            raise LocalProtocolError(f"expected up to {room} digits beside those that wait, got {len(digits)}")
        for digit in digits:
            self.digits_out.queue(
                EVENT_CODES.index(digit), payload_type=payload_type, volume=volume, duration=duration, pause=pause
            )
            self.waiting.append((digit, duration * 1000 / self.sender.clock_hz))

    @property
    def pairs(self) -> list[Sockets]:
        """Return its sockets, those that are only heard included."""
        return [(self.rtp, self.rtcp), *([self.beside] if self.beside is not None else [])]

    def look(self) -> StreamSnapshot:
        """Return the figures."""
        if not hasattr(self, "sender"):
            sender = SendSchedule(
                start_ns=0, period_ns=1, late_bound_ns=0, ssrc=0, sequence=0, timestamp=0, timestamp_step=0,
                clock_hz=1, payload_type=0,
            )  # fmt: skip
            receiver = ReceiveStatistics(clock_hz=1, payload_type=0, event_payload_type=NO_PAYLOAD_TYPE)
            control = ControlSession(sender, receiver, cname=b"", unix_offset_ns=0, seed=0, now=0)
        else:
            sender, receiver, control = self.sender, self.receiver, self.control
        seen = stream_snapshot(sender, receiver, control)
        speech, noise = self.levels.split()
        return seen._replace(
            strangers=seen.strangers + self.strangers,
            packets_before_start=self.before_start,
            packets_at_mute=self.muted_at,
            received_energy=float(self.levels.energy),
            received_samples=self.levels.samples,
            received_level_dbov=self.levels.mean_dbov,
            signal_level_dbov=speech,
            noise_level_dbov=noise,
            **self.counts,  # type: ignore[arg-type]
        )


def require_sendable(payload_type: int, clock_hz: int, ptime_ms: int) -> None:
    """Refuse what no packet can say."""
    if not 0 <= payload_type <= 127 or clock_hz < 1 or not 1 <= ptime_ms <= 1000:
        raise LocalProtocolError(
            f"expected payload_type 0 .. 127, clock_hz > 0 and ptime_ms 1 .. 1000, "
            f"got {payload_type}, {clock_hz} and {ptime_ms}"
        )


def require_measured(cname: bytes, jitter_buffer: BufferSettings | None, late_limit_ns: int) -> None:
    """Refuse a name that does not fit and a measurement that makes no sense."""
    if len(cname) > 255:
        raise LocalProtocolError(f"cname: expected up to 255 bytes, got {len(cname)}")
    if jitter_buffer is not None and not jitter_buffer.is_sound():
        raise LocalProtocolError(f"jitter_buffer: expected 0 <= min <= start <= max, got {jitter_buffer}")
    if not 0 <= late_limit_ns <= LATE_LIMIT_MAX_NS:
        raise LocalProtocolError(f"late_limit_ns: expected 0 .. {LATE_LIMIT_MAX_NS}, got {late_limit_ns}")


def require_formats(formats: Sequence[ReceivedFormat]) -> None:
    """Refuse formats that no peer can send, none, and too many."""
    if not 1 <= len(formats) <= MAX_FORMATS:
        raise LocalProtocolError(f"expected 1 .. {MAX_FORMATS} received formats, got {len(formats)}")
    for payload_type, _, clock_hz, echo_as in formats:
        if not 0 <= payload_type <= 127 or not 0 <= echo_as <= 127 or not 1 <= clock_hz <= 10_000_000:
            raise LocalProtocolError(f"expected payload types of 0 .. 127 and a clock, got {payload_type}, {clock_hz}")


def peers_of(s: Slot, ip: str, port: int, control_ip: str | None, control_port: int) -> tuple[Where, Where]:
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
