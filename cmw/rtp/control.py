"""The control protocol about one stream. Twin of `RtcpSession` in _rtp.pyx. Source: RFC 3550 6."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import SECOND, Nanos, WallClock
from cmw.rtp.rtcp import (
    BYE,
    CNAME,
    RR,
    SR,
    ControlError,
    ControlPacket,
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    parse_block,
    serialize_compound,
    split_compound,
)
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.sequence import TIMESTAMP_MOD, rtp_units, signed32
from cmw.rtp.snapshot import ReceptionBlock
from cmw.rtp.statistics import ReceiveStatistics
from cmw.rtp.verdict import ControlVerdict

INTERVAL_NS: Final = 5 * SECOND
"""Source: RFC 3550 6.2, Tmin."""
RTT_FLOOR_Q16: Final = -655
"""-10 ms in 1/65536 s: a round trip below 0 by no more than this is rounding and counts as 0."""

_WORD64 = (1 << 64) - 1


class ControlSession:
    """Sender and receiver reports of one stream: when, what to say, and what the peer said.

    Args:
        cname: up to 255 bytes of UTF-8.
        unix_offset_ns: wall clock less monotonic clock, taken once.
        seed: 0 .. 2^64 - 1; its only purpose is that sessions do not report in step.
        now: the first report is due half an interval later. Source: RFC 3550 6.2.
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
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._cname = cname
        self._clock = WallClock(0, unix_offset_ns)
        self._random_state = seed
        self._sent_prior = 0  # packets_sent at the last report ...
        self._sent_before = 0  # ... and at the one before
        self._sr_ssrc: int | None = None
        self._sr_ntp_middle = 0
        self._sr_arrival_ns: Nanos = 0
        self.next_due: Nanos | None = now + self._interval_ns() // 2
        self.rtcp_sent = 0
        self.rtcp_received = 0
        self.rtcp_malformed = 0
        self.byes_received = 0
        self.remote_packets_sent: int | None = None
        self.remote_block: ReceptionBlock | None = None
        self.rtt_q16: int | None = None

    # --- inputs

    def receive(self, data: bytes, arrival_ns: Nanos) -> ControlVerdict:
        """Take one compound packet; nothing of it when any part is not valid."""
        try:
            parts = split_compound(data)
        except ControlError as error:
            self.rtcp_malformed += 1
            return error.verdict
        self.rtcp_received += 1
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
        return verdict

    def build(self, *, now: Nanos, bye: bool) -> bytes:
        """Return SR or RR with SDES, and BYE at the end; close the report interval, schedule the next report."""
        block, received_interval = self.close_interval(now=now)
        blocks = (block,) if block is not None and received_interval else ()
        # RFC 3550 6.4: a sender report when a packet left since the report before the previous one.
        sending = self._sender.packets_sent > self._sent_before
        report = self._sender_report(blocks, now) if sending else ReceiverReport(self._sender.ssrc, blocks)
        packets: list[ControlPacket] = [
            report,
            SourceDescription(((self._sender.ssrc, ((CNAME, self._cname),)),)),
        ]
        if bye:
            packets.append(Goodbye((self._sender.ssrc,)))
        self._sent_before, self._sent_prior = self._sent_prior, self._sender.packets_sent
        self.rtcp_sent += 1
        self.next_due = None if bye else now + self._interval_ns()
        return serialize_compound(packets)

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
        since = rtp_units(now - sender.reference_ns, sender.clock_hz)
        return SenderReport(
            ssrc=sender.ssrc,
            ntp=self._clock.ntp_at(now),
            rtp_ts=(sender.reference_timestamp + since) % TIMESTAMP_MOD,
            packets_sent=sender.packets_sent % TIMESTAMP_MOD,
            bytes_sent=sender.bytes_sent % TIMESTAMP_MOD,
            blocks=blocks,
        )

    def _take_sender_report(self, body: bytes, arrival_ns: Nanos) -> None:
        self._sr_ssrc = int.from_bytes(body[:4], "big")
        self._sr_ntp_middle = int.from_bytes(body[6:10], "big")
        self._sr_arrival_ns = arrival_ns
        self.remote_packets_sent = int.from_bytes(body[16:20], "big")

    def _take_block(self, block: ReceptionBlock, arrival_ns: Nanos) -> None:
        if block.ssrc != self._sender.ssrc:
            return
        self.remote_block = block
        if block.lsr == 0:  # RFC 3550 6.4.1: no sender report of ours had come
            return
        rtt_q16 = signed32((self._clock.ntp_at(arrival_ns) >> 16) - block.lsr - block.dlsr)
        if rtt_q16 >= RTT_FLOOR_Q16:
            self.rtt_q16 = max(rtt_q16, 0)

    def _interval_ns(self) -> Nanos:
        """Return 0.5 .. 1.5 times the interval, divided by e - 3/2. Source: RFC 3550 6.3.1."""
        self._random_state = z = (self._random_state + 0x9E3779B97F4A7C15) & _WORD64  # splitmix64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD64
        unit_q16 = (z ^ z >> 31) >> 48
        return (INTERVAL_NS * (32768 + unit_q16) >> 16) * 100_000 // 121_828


def _to_q16(span_ns: Nanos) -> int:
    """Return a span in 1/65536 s, 0 .. 2^32 - 1."""
    return max(0, min((span_ns << 16) // SECOND, TIMESTAMP_MOD - 1))
