"""The control protocol about one stream. Twin of `RtcpSession` in _rtp.pyx. Source: RFC 3550 6."""

from __future__ import annotations

import struct
from typing import Final

from cmw.core.clock import SECOND, Nanos, WallClock
from cmw.rtp.clock_rate import ClockRate
from cmw.rtp.extended_report import (
    DELAY_SINCE,
    REFERENCE_TIME,
    SUMMARY,
    VOIP,
    XR,
    DelaySince,
    VoipRating,
    serialize_delay_since,
    serialize_reference_time,
    split_blocks,
)
from cmw.rtp.extended_reporter import ExtendedReporter
from cmw.rtp.report_interval import ReportInterval
from cmw.rtp.rtcp import (
    BYE,
    CNAME,
    RR,
    SR,
    ControlError,
    ControlPacket,
    Goodbye,
    OtherControl,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    parse_block,
    serialize_compound,
    split_compound,
)
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.sequence import TIMESTAMP_MOD, signed32
from cmw.rtp.snapshot import ReceptionBlock
from cmw.rtp.statistics import ReceiveStatistics
from cmw.rtp.verdict import ControlVerdict

MEMBER_NS: Final = 25 * SECOND
"""A peer that was silent for so long, five intervals, is no member any more. Source: RFC 3550 6.3.5."""
SENDER_NS: Final = 10 * SECOND
"""And one without RTP for two intervals no sender."""
RTT_FLOOR_Q16: Final = -655
"""-10 ms in 1/65536 s: a round trip below 0 by no more than this is rounding and counts as 0."""


