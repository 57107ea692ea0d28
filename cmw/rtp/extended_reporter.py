"""What our extended reports say of a received stream. Source: RFC 3611 4.6, 4.7."""

from __future__ import annotations

from typing import Final

from cmw.rtp.burst_gap import GMIN
from cmw.rtp.extended_report import UNAVAILABLE, Summary, VoipMetrics, VoipRating, serialize_summary, serialize_voip
from cmw.rtp.schedule import SendSchedule
from cmw.rtp.sequence import SEQ_MOD, TIMESTAMP_MOD
from cmw.rtp.statistics import ReceiveStatistics

FIXED_BUFFER: Final = 2 << 4
ADAPTIVE_BUFFER: Final = 3 << 4
"""Of the receiver's configuration byte; how it conceals is not said. Source: RFC 3611 4.7.6."""


class ExtendedReporter:
    """Makes the blocks about one stream, each summary of the time since the one before."""

    def __init__(self, sender: SendSchedule, receiver: ReceiveStatistics) -> None:
        self._sender = sender
        self._receiver = receiver
        self._next_seq: int | None = None  # extended, of the run that it belongs to
        self._expected = 0
        self._received = 0
        self._duplicates = 0

    def blocks(self, rtt_q16: int | None, rating: VoipRating) -> list[bytes]:
        """Return statistics summary and VoIP metrics of a stream that has begun; the next interval begins."""
        return [serialize_summary(self._summary()), serialize_voip(self._voip(rtt_q16, rating))]

    def _summary(self) -> Summary:
        receiver = self._receiver
        assert receiver.ssrc is not None
        base, highest = receiver.window.base, receiver.window.highest
        begin = base if self._next_seq is None or not base <= self._next_seq <= highest + 1 else self._next_seq
        expected = receiver.packets_expected - self._expected
        received = receiver.packets_received - self._received
        duplicates = receiver.duplicate_packets - self._duplicates
        self._next_seq = highest + 1
        self._expected = receiver.packets_expected
        self._received = receiver.packets_received
        self._duplicates = receiver.duplicate_packets
        return Summary(
            receiver.ssrc,
            begin % SEQ_MOD,
            (highest + 1) % SEQ_MOD,
            max(0, expected - received + duplicates) % TIMESTAMP_MOD,
            duplicates % TIMESTAMP_MOD,
            *receiver.jitter.close_interval(),
        )

    def _voip(self, rtt_q16: int | None, rating: VoipRating) -> VoipMetrics:
        receiver = self._receiver
        assert receiver.ssrc is not None
        expected = receiver.packets_expected
        found = receiver.window.ended().burst_gap
        step, clock_hz = receiver.timestamp_step, receiver.clock_hz
        delay_ms = _to_ms(receiver.buffer.delay_q8, 256 * clock_hz)
        packet_ms = _to_ms(step, clock_hz)
        max_ms = _to_ms(receiver.buffer.max_q8, 256 * clock_hz)
        return VoipMetrics(
            ssrc=receiver.ssrc,
            loss_rate=_to_q8(expected - receiver.packets_received + receiver.duplicate_packets, expected),
            discard_rate=_to_q8(receiver.buffer.late, expected),
            burst_density=_to_q8(found.burst_lost, found.burst_packets),
            gap_density=_to_q8(found.gap_lost, found.gap_packets),
            burst_duration_ms=_to_ms(found.burst_packets * step, found.bursts * clock_hz),
            gap_duration_ms=_to_ms(found.gap_packets * step, found.gaps * clock_hz),
            round_trip_ms=_to_ms(rtt_q16, 65536) if rtt_q16 is not None else 0,
            end_system_delay_ms=min(0xFFFF, delay_ms + packet_ms),
            signal_level_db=rating.signal_level_db,
            noise_level_db=rating.noise_level_db,
            residual_echo_db=UNAVAILABLE,
            gmin=GMIN,
            r_factor=rating.r_factor,
            external_r_factor=UNAVAILABLE,
            mos_lq_q10=rating.mos_lq_q10,
            mos_cq_q10=rating.mos_cq_q10,
            configuration=ADAPTIVE_BUFFER if receiver.buffer.is_adaptive else FIXED_BUFFER,
            buffer_nominal_ms=delay_ms,
            buffer_max_ms=max_ms,
            buffer_abs_max_ms=max_ms,
        )


def _to_q8(part: int, whole: int) -> int:
    """Return a share in 1/256, 255 at most."""
    return max(0, min(255, 256 * part // whole)) if whole else 0


def _to_ms(units: int, per_second: int) -> int:
    """Return a span in milliseconds, rounded down, 65535 at most."""
    return min(0xFFFF, 1000 * units // per_second) if per_second else 0
