"""What one stream's arrivals tell. Twin of `RtpReceiver` in _rtp.pyx. Source: RFC 3550 A.1, A.3, 8.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.rtp.jitter import JitterEstimate
from cmw.rtp.jitter_buffer import USUAL_BUFFER, BufferSettings, JitterBuffer
from cmw.rtp.packet import PacketError, RtpHeader, parse_header
from cmw.rtp.sequence import SEQ_MOD, rtp_units, seq_after, signed32
from cmw.rtp.spacing import PacketSpacing
from cmw.rtp.transit import RelativeTransit
from cmw.rtp.verdict import PacketVerdict
from cmw.rtp.window import ArrivalWindow

MAX_DROPOUT: Final = 3000
"""A step forward of this size or more is no gap but another sequence. Source: RFC 3550 A.1."""
MAX_MISORDER: Final = 100
"""A packet later than this belongs to no sequence that we know. Source: RFC 3550 A.1."""
LATE_LIMIT_NS: Final = 100 * MILLISECOND
"""Default of what a packet may be later than the RTP clock expects, without being called late."""
JUMP_PER_SECOND: Final = 10
"""A step of the timestamp is no jump when it is within 1/10 s of what the packets or the time between them explain."""
PAUSE_NS: Final = SECOND
"""A packet that comes later by more than this after the one before it may be one of a sender that stood still."""
COMFORT_NOISE: Final = 13
"""Its payload type comes and goes with silence and is no change of codec. Source: RFC 3389."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A packet that did not fit, kept until its successor confirms or another one replaces it."""

    header: RtpHeader
    arrival_ns: Nanos


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What the next timestamp is compared with."""

    timestamp: int
    ext_seq: int
    arrival_ns: Nanos


class ReceiveStatistics:
    """Counts of one stream: loss, duplicates, order, restarts, jitter, spacing.

    The first packet of the negotiated payload type begins the stream and counts at once, without the probation of
    A.1: SDP named the source's address, and every packet of the stream is then in our count, as in a capture's. What
    does not fit later (another SSRC, a far sequence number) is held until a second one in a row confirms it
    (MIN_SEQUENTIAL is 2), and then both count. A restart begins a new run of sequence numbers; totals go on.

    Args:
        clock_hz: RTP units a second.
        event_payload_type: of RFC 4733 events, counted but not part of the jitter; 255 for none.
        late_limit_ns: above it, a packet that comes later than the fastest of the last seconds is late.
        buffer: the listener's jitter buffer.
    """

    def __init__(
        self,
        *,
        clock_hz: int,
        payload_type: int,
        event_payload_type: int,
        late_limit_ns: int = LATE_LIMIT_NS,
        buffer: BufferSettings = USUAL_BUFFER,
    ) -> None:
        self.clock_hz = clock_hz
        self._late_limit_ns = late_limit_ns
        self._payload_type = payload_type
        self.event_payload_type = event_payload_type
        self.ssrc: int | None = None
        self.jitter = JitterEstimate(clock_hz)
        self.spacing = PacketSpacing()
        self.window = ArrivalWindow(0)
        self.received_in_run = 0
        self.first_arrival_ns: Nanos | None = None
        self.last_arrival_ns: Nanos | None = None
        self.bytes_received = 0
        self.duplicate_packets = 0
        self.out_of_order_packets = 0
        self.sequence_number_resets = 0
        self.sequence_number_jumps = 0
        self.ssrc_switches = 0
        self.wrong_payload_type = 0
        self.payload_type_changes = 0
        self.timestamp_jumps = 0
        self.late_packets = 0
        self.malformed = 0
        self._discarded_packets = 0
        self._strangers = 0
        self._expected_before = 0  # of the runs that are over
        self._received_before = 0
        self._expected_prior = 0  # at the last close of the report interval
        self._received_prior = 0
        self._last_timestamp = 0  # of the packet with the highest sequence number
        self.timestamp_step = 0  # RTP units between neighbours, 0 until known
        self._late_limit_q8 = rtp_units(late_limit_ns, clock_hz, fraction_bits=8)
        self._relative = RelativeTransit()
        self.buffer = JitterBuffer(buffer, clock_hz)
        self._anchor: _Anchor | None = None  # the newest in order of the negotiated type
        self._may_have_paused = False  # it came so late after the one before it that the sender may have stood still
        self._last_payload_type: int | None = None  # of the newest in order; no events, no comfort noise
        self._held: _Held | None = None

    # --- inputs

    def receive(self, data: bytes, arrival_ns: Nanos) -> PacketVerdict:
        """Count one packet."""
        try:
            header = parse_header(data)
        except PacketError as error:
            self.malformed += error.verdict is not PacketVerdict.IS_RTCP
            return error.verdict
        known_type = header.payload_type in (self._payload_type, self.event_payload_type)
        if not known_type:
            self.wrong_payload_type += 1
            if header.ssrc != self.ssrc:
                return PacketVerdict.WRONG_PAYLOAD_TYPE
        verdict = self._place(header, arrival_ns)
        # In the sequence but not negotiated: counted as received, or the network would be blamed for its loss.
        if not known_type and verdict <= PacketVerdict.DUPLICATE:
            return PacketVerdict.WRONG_PAYLOAD_TYPE
        return verdict

    def begin_anew(self) -> None:
        """Forget all that came: it was somebody else's."""
        type(self).__init__(
            self,
            clock_hz=self.clock_hz,
            payload_type=self._payload_type,
            event_payload_type=self.event_payload_type,
            late_limit_ns=self._late_limit_ns,
            buffer=self.buffer.settings,
        )

    def change_payload(self, *, payload_type: int, event_payload_type: int, clock_hz: int) -> None:
        """Measure another payload type from now on; the counters go on."""
        self._payload_type = payload_type
        self.event_payload_type = event_payload_type
        self.timestamp_step = 0
        self.jitter.forget_transit()
        self._forget_fastest()
        self._anchor = None
        self._may_have_paused = False
        if clock_hz != self.clock_hz:
            self.jitter.change_clock(clock_hz)
            self.buffer.set_clock(clock_hz)
            self.clock_hz = clock_hz
            self._late_limit_q8 = rtp_units(self._late_limit_ns, clock_hz, fraction_bits=8)

    def close_interval(self) -> tuple[int, int, int]:
        """Return fraction lost in 1/256, cumulative lost and packets received of the interval, and begin the next.

        Two guards that A.3 leaves to its reader: an interval in which everything was lost is 256/256 and does not fit
        8 bits; a late packet or a duplicate can make an interval's loss negative, which is 0. Source: RFC 3550 A.3.
        """
        expected = self.window.expected
        expected_interval = expected - self._expected_prior
        received_interval = self.received_in_run - self._received_prior
        lost_interval = expected_interval - received_interval
        self._expected_prior = expected
        self._received_prior = self.received_in_run
        fraction = 0
        if expected_interval > 0 and lost_interval > 0:
            fraction = min((lost_interval << 8) // expected_interval, 255)
        lost = max(-0x800000, min(expected - self.received_in_run, 0x7FFFFF))
        return fraction, lost, received_interval

    # --- getters

    @property
    def packets_received(self) -> int:
        """Packets of the stream, duplicates included."""
        return self._received_before + self.received_in_run

    @property
    def packets_expected(self) -> int:
        """Packets by the sequence numbers of all runs."""
        return self._expected_before + (self.window.expected if self.ssrc is not None else 0)

    @property
    def discarded_packets(self) -> int:
        """Packets of the source too far from its sequence, the one on probation included."""
        return self._discarded_packets + (self._held is not None and self._held.header.ssrc == self.ssrc)

    @property
    def strangers(self) -> int:
        """Packets of other sources, the one on probation included."""
        return self._strangers + (self._held is not None and self._held.header.ssrc != self.ssrc)

    # --- private

    def _place(self, header: RtpHeader, arrival_ns: Nanos) -> PacketVerdict:
        if self.ssrc is None:
            self._begin_run(header)
            self._count(header, arrival_ns, ahead=0)
            return PacketVerdict.FIRST
        if header.ssrc != self.ssrc:
            return self._hold_or_switch(header, arrival_ns)
        if self._held is not None and self._held.header.ssrc != self.ssrc:
            self._drop_held()  # the old source is alive: two sources that interleave are no switch
        ahead = seq_after(header.seq, self.window.highest % SEQ_MOD)
        if 0 < ahead < MAX_DROPOUT:
            self.window.advance(ahead)
            self._count(header, arrival_ns, ahead)
            return PacketVerdict.OK
        if 0 < ahead <= SEQ_MOD - MAX_MISORDER:
            return self._hold_or_switch(header, arrival_ns)
        behind = -ahead % SEQ_MOD
        new = self.window.mark(behind)
        self.out_of_order_packets += new
        self.duplicate_packets += not new
        self._count(header, arrival_ns, ahead=0, behind=behind, fresh=new)
        return PacketVerdict.OUT_OF_ORDER if new else PacketVerdict.DUPLICATE

    def _begin_run(self, header: RtpHeader) -> None:
        """Source: RFC 3550 A.1 init_seq."""
        if self.ssrc is None:
            self.window = ArrivalWindow(header.seq)
        else:
            self.window.begin_run(header.seq)
        self.ssrc = header.ssrc
        self.received_in_run = 0
        self._expected_prior = 0
        self._received_prior = 0
        self.timestamp_step = 0
        self.jitter.forget_transit()
        self._forget_fastest()
        self._anchor = None
        self._may_have_paused = False

    def _count(self, header: RtpHeader, arrival_ns: Nanos, ahead: int, *, behind: int = 0, fresh: bool = True) -> None:
        """Count a packet `ahead` of the highest before it, or `behind` the highest; `fresh` but for duplicates."""
        spacing_ns = 0 if self.last_arrival_ns is None else arrival_ns - self.last_arrival_ns
        self.received_in_run += 1
        self.bytes_received += header.payload_bytes
        in_order = ahead > 0 or self.received_in_run == 1
        if header.payload_type == self._payload_type:
            if in_order:
                self._check_timestamp(header, arrival_ns)
            if ahead and header.marker and self._ends_silence(header, spacing_ns, ahead):
                self.jitter.forget_transit()
            transit_q8 = self.jitter.update(header.timestamp, arrival_ns)
            if fresh:
                late_q8 = self._relative.update(transit_q8, arrival_ns)
                self.late_packets += late_q8 > self._late_limit_q8
                if not self.buffer.receive(late_q8):
                    self.window.discard(behind)
        if in_order:
            self._last_timestamp = header.timestamp
            self._note_payload_type(header.payload_type)
        if self.last_arrival_ns is None:
            self.first_arrival_ns = self.last_arrival_ns = arrival_ns
        elif spacing_ns >= 0:
            self.spacing.record(spacing_ns, arrival_ns)
            self.last_arrival_ns = arrival_ns

    def _check_timestamp(self, header: RtpHeader, arrival_ns: Nanos) -> None:
        """Count a step that neither the packets nor the time since the last one explain. Source: RFC 3550 5.1."""
        anchor = self._anchor
        self._anchor = _Anchor(header.timestamp, self.window.highest, arrival_ns)
        if anchor is None:
            return
        step = signed32(header.timestamp - anchor.timestamp)
        packets = self.window.highest - anchor.ext_seq
        if not self._explains(step, packets, arrival_ns - anchor.arrival_ns):
            self.timestamp_jumps += 1
            self._may_have_paused = False
            self._forget_fastest()
            return
        if packets == 1 and step > 0:
            self.timestamp_step = step
        elapsed_ns = arrival_ns - anchor.arrival_ns
        if self._may_have_paused or header.marker or elapsed_ns > PAUSE_NS:
            self._check_pause(step, rtp_units(elapsed_ns, self.clock_hz), header.marker)

    def _check_pause(self, step: int, elapsed: int, marker: bool) -> None:
        """Begin anew with what is late after a sender's clock stood still while it was silent, on hold say.

        It comes late by that and keeps its pace; what the network kept back comes in a row instead, and is late. A
        marker tells at once.

        Args:
            step: since the packet before, in RTP units, by its timestamp.
            elapsed: the same by its arrival.
        """
        paused = self._may_have_paused and 4 * elapsed >= 3 * step
        self._may_have_paused = not marker and elapsed - step > rtp_units(PAUSE_NS, self.clock_hz)
        if paused or (marker and elapsed - step > self.clock_hz // JUMP_PER_SECOND):
            self._forget_fastest()

    def _explains(self, step: int, packets: int, elapsed_ns: Nanos) -> bool:
        """Tell whether the codec's clock explains a step: by the packets, or by silence between them."""
        bound = self.clock_hz // JUMP_PER_SECOND
        if self.timestamp_step and abs(step - packets * self.timestamp_step) <= bound:
            return True
        return abs(step - rtp_units(elapsed_ns, self.clock_hz)) <= bound

    def _forget_fastest(self) -> None:
        """Begin anew with what is late: the sender may have set its clock."""
        self._relative.forget()
        self.buffer.restart()

    def _note_payload_type(self, payload_type: int) -> None:
        if payload_type in (self.event_payload_type, COMFORT_NOISE):
            return
        self.payload_type_changes += self._last_payload_type not in (None, payload_type)
        self._last_payload_type = payload_type

    def _ends_silence(self, header: RtpHeader, spacing_ns: Nanos, ahead: int) -> bool:
        """Tell whether a packet with a marker comes after a gap in media time or in arrivals.

        A marker opens a talkspurt (RFC 3551 4.1); after the gap the sender may have set its clock anew, which says
        nothing about the network. A marker on every packet, or at the end of a video frame, is no gap.
        """
        step = self.timestamp_step
        if step == 0:
            return False
        if signed32(header.timestamp - self._last_timestamp) > ahead * step:
            return True
        return rtp_units(spacing_ns, self.clock_hz) > (ahead + 1) * step

    def _hold_or_switch(self, header: RtpHeader, arrival_ns: Nanos) -> PacketVerdict:
        """Source: RFC 3550 A.1 bad_seq; for another source too, so that one stray packet moves nothing."""
        held = self._held
        if held is not None and held.header.ssrc == header.ssrc and seq_after(header.seq, held.header.seq) == 1:
            return self._restart(held, header, arrival_ns)
        if held is not None:
            self._drop_held()
        self._held = _Held(header, arrival_ns)
        return PacketVerdict.PROBATION

    def _drop_held(self) -> None:
        self._discarded_packets, self._strangers = self.discarded_packets, self.strangers
        self._held = None

    def _restart(self, held: _Held, header: RtpHeader, arrival_ns: Nanos) -> PacketVerdict:
        """Begin a new run with the held packet and its successor: both were of this stream after all."""
        new_source = header.ssrc != self.ssrc
        self._held = None
        if new_source:
            self.ssrc_switches += 1
            self.jitter.restart()
        elif seq_after(held.header.seq, self.window.highest % SEQ_MOD) < SEQ_MOD // 2:
            self.sequence_number_jumps += 1
        else:
            self.sequence_number_resets += 1
        self._expected_before += self.window.expected
        self._received_before += self.received_in_run
        self._begin_run(held.header)
        self._count(held.header, held.arrival_ns, ahead=0)
        self.window.advance(1)
        self._count(header, arrival_ns, ahead=1)
        return PacketVerdict.NEW_SSRC if new_source else PacketVerdict.RESYNC
