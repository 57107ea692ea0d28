"""The twin of cmw/_rtp.pyx in plain Python: same names, same results, written to be read.

The parts are files of their own: `schedule` (pacing and stamping), `statistics` (receiving), `control` (RTCP),
`lateness` (pacing error). This one holds them by slot.
"""

from __future__ import annotations

from collections.abc import MutableSequence

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError
from cmw.rtp.burst_gap import BurstGap
from cmw.rtp.control import ControlSession
from cmw.rtp.extended_report import VoipRating, parse_summary, parse_voip
from cmw.rtp.jitter_buffer import MAX_BUFFER_NS, USUAL_BUFFER, BufferSettings
from cmw.rtp.lateness import HistogramDict, LatenessHistogram
from cmw.rtp.packet import HEADER_BYTES
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.snapshot import ReceptionBlock, StreamSnapshot
from cmw.rtp.statistics import LATE_LIMIT_NS, ReceiveStatistics
from cmw.rtp.telephone_event import EventReceiver, EventSender
from cmw.rtp.verdict import NO_PAYLOAD_TYPE

__all__ = ["EventReceiver", "EventSender", "StreamTable", "stream_snapshot"]

CLOCK_HZ_MAX = 10_000_000
LATE_LIMIT_MAX_NS = 60_000_000_000


class _Stream:
    """What is known of one slot."""

    __slots__ = ("control", "receiver", "sender")

    def __init__(self, sender: SendSchedule, receiver: ReceiveStatistics, control: ControlSession) -> None:
        self.sender = sender
        self.receiver = receiver
        self.control = control