class ControlSession:
    """Sender and receiver reports of one stream: when, what to say, and what the peer said.

    Args:
        cname: up to 255 bytes of UTF-8.
        unix_offset_ns: wall clock less monotonic clock, taken once.
        seed: 0 .. 2^64 - 1; its only purpose is that sessions do not report in step.
        now: the first report is due half an interval later. Source: RFC 3550 6.2.
        extended_reports: add XR to what we send. Source: RFC 3611.
    """

    def __init__(
        self,
        sender: SendSchedule,
        receiver: ReceiveStatistics,
        *,
        cname: bytes,
        unix_offset_ns: int,
        seed: int,
        now: Nanos,
        extended_reports: bool = False,
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._cname = cname
        self._clock = WallClock(0, unix_offset_ns)
        self._interval = ReportInterval(seed, now)
        self._extended = ExtendedReporter(sender, receiver) if extended_reports else None
        self._sent_prior = 0  # packets_sent at the last report ...
        self._sent_before = 0  # ... and at the one before
        self._sr_ssrc: int | None = None
        self._sr_ntp_middle = 0
        self._sr_arrival_ns: Nanos = 0
        self._last_control_ns: Nanos | None = None
        self._peer_left = False
        self._reference: DelaySince | None = None  # the peer's reference time, its delay not filled in
        self._reference_ns: Nanos = 0
        self.rating = VoipRating()
        self.rtcp_sent = 0
        self.rtcp_received = 0
        self.rtcp_malformed = 0
        self.byes_received = 0
        self.remote_packets_sent: int | None = None
        self.remote_block: ReceptionBlock | None = None
        self.rtt_q16: int | None = None
        self.rtcp_interval_ns: int | None = None
        self.clock_rate = ClockRate()
        self.remote_voip: bytes | None = None
        self.remote_summary: tuple[int, bytes] | None = None  # its flags and contents

    @property
    def next_due(self) -> Nanos | None:
        """Return when the next report is due; None after BYE."""
        return self._interval.next_due

    # --- inputs

    def receive(self, data: bytes, arrival_ns: Nanos) -> ControlVerdict:
        """Take one compound packet; nothing of it when any part is not valid."""
        try:
            parts = split_compound(data)
        except ControlError as error:
            self.rtcp_malformed += 1
            return error.verdict
        self.rtcp_received += 1
        self._note_arrival(len(data), arrival_ns)
        verdict = ControlVerdict.OK
        for packet_type, count, body in parts:
            if packet_type == SR:
                self._take_sender_report(body, arrival_ns)
            if packet_type in (SR, RR):
                first = 24 if packet_type == SR else 4
                for i in range(count):
                    self._take_block(parse_block(body, first + 24 * i), arrival_ns)
            elif packet_type == BYE:
                ours = sum(int.from_bytes(body[4 * i : 4 * i + 4], "big") == self._receiver.ssrc for i in range(count))
                self.byes_received += ours
                verdict = ControlVerdict.BYE_RECEIVED if ours else verdict
            elif packet_type == XR:
                self._take_extended(body, arrival_ns)
        self._peer_left = verdict is ControlVerdict.BYE_RECEIVED
        self._interval.member_left(self._members(arrival_ns), arrival_ns)
        return verdict

    def is_due(self, now: Nanos) -> bool:
        """Tell whether a report is to be sent; may put it off. Source: RFC 3550 6.3.6."""
        return self._interval.is_due(now, self._members(now), self._senders(now), we_sent=self._is_sending())

    def build(self, *, now: Nanos, bye: bool) -> bytes:
        """Return SR or RR with SDES, and BYE at the end; close the report interval, schedule the next report."""
        block, received_interval = self.close_interval(now=now)
        blocks = (block,) if block is not None and received_interval else ()
        # RFC 3550 6.4: a sender report when a packet left since the report before the previous one.
        sending = self._is_sending()
        report = self._sender_report(blocks, now) if sending else ReceiverReport(self._sender.ssrc, blocks)
        packets: list[ControlPacket] = [
            report,
            SourceDescription(((self._sender.ssrc, ((CNAME, self._cname),)),)),
        ]
        if self._extended is not None:
            packets.append(OtherControl(XR, 0, self._extended_body(now)))
        if bye:
            packets.append(Goodbye((self._sender.ssrc,)))
        data = serialize_compound(packets)
        self._schedule(len(data), now, bye=bye)
        self._sent_before, self._sent_prior = self._sent_prior, self._sender.packets_sent
        self.rtcp_sent += 1
        return data

    def close_interval(self, *, now: Nanos) -> tuple[ReceptionBlock | None, int]:
        """Return the report block and the packets received since the last one; None when none ever came."""
        receiver = self._receiver
        if receiver.ssrc is None:
            return None, 0
        fraction, lost, received_interval = receiver.close_interval()
        lsr = dlsr = 0
        if self._sr_ssrc == receiver.ssrc:
            lsr, dlsr = self._sr_ntp_middle, _to_q16(now - self._sr_arrival_ns)
        highest = receiver.window.highest % TIMESTAMP_MOD
        jitter = receiver.jitter.rtp_units % TIMESTAMP_MOD
        return ReceptionBlock(receiver.ssrc, fraction, lost, highest, jitter, lsr, dlsr), received_interval

    # --- private

    def _sender_report(self, blocks: tuple[ReceptionBlock, ...], now: Nanos) -> SenderReport:
        sender = self._sender
        return SenderReport(
            ssrc=sender.ssrc,
            ntp=self._clock.ntp_at(now),
            rtp_ts=sender.timestamp_at(now),
            packets_sent=sender.packets_sent % TIMESTAMP_MOD,
            bytes_sent=sender.bytes_sent % TIMESTAMP_MOD,
            blocks=blocks,
        )

    def _is_sending(self) -> bool:
        """Tell whether a packet left since the report before the previous one. Source: RFC 3550 6.4."""
        return self._sender.packets_sent > self._sent_before

    def _schedule(self, size: int, now: Nanos, *, bye: bool) -> None:
        if bye:
            self._interval.stop()
        else:
            members, senders = self._members(now), self._senders(now)
            self._interval.sent(size, now, members, senders, we_sent=self._is_sending())

    def _members(self, now: Nanos) -> int:
        """Return 2 while the peer is there, else 1."""
        heard = [at for at in (self._last_control_ns, self._receiver.last_arrival_ns) if at is not None]
        return 1 + (not self._peer_left and bool(heard) and now - max(heard) < MEMBER_NS)

    def _senders(self, now: Nanos) -> int:
        last_ns = self._receiver.last_arrival_ns
        peer_sends = not self._peer_left and last_ns is not None and now - last_ns < SENDER_NS
        return self._is_sending() + peer_sends

    def _note_arrival(self, size: int, arrival_ns: Nanos) -> None:
        self._interval.add_size(size)
        if self._last_control_ns is not None:
            self.rtcp_interval_ns = max(0, arrival_ns - self._last_control_ns)
        self._last_control_ns = arrival_ns

    def _extended_body(self, now: Nanos) -> bytes:
        """Return an extended report: our reference time, the answer to the peer's, and what we saw of its stream."""
        assert self._extended is not None
        blocks = [self._sender.ssrc.to_bytes(4, "big"), serialize_reference_time(self._clock.ntp_at(now))]
        if self._reference is not None:
            answer = self._reference._replace(dlrr=_to_q16(now - self._reference_ns))
            blocks.append(serialize_delay_since(answer))
        if self._receiver.ssrc is not None:
            blocks += self._extended.blocks(self.rtt_q16, self.rating)
        return b"".join(blocks)

    def _take_extended(self, body: bytes, arrival_ns: Nanos) -> None:
        for kind, specific, contents in split_blocks(body):
            if kind == REFERENCE_TIME and len(contents) == 8:
                sender = int.from_bytes(body[:4], "big")
                self._reference = DelaySince(sender, int.from_bytes(contents[2:6], "big"), 0)
                self._reference_ns = arrival_ns
            elif kind == DELAY_SINCE:
                for at in range(0, len(contents) - 11, 12):
                    ssrc, lrr, dlrr = struct.unpack_from("!III", contents, at)
                    if ssrc == self._sender.ssrc:
                        self._take_round_trip(lrr, dlrr, arrival_ns)
            elif int.from_bytes(contents[:4], "big") == self._sender.ssrc:
                if kind == VOIP and len(contents) == 32:
                    self.remote_voip = contents
                elif kind == SUMMARY and len(contents) == 36:
                    self.remote_summary = specific, contents

    def _take_sender_report(self, body: bytes, arrival_ns: Nanos) -> None:
        ssrc, ntp, rtp_ts = struct.unpack_from("!IQI", body)
        if self._receiver.ssrc not in (None, ssrc):  # of another program on the peer's host
            return
        if ssrc != self._sr_ssrc:
            self.clock_rate.forget()
        self.clock_rate.add(ntp, rtp_ts, arrival_ns, self._receiver.clock_hz)
        self._sr_ssrc = ssrc
        self._sr_ntp_middle = ntp >> 16 & 0xFFFFFFFF
        self._sr_arrival_ns = arrival_ns
        self.remote_packets_sent = int.from_bytes(body[16:20], "big")

    def _take_block(self, block: ReceptionBlock, arrival_ns: Nanos) -> None:
        if block.ssrc != self._sender.ssrc:
            return
        self.remote_block = block
        self._take_round_trip(block.lsr, block.dlsr, arrival_ns)

    def _take_round_trip(self, middle: int, held_q16: int, arrival_ns: Nanos) -> None:
        """Take what left at `middle` of NTP and was held by the peer for so long."""
        if middle == 0:  # RFC 3550 6.4.1, RFC 3611 4.5: nothing of ours had come
            return
        rtt_q16 = signed32((self._clock.ntp_at(arrival_ns) >> 16) - middle - held_q16)
        if rtt_q16 >= RTT_FLOOR_Q16:
            self.rtt_q16 = max(rtt_q16, 0)


def _to_q16(span_ns: Nanos) -> int:
    """Return a span in 1/65536 s, 0 .. 2^32 - 1."""
    return max(0, min((span_ns << 16) // SECOND, TIMESTAMP_MOD - 1))