class StreamTable:
    """The streams of one thread, by slot.

    Args:
        slots: how many streams it can hold, 1 or more.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"slots: expected 1 or more, got {slots}")
        self._streams: list[_Stream | None] = [None] * slots
        self._lateness_us = LatenessHistogram()

    def __len__(self) -> int:
        return len(self._streams)

    # --- commands

    def open(
        self,
        slot: int,
        *,
        start_ns: Nanos,
        period_ns: Nanos,
        late_bound_ns: Nanos = 0,
        ssrc: int,
        sequence: int,
        timestamp: int,
        timestamp_step: int,
        clock_hz: int,
        payload_type: int,
        event_payload_type: int = NO_PAYLOAD_TYPE,
        cname: bytes = b"",
        unix_offset_ns: int = 0,
        seed: int = 0,
        late_limit_ns: int = LATE_LIMIT_NS,
        buffer: tuple[int, int, int] = USUAL_BUFFER,
        extended_reports: bool = False,
    ) -> None:
        """Open `slot` for one stream in both directions; the first packet is due at `start_ns`.

        Args:
            start_ns: instant of the monotonic clock that every `now` and arrival is given in.
            period_ns: between packets, 1 or more.
            late_bound_ns: a packet late by this or more is skipped and counted; 1 .. period_ns, 0 for a whole period.
            sequence: of the first packet, 0 .. 2^16 - 1.
            timestamp: of the first packet, 0 .. 2^32 - 1.
            timestamp_step: RTP units in a packet.
            clock_hz: RTP units a second, both ways.
            payload_type: both ways, 0 .. 127.
            event_payload_type: of RFC 4733 events that may be received, 255 for none.
            cname: up to 255 bytes of UTF-8.
            unix_offset_ns: wall clock less monotonic clock, for sender reports and round trips.
            seed: spreads the reports of many sessions, 0 .. 2^64 - 1.
            late_limit_ns: above it, a packet that comes later than the fastest of the last seconds is late; 0 .. 60 s.
            buffer: `BufferSettings` of the model of the listener's jitter buffer.
            extended_reports: add XR to our control packets. Source: RFC 3611.

        Raises:
            IndexError: no such slot.
            LocalProtocolError: the slot is open already.
            ValueError, OverflowError: a number is out of its range.
        """
        if self._streams[self._index(slot)] is not None:
            raise LocalProtocolError(f"slot {slot} is open already")
        if period_ns < 1:
            raise ValueError(f"period_ns: expected 1 or more, got {period_ns}")
        if not 0 <= late_bound_ns <= period_ns:
            raise ValueError(f"late_bound_ns: expected 0 .. {period_ns}, got {late_bound_ns}")
        _require_payload(clock_hz, payload_type, event_payload_type)
        if len(cname) > 255:
            raise ValueError(f"cname: expected up to 255 bytes, got {len(cname)}")
        if not 0 <= late_limit_ns <= LATE_LIMIT_MAX_NS:
            raise ValueError(f"late_limit_ns: expected 0 .. {LATE_LIMIT_MAX_NS}, got {late_limit_ns}")
        settings = BufferSettings(*buffer)
        if not settings.is_sound():
            raise ValueError(f"buffer: expected 0 <= min <= start <= max <= {MAX_BUFFER_NS}, got {tuple(buffer)}")
        _require_unsigned(16, sequence)
        _require_unsigned(32, ssrc, timestamp, timestamp_step)
        _require_unsigned(64, seed)
        sender = SendSchedule(
            start_ns=start_ns,
            period_ns=period_ns,
            late_bound_ns=late_bound_ns,
            ssrc=ssrc,
            sequence=sequence,
            timestamp=timestamp,
            timestamp_step=timestamp_step,
            clock_hz=clock_hz,
            payload_type=payload_type,
        )
        receiver = ReceiveStatistics(
            clock_hz=clock_hz,
            payload_type=payload_type,
            event_payload_type=event_payload_type,
            late_limit_ns=late_limit_ns,
            buffer=settings,
        )
        control = ControlSession(
            sender,
            receiver,
            cname=cname,
            unix_offset_ns=unix_offset_ns,
            seed=seed,
            now=start_ns,
            extended_reports=extended_reports,
        )
        self._streams[slot] = _Stream(sender, receiver, control)

    def stop(self, slot: int) -> None:
        """Send nothing more in `slot`; receiving and RTCP go on."""
        self._stream(slot).sender.active = False

    def close(self, slot: int) -> None:
        """Free `slot`."""
        self._stream(slot)
        self._streams[slot] = None

    def change_payload(
        self, slot: int, *, payload_type: int, event_payload_type: int = NO_PAYLOAD_TYPE, clock_hz: int
    ) -> None:
        """Measure another payload type from now on, as a new offer and answer agreed; the counters go on.

        With another clock the jitter begins anew; its lowest, mean and highest value go on.
        """
        _require_payload(clock_hz, payload_type, event_payload_type)
        self._stream(slot).receiver.change_payload(
            payload_type=payload_type, event_payload_type=event_payload_type, clock_hz=clock_hz
        )

    def change_sending(
        self, slot: int, *, payload_type: int, clock_hz: int, period_ns: Nanos, timestamp_step: int
    ) -> None:
        """Send another format from the next packet on; its time, timestamp and sequence number stay its own.

        Args:
            period_ns: 1 or more.
            timestamp_step: RTP units in a packet.
        """
        _require_payload(clock_hz, payload_type, NO_PAYLOAD_TYPE)
        _require_unsigned(32, timestamp_step)
        if period_ns < 1:
            raise ValueError(f"period_ns: expected 1 or more, got {period_ns}")
        self._stream(slot).sender.change(
            payload_type=payload_type, clock_hz=clock_hz, period_ns=period_ns, timestamp_step=timestamp_step
        )

    # --- sending

    def pull_due(self, now: Nanos, slack_ns: Nanos, out: MutableSequence[int]) -> int:
        """Write the slots whose packet is due by `now + slack_ns` into `out`, each once; return how many.

        Stamp and send every one of them, then call again. Packets that are too late are skipped and counted.

        Args:
            out: writable buffer of C ints (`array("i")`, a memoryview of one); slots that find no room stay due.
        """
        found = 0
        for slot, stream in enumerate(self._streams):
            if stream is None:
                continue
            due = stream.sender.next_due()
            if due is None or due > now + slack_ns:
                continue
            if found == len(out):
                break
            if stream.sender.pull_due(now, slack_ns):
                out[found] = slot
                found += 1
                self._lateness_us.record(stream.sender.lateness_ns / 1000.0)
        return found

    def next_due(self) -> Nanos | None:
        """Return when the next packet of any slot is due, or None."""
        due = (stream.sender.next_due() for stream in self._streams if stream is not None)
        return min((at for at in due if at is not None), default=None)

    def stamp(self, slot: int, packet: bytearray) -> None:
        """Write the header of the next packet of `slot` into the first 12 bytes of `packet` and count it as sent."""
        sender = self._stream(slot).sender
        _require_packet(packet)
        sender.stamp(packet)

    def stamp_as(self, slot: int, packet: bytearray, timestamp: int, marker: bool, *, now: Nanos) -> None:
        """Write a header out of schedule, for echo: with this timestamp and marker, and the next sequence number."""
        sender = self._stream(slot).sender
        _require_packet(packet)
        _require_unsigned(32, timestamp)
        sender.stamp_as(packet, timestamp, marker, now=now)

    def next_timestamp(self, slot: int) -> int:
        """Return the timestamp that the next packet of the schedule has."""
        return self._stream(slot).sender.next_timestamp

    def stamp_event(self, slot: int, packet: bytearray, payload_type: int, timestamp: int, marker: bool) -> None:
        """Write the header of an event that leaves instead of the next packet of the schedule."""
        sender = self._stream(slot).sender
        _require_packet(packet)
        _require_unsigned(8, payload_type)
        _require_unsigned(32, timestamp)
        sender.stamp_event(packet, payload_type, timestamp, marker)

    def send_failed(self, slot: int) -> None:
        """Take the last stamp of `slot` back: the packet never left."""
        self._stream(slot).sender.send_failed()

    # --- receiving

    def receive(self, slot: int, data: bytes, arrival_ns: Nanos) -> int:
        """Count one packet of the media port; return its `PacketVerdict` as an int.

        Args:
            arrival_ns: the kernel's arrival time on the monotonic clock, 0 or above.
        """
        return int(self._stream(slot).receiver.receive(data, arrival_ns))

    def receive_rtcp(self, slot: int, data: bytes, arrival_ns: Nanos) -> int:
        """Take one compound packet of the control port; return its `ControlVerdict` as an int."""
        return int(self._stream(slot).control.receive(data, arrival_ns))

    # --- control

    def rtcp_due(self, slot: int, *, now: Nanos) -> bool:
        """Tell whether `slot` has a control packet to send; may put it off. Source: RFC 3550 6.3.6."""
        return self._stream(slot).control.is_due(now)

    def next_rtcp_due(self, slot: int) -> Nanos | None:
        """Return when the next control packet of `slot` is due, or None after BYE."""
        return self._stream(slot).control.next_due

    def build_rtcp(self, slot: int, *, now: Nanos, bye: bool = False) -> bytes:
        """Return SR or RR with SDES, and BYE at the end; close the report interval and schedule the next report."""
        return self._stream(slot).control.build(now=now, bye=bye)

    def rate(self, slot: int, rating: VoipRating) -> None:
        """Say this rating of the received stream in extended reports from now on.

        Args:
            rating: levels -128 .. 127, scores 0 .. 255; 127 for what is not known.
        """
        stream = self._stream(slot)
        _require_unsigned(8, rating[0] + 128, rating[1] + 128, *rating[2:])
        stream.control.rating = rating

    def close_interval(self, slot: int, *, now: Nanos) -> ReceptionBlock | None:
        """Return the report block as of `now` and begin the next interval; None when nothing was ever received."""
        return self._stream(slot).control.close_interval(now=now)[0]

    # --- looking

    def snapshot(self, slot: int) -> StreamSnapshot:
        """Return the figures of `slot`; changes nothing."""
        stream = self._stream(slot)
        return stream_snapshot(stream.sender, stream.receiver, stream.control)

    def pacing(self) -> HistogramDict:
        """Return the histogram of lateness in microseconds, in the wire form that all histograms share."""
        return self._lateness_us.to_dict()

    # --- private

    def _index(self, slot: int) -> int:
        if not 0 <= slot < len(self._streams):
            raise IndexError(f"slot: expected 0 .. {len(self._streams) - 1}, got {slot}")
        return slot

    def _stream(self, slot: int) -> _Stream:
        stream = self._streams[self._index(slot)]
        if stream is None:
            raise LocalProtocolError(f"slot {slot} is not open")
        return stream


def _require_packet(packet: bytearray) -> None:
    if len(packet) < HEADER_BYTES:
        raise ValueError(f"packet: expected {HEADER_BYTES} bytes or more, got {len(packet)}")


def _require_payload(clock_hz: int, payload_type: int, event_payload_type: int) -> None:
    _require_unsigned(8, payload_type, event_payload_type)
    _require_unsigned(32, clock_hz)
    if not 1 <= clock_hz <= CLOCK_HZ_MAX:
        raise ValueError(f"clock_hz: expected 1 .. {CLOCK_HZ_MAX}, got {clock_hz}")
    if payload_type > 127:
        raise ValueError(f"payload_type: expected 0 .. 127, got {payload_type}")


def _require_unsigned(bits: int, *values: int) -> None:
    """Refuse what the compiled twin's C integers refuse."""
    for value in values:
        if not 0 <= value < 1 << bits:
            raise OverflowError(f"expected 0 .. 2^{bits} - 1, got {value}")


def stream_snapshot(sender: SendSchedule, receiver: ReceiveStatistics, control: ControlSession) -> StreamSnapshot:
    received, expected = receiver.packets_received, receiver.packets_expected
    jitter = receiver.jitter if receiver.jitter.count else None
    spacing = receiver.spacing
    first_ns, last_ns = receiver.first_arrival_ns, receiver.last_arrival_ns
    block = control.remote_block
    started = receiver.ssrc is not None
    ended = receiver.window.ended()
    bursts = ended.burst_gap
    packet_ms = receiver.timestamp_step * 1000.0 / receiver.clock_hz if receiver.timestamp_step else None
    recent = spacing.recent_ms(last_ns) if last_ns is not None else (None, None, None)
    spaced = spacing.min_ns is not None and first_ns is not None and last_ns is not None

    def to_ms(value_q12: float) -> float:
        return value_q12 * 1000.0 / (4096.0 * receiver.clock_hz)

    return StreamSnapshot(
        packets_sent=sender.packets_sent,
        bytes_sent=sender.bytes_sent,
        packets_skipped=sender.packets_skipped,
        send_errors=sender.send_errors,
        rtcp_sent=control.rtcp_sent,
        packets_received=received,
        bytes_received=receiver.bytes_received,
        packets_expected=expected,
        packets_lost=expected - received,
        duplicate_packets=receiver.duplicate_packets,
        out_of_order_packets=receiver.out_of_order_packets,
        sequence_number_resets=receiver.sequence_number_resets,
        sequence_number_jumps=receiver.sequence_number_jumps,
        ssrc_switches=receiver.ssrc_switches,
        discarded_packets=receiver.discarded_packets,
        jitter_ms=to_ms(jitter.jitter_q12) if jitter else None,
        jitter_min_ms=to_ms(jitter.min_q12) if jitter else None,
        jitter_mean_ms=to_ms(jitter.mean_q12) if jitter else None,
        jitter_max_ms=to_ms(jitter.max_q12) if jitter else None,
        rtt_ms=control.rtt_q16 * 1000.0 / 65536.0 if control.rtt_q16 is not None else None,
        remote_fraction_lost=block.fraction_lost / 256.0 if block else None,
        remote_jitter_ms=block.jitter * 1000.0 / sender.clock_hz if block else None,
        remote_packets_lost=block.packets_lost if block else None,
        remote_packets_sent=control.remote_packets_sent,
        rtcp_received=control.rtcp_received,
        rtcp_malformed=control.rtcp_malformed,
        byes_received=control.byes_received,
        first_sent_at_ns=sender.first_sent_ns if sender.packets_sent else None,
        first_packet_at_ns=first_ns,
        last_packet_at_ns=last_ns,
        strangers=receiver.strangers,
        wrong_payload_type=receiver.wrong_payload_type,
        malformed=receiver.malformed,
        packet_spacing_min_ms=recent[0],
        packet_spacing_avg_ms=recent[1],
        packet_spacing_max_ms=recent[2],
        total_spacing_min_ms=spacing.min_ns / 1e6 if spacing.min_ns is not None else None,
        total_spacing_mean_ms=(last_ns - first_ns) / 1e6 / (received - 1) if spaced else None,  # type: ignore[operator]
        total_spacing_max_ms=spacing.max_ns / 1e6 if spaced else None,
        loss_bursts=ended.loss_bursts if started else 0,
        longest_loss_burst=ended.longest_loss_burst if started else 0,
        sequence_gap=receiver.window.longest_gap() if started else None,
        burst_density=_ratio(bursts.burst_lost, bursts.burst_packets) if started else None,
        gap_density=_ratio(bursts.gap_lost, bursts.gap_packets) if started else None,
        burst_duration_ms=_ratio(bursts.burst_packets, bursts.bursts) * packet_ms if started and packet_ms else None,
        gap_duration_ms=_ratio(bursts.gap_packets, bursts.gaps) * packet_ms if started and packet_ms else None,
        burst_ratio=_burst_ratio(bursts, expected) if started else None,
        late_packets=receiver.late_packets,
        timestamp_jumps=receiver.timestamp_jumps,
        payload_type_changes=receiver.payload_type_changes,
        buffer_pushed=receiver.buffer.pushed,
        buffer_late=receiver.buffer.late,
        buffer_delay_ms=_q8_to_ms(receiver.buffer.delay_q8, receiver.clock_hz) if started else None,
        buffer_jitter_ms=to_ms(receiver.buffer.deviation_q12) if started else None,
        rtcp_interval_ms=control.rtcp_interval_ns / 1e6 if control.rtcp_interval_ns is not None else None,
        clock_drift_ppm=control.clock_rate.drift_ppm,
        clock_skew_ppm=control.clock_rate.skew_ppm,
        remote_voip=parse_voip(control.remote_voip) if control.remote_voip is not None else None,
        remote_summary=parse_summary(*control.remote_summary) if control.remote_summary is not None else None,
        send_clock_hz=sender.clock_hz,
        ssrc=receiver.ssrc,
        ext_highest_seq=receiver.window.highest if started else None,
    )


def _q8_to_ms(value_q8: int, clock_hz: int) -> float:
    return value_q8 * 1000.0 / (256.0 * clock_hz)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _burst_ratio(bursts: BurstGap, expected: int) -> float:
    """Return BurstR, 1 at least: the mean row of unheard packets times the share of those heard."""
    if not bursts.unheard_rows:
        return 1.0
    return max(1.0, bursts.unheard_packets / bursts.unheard_rows * (1.0 - bursts.unheard_packets / expected))
