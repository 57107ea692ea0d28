"""From the engine's cumulative figures of one call to the metrics of design: a row each second, totals at the end.

Keys carry their side: ``send.mos`` is what the peer hears of us, by its reports; ``receive.mos`` what we hear of it.
A metric that cannot be known is absent from the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import log10
from typing import Literal

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.metrics.emodel import Quality, mos_from_r, stream_quality
from cmw.metrics.keys import METRICS
from cmw.rtp.extended_report import UNAVAILABLE, Summary, VoipMetrics
from cmw.rtp.snapshot import StreamSnapshot

COLUMNS: dict[str, str] = {
    f"{side}.{metric.key}": metric.column
    for metric in METRICS
    if metric.measured and metric.column is not None
    for side in metric.direction.sides
}
"""Every column that a worker can fill, with its typecode: ``f`` float32 or ``I`` uint32."""

FULL_SCALE = float(1 << 30)
"""The square of a 16-bit sample at overload."""
DIGITAL_SILENCE_DBOV = -100.0
DBM0_OF_DBOV = 6.2
"""Full-scale sine: 3.14 (A-law) or 3.17 dBm0, -3.01 dBov. Source: ITU-T G.711, G.100.1."""

LEAST_SPAN_NS: Nanos = SECOND // 2
"""Rates and losses of less time than this are not told."""
QUIET_NS: Nanos = 5 * SECOND
"""Without RTP for so long, a call in which both sides were to speak was not whole."""

Row = dict[str, float]
"""Values by column; what is unknown is not in it."""


class CallFigures:
    """The figures of one answered call.

    A call that changes its codec is rated by each for its share of the time: impairments are subtracted from R, so the
    R of a span is the mean over it, and its MOS is that R's.

    Args:
        codec: encoding name; later ones by `change_codec`.
        ptime_ms: audio in each packet, milliseconds.
        began_at: instant at which the stream was started.
    """

    def __init__(self, codec: str, ptime_ms: int, began_at: Nanos) -> None:
        self.codec = codec
        self.ptime_ms = ptime_ms
        self.elapsed_ns: Nanos = 0
        self.send_errors = 0
        self.kernel_drops = 0
        self.wrong_payload_type = 0
        self.digits_sent = 0
        """By RFC 4733 and by INFO; counted by who sends them."""
        self.oddities: list[str] = []
        self.first_packet_delay_ms: float | None = None
        self.first_packet_sent_delay_ms: float | None = None
        self.missing: Literal["", "send", "receive"] = ""
        """The direction in which nothing came, when something came in the other."""
        self.is_silent = False
        """Nothing came in either direction, or what came was nothing but silence."""
        self.packets_after_bye: int | None = None
        self._began_at = began_at
        self.longest_spacing_ms: float | None = None
        self._codecs = [(began_at, codec)]
        self._two_way_since: Nanos | None = None
        self._was_two_way = True
        self._last_packet_at: Nanos | None = None
        self._stopped_at: Nanos | None = None
        self._interval_at = began_at
        self._rated_ns: Nanos = 0
        self._r_sum = self._r_listening_sum = 0.0  # of R times nanoseconds
        self._last: StreamSnapshot | None = None
        self._totals: Row = {}

    def close_interval(self, snapshot: StreamSnapshot, now: Nanos) -> Row | None:
        """Return the row of the time since the last one; None, and nothing is closed, before a whole second has passed.

        Rates and losses are over the time that really passed, so that a late tick does not make a slow stream. When it
        leaves less than half a second to the next one, that one's row is without them, and its time counts for the row
        after it: a few packets make no rate.
        """
        span_ns = now - self._interval_at
        if self._last is None and span_ns < SECOND:
            return None
        row = _counters_mod_32(snapshot, self.digits_sent) | _state(snapshot)
        if span_ns >= LEAST_SPAN_NS:
            row |= self._since_last(snapshot, now)
            self._last = snapshot
            self._interval_at = now
        return row

    @property
    def rating(self) -> tuple[int, int, int]:
        """Return R, MOS-LQ and MOS-CQ in tenths of what was heard so far, for our extended reports; 127 for not known.

        Source: RFC 3611 4.7.5.
        """
        if not self._rated_ns:
            return UNAVAILABLE, UNAVAILABLE, UNAVAILABLE
        r, listening = self._r_sum / self._rated_ns, self._r_listening_sum / self._rated_ns
        return round(r), round(10 * mos_from_r(listening)), round(10 * mos_from_r(r))

    def change_codec(self, codec: str, now: Nanos) -> None:
        """Rate by this codec from now on; nothing happens when it is the one so far."""
        if codec != self.codec:
            self.codec = codec
            self._codecs.append((now, codec))

    def follow_direction(self, now: Nanos, *, is_two_way: bool) -> None:
        """Note whether both sides are to speak from now on; a call of which nothing is said may be quiet."""
        if not is_two_way:
            self._two_way_since, self._was_two_way = None, False
        elif self._two_way_since is None:
            self._two_way_since = now

    def quiet_span(self, answered_at: Nanos) -> str:
        """Return when no RTP came for long although both sides were to speak; empty when there is no such time.

        Args:
            answered_at: what came before does not count: an early stream ends when its announcement does.
        """
        since, until, last = self._two_way_since, self._stopped_at, self._last_packet_at
        if since is None or until is None or last is None:
            return ""
        tail_ns = until - max(last, since, answered_at)
        if tail_ns >= QUIET_NS:
            return f"in the last {tail_ns / SECOND:.1f} s"
        if not self._was_two_way:
            return ""
        head_ns = self._began_at + (self.first_packet_delay_ms or 0) * MILLISECOND - max(answered_at, self._began_at)
        if head_ns >= QUIET_NS:
            return f"in the first {head_ns / SECOND:.1f} s"
        longest_ms = (self.longest_spacing_ms or 0) if self._began_at >= answered_at else 0
        return f"for {longest_ms / 1000:.1f} s on end" if longest_ms * MILLISECOND >= QUIET_NS else ""

    def stop(self, now: Nanos) -> None:
        """Note that we hung up: from now on nothing is sent; the peer's packets count until it knows."""
        self._stopped_at = self._stopped_at or now

    def finish(self, snapshot: StreamSnapshot, now: Nanos) -> None:
        """Take the last figures, after the stream was stopped."""
        self.stop(now)
        assert self._stopped_at is not None
        self.elapsed_ns = max(1, self._stopped_at - self._began_at)
        heard_ns = max(self.elapsed_ns, (snapshot.last_packet_at_ns or 0) - self._began_at)
        self.send_errors = snapshot.send_errors
        self.wrong_payload_type = snapshot.wrong_payload_type
        self.kernel_drops = snapshot.kernel_drops
        self.longest_spacing_ms = snapshot.total_spacing_max_ms
        self._last_packet_at = snapshot.last_packet_at_ns
        self.oddities = _oddities(snapshot)
        self._note_edges(snapshot)
        self._totals = _counters(snapshot, self.digits_sent) | self._whole(
            snapshot, self.elapsed_ns / SECOND, heard_ns / SECOND
        )

    def _note_edges(self, snapshot: StreamSnapshot) -> None:
        """Take when the first packets came and left, how many came after we had hung up, and which way was heard."""
        self.first_packet_delay_ms = self._since_begin_ms(snapshot.first_packet_at_ns)
        self.first_packet_sent_delay_ms = self._since_begin_ms(snapshot.first_sent_at_ns)
        spoken = snapshot.packets_sent > 0 and not _nothing_arrived(snapshot)
        heard = snapshot.packets_received > 0
        if heard != spoken:
            self.missing = "send" if heard else "receive"
        quiet = bool(snapshot.received_samples) and snapshot.signal_level_dbov is None
        self.is_silent = quiet if heard else not spoken
        if heard and not spoken and snapshot.packets_sent:
            self.oddities.append(f"by the peer's reports none of our {snapshot.packets_sent} packets arrived")
        before = snapshot.packets_at_mute
        self.packets_after_bye = None if before is None else max(0, snapshot.packets_received - before)

    def _since_begin_ms(self, at: Nanos | None) -> float | None:
        return None if at is None else max(0, at - self._began_at) / MILLISECOND

    def totals(self, side: str) -> dict[str, float | int | None]:
        """Return the figures of the whole call for ``send`` or ``receive``, by key without the side.

        Counters are exact; gauges are over the whole call: loss and MOS of all packets, the mean rate.
        """
        prefix = f"{side}."
        return {key.removeprefix(prefix): value for key, value in self._totals.items() if key.startswith(prefix)}

    @property
    def packets_sent(self) -> int:
        """Return the RTP packets sent; 0 before `finish`."""
        return int(self._totals.get("send.packets_sent", 0))

    @property
    def packets_received(self) -> int:
        """Return the RTP packets received; 0 before `finish`."""
        return int(self._totals.get("receive.packets_received", 0))

    def _since_last(self, snapshot: StreamSnapshot, now: Nanos) -> Row:
        """Return rates, loss and quality of the time since the last row."""
        last = self._last
        seconds = (now - self._interval_at) / SECOND
        shares = self._shares(self._interval_at, now)
        expected = snapshot.packets_expected - (last.packets_expected if last else 0)
        discarded = snapshot.buffer_late - (last.buffer_late if last else 0)
        received = snapshot.packets_received - (last.packets_received if last else 0)
        row = _rates(
            sent=(
                snapshot.packets_sent - (last.packets_sent if last else 0),
                snapshot.bytes_sent - (last.bytes_sent if last else 0),
            ),
            received=(received, snapshot.bytes_received - (last.bytes_received if last else 0)),
            sent_s=seconds,
            received_s=seconds,
        )
        heard = self._rate_heard(snapshot, expected, expected - received, discarded, snapshot.jitter_ms, shares)
        if heard is not None:
            row |= heard[0]
            self._rated_ns += now - self._interval_at
            self._r_sum += heard[1].r_factor * (now - self._interval_at)
            self._r_listening_sum += heard[1].r_listening * (now - self._interval_at)
        row |= _level(snapshot, last)
        loss = snapshot.remote_fraction_lost
        return row | self._spoken(snapshot, loss, shares)

    def _whole(self, snapshot: StreamSnapshot, sent_s: float, received_s: float) -> Row:
        """Return the gauges of the whole call: mean rates and jitter, extremes of spacing, loss of all packets.

        What the peer lost is its last word on it, set against what was sent until the end.
        """
        row = _rates(
            sent=(snapshot.packets_sent, snapshot.bytes_sent),
            received=(snapshot.packets_received, snapshot.bytes_received),
            sent_s=sent_s,
            received_s=received_s,
        )
        lost, discarded = snapshot.packets_lost, snapshot.buffer_late
        shares = self._shares(self._began_at, self._began_at + self.elapsed_ns)
        jitter_ms = snapshot.jitter_mean_ms
        heard = self._rate_heard(snapshot, snapshot.packets_expected, lost, discarded, jitter_ms, shares)
        row |= heard[0] if heard is not None else {}
        told = snapshot.remote_packets_lost
        loss = None if told is None else _loss(told, snapshot.packets_sent)
        row |= self._spoken(snapshot, loss, shares)
        row |= _so_far(snapshot) | _level(snapshot, None)
        return row | _known(
            {
                "send.rtt_ms": snapshot.rtt_ms,
                "receive.rtt_ms": snapshot.rtt_ms,
                "receive.jitter_ms": snapshot.jitter_mean_ms,
                "send.jitter_ms": snapshot.remote_jitter_ms,
                "receive.min_packet_spacing": snapshot.total_spacing_min_ms,
                "receive.avg_packet_spacing": snapshot.total_spacing_mean_ms,
                "receive.max_packet_spacing": snapshot.total_spacing_max_ms,
                "receive.packets_after_bye": self.packets_after_bye,
                "receive.sequence_number_gaps": snapshot.longest_loss_burst if snapshot.packets_expected else None,
            }
        )

    def _shares(self, since: Nanos, until: Nanos) -> dict[str, float]:
        """Return which part of a span each codec was in use, 0 .. 1."""
        spans: dict[str, Nanos] = {}
        for (begin, codec), (end, _) in pairwise([*self._codecs, (until, "")]):
            span_ns = min(end, until) - max(begin, since)
            if span_ns > 0:
                spans[codec] = spans.get(codec, 0) + span_ns
        total_ns = sum(spans.values())
        return {codec: span_ns / total_ns for codec, span_ns in spans.items()} or {self.codec: 1.0}

    def _rate_heard(
        self,
        snapshot: StreamSnapshot,
        expected: int,
        lost: int,
        discarded: int,
        jitter_ms: float | None,
        shares: dict[str, float],
    ) -> tuple[Row, Quality] | None:
        """Return loss, R and MOS of what we hear, by the buffer's delay and what came too late for it."""
        loss, unheard = _loss(lost, expected), _loss(max(0, lost) + discarded, expected)
        late = _loss(discarded, expected)
        if loss is None or unheard is None or late is None:
            return None
        rate = partial(
            stream_quality,
            unheard,
            snapshot.rtt_ms,
            jitter_ms or 0.0,
            ptime_ms=self.ptime_ms,
            burst_ratio=snapshot.burst_ratio or 1.0,
            buffer_ms=snapshot.buffer_delay_ms,
        )
        quality = _mean_quality(rate, shares)
        return _scores("receive", loss, quality) | {"receive.fraction_discarded": 100 * late}, quality

    def _spoken(self, snapshot: StreamSnapshot, loss: float | None, shares: dict[str, float]) -> Row:
        """Return loss, R and MOS of what the peer hears; nothing when its loss is not known.

        What its jitter buffer discards and how long it waits are known when it sends extended reports.
        """
        if loss is None:
            return {}
        voip = snapshot.remote_voip
        rate = partial(
            stream_quality,
            loss if voip is None else min(1.0, loss + voip.discard_rate / 256),
            snapshot.rtt_ms,
            snapshot.remote_jitter_ms or 0.0,
            ptime_ms=self.ptime_ms,
            buffer_ms=None if voip is None else voip.buffer_nominal_ms,
        )
        return _scores("send", loss, _mean_quality(rate, shares))


def _mean_quality(rate: Callable[..., Quality], shares: dict[str, float]) -> Quality:
    """Return the quality of a span by the codecs in it."""
    if len(shares) == 1:
        return rate(codec=next(iter(shares)))
    rated = [(rate(codec=codec), share) for codec, share in shares.items()]
    r = sum(share * quality.r_factor for quality, share in rated)
    listening = sum(share * quality.r_listening for quality, share in rated)
    return Quality(r, mos_from_r(r), listening, mos_from_r(listening))


def _scores(side: str, loss: float, quality: Quality) -> Row:
    return {
        f"{side}.fraction_lost": 100 * loss,
        f"{side}.r_factor": quality.r_factor,
        f"{side}.mos": quality.mos,
        f"{side}.mos_listening": quality.mos_listening,
    }


def _nothing_arrived(snapshot: StreamSnapshot) -> bool:
    """Tell whether the peer's last report says that all that we had sent by then was lost."""
    return snapshot.remote_fraction_lost is not None and (
        snapshot.remote_packets_lost is not None
        and snapshot.remote_fraction_lost > 0.99
        and snapshot.remote_packets_lost >= snapshot.packets_sent // 2 > 0
    )


def _oddities(snapshot: StreamSnapshot) -> list[str]:
    """Return what else came or did not, in words: where to look when a call was not heard."""
    counts = {
        "packets came from another address than the agreed one": snapshot.strangers,
        "packets came in another payload type than the agreed one": snapshot.wrong_payload_type,
        "datagrams that are no RTP came": snapshot.malformed,
        "packets of ours were refused by the peer's host or on the way (ICMP)": snapshot.network_errors,
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def _counters(snapshot: StreamSnapshot, digits_sent: int) -> Row:
    return _known(
        {
            "send.packets_sent": snapshot.packets_sent,
            "send.bytes_sent": snapshot.bytes_sent,
            "send.packets_lost": snapshot.remote_packets_lost,
            "send.dtmf_digits_sent": digits_sent,
            "receive.packets_received": snapshot.packets_received,
            "receive.bytes_received": snapshot.bytes_received,
            "receive.packets_lost": snapshot.packets_lost,
            "receive.duplicate_packets": snapshot.duplicate_packets,
            "receive.out_of_order_packets": snapshot.out_of_order_packets,
            "receive.sequence_number_resets": snapshot.sequence_number_resets,
            "receive.sequence_number_jumps": snapshot.sequence_number_jumps,
            "receive.ssrc_switches": snapshot.ssrc_switches,
            "receive.late_packets": snapshot.late_packets,
            "receive.timestamp_jumps": snapshot.timestamp_jumps,
            "receive.jitter_buffer_packets_pushed": snapshot.buffer_pushed,
            "receive.jitter_buffer_late_packets": snapshot.buffer_late,
            "receive.jitter_buffer_concealed_packets": max(0, snapshot.packets_lost + snapshot.duplicate_packets)
            + snapshot.buffer_late,
            "receive.jitter_buffer_duplicates": snapshot.duplicate_packets,
            "receive.payload_type_changes": snapshot.payload_type_changes,
            "receive.wrong_payload_type_packets": snapshot.wrong_payload_type,
            "receive.stranger_packets": snapshot.strangers,
            "receive.early_packets": snapshot.early_packets,
        }
    )


def _counters_mod_32(snapshot: StreamSnapshot, digits_sent: int) -> Row:
    """Return the counters as samples hold them: modulo 2^32, a negative loss as none."""
    return {key: max(0, int(value)) & 0xFFFFFFFF for key, value in _counters(snapshot, digits_sent).items()}


def _state(snapshot: StreamSnapshot) -> Row:
    """Return the gauges that are as they are, whatever time has passed."""
    return _known(
        {
            "send.rtt_ms": snapshot.rtt_ms,
            "receive.rtt_ms": snapshot.rtt_ms,
            "receive.jitter_ms": snapshot.jitter_ms,
            "send.jitter_ms": snapshot.remote_jitter_ms,
            "receive.min_packet_spacing": snapshot.packet_spacing_min_ms,
            "receive.avg_packet_spacing": snapshot.packet_spacing_avg_ms,
            "receive.max_packet_spacing": snapshot.packet_spacing_max_ms,
            "receive.sequence_number_gaps": snapshot.sequence_gap,
        }
    ) | _so_far(snapshot)


def _level(snapshot: StreamSnapshot, last: StreamSnapshot | None) -> Row:
    """Return the level of what was heard since `last`; nothing when none of it was measured."""
    samples = snapshot.received_samples - (last.received_samples if last else 0)
    energy = snapshot.received_energy - (last.received_energy if last else 0.0)
    if samples <= 0:
        return {}
    mean = energy / samples / FULL_SCALE
    return {
        "receive.audio_level_rms_dbov": max(DIGITAL_SILENCE_DBOV, 10 * log10(mean))
        if mean > 0
        else DIGITAL_SILENCE_DBOV
    }


def _so_far(snapshot: StreamSnapshot) -> Row:
    """Return what is of the whole stream up to now, each second and at the end."""
    return _known(
        {
            "receive.rtcp_sr_rr_interval_ms": snapshot.rtcp_interval_ms,
            "receive.max_jitter_ms": snapshot.jitter_max_ms,
            "receive.signal_level_dbov": snapshot.signal_level_dbov,
            "receive.noise_level_dbov": snapshot.noise_level_dbov,
            "receive.clock_drift_estimate": snapshot.clock_drift_ppm,
            "receive.clock_skew_estimate": snapshot.clock_skew_ppm,
            "receive.jitter_buffer_delay_ms": snapshot.buffer_delay_ms,
            "receive.average_jitter_ms": snapshot.buffer_jitter_ms,
            "receive.burst_density": snapshot.burst_density,
            "receive.gap_density": snapshot.gap_density,
            "receive.burst_duration": snapshot.burst_duration_ms,
            "receive.gap_duration": snapshot.gap_duration_ms,
        }
    ) | (_told(snapshot.remote_voip) | _summed_up(snapshot.remote_summary, snapshot.send_clock_hz))


def _told(voip: VoipMetrics | None) -> Row:
    """Return what the peer's extended report says of the stream that it hears. Source: RFC 3611 4.7."""
    if voip is None:
        return {}
    values = {
        "send.reported_r_factor": (voip.r_factor, 1.0, 0.0),
        "send.reported_mos": (voip.mos_cq_q10, 0.1, 0.0),
        "send.reported_mos_listening": (voip.mos_lq_q10, 0.1, 0.0),
        "send.signal_level_dbov": (voip.signal_level_db, 1.0, -DBM0_OF_DBOV),
        "send.noise_level_dbov": (voip.noise_level_db, 1.0, -DBM0_OF_DBOV),
    }
    return {key: scale * value + offset for key, (value, scale, offset) in values.items() if value != UNAVAILABLE} | {
        "send.fraction_discarded": 100 * voip.discard_rate / 256,
        "send.burst_density": voip.burst_density / 256,
        "send.gap_density": voip.gap_density / 256,
        "send.burst_duration": float(voip.burst_duration_ms),
        "send.gap_duration": float(voip.gap_duration_ms),
        "send.jitter_buffer_delay_ms": float(voip.buffer_nominal_ms),
    }


def _summed_up(summary: Summary | None, clock_hz: int) -> Row:
    """Return what the peer's extended report says of the time since the one before. Source: RFC 3611 4.6."""
    if summary is None:
        return {}
    jitter = {
        "send.reported_jitter_min_ms": summary.jitter_min,
        "send.reported_jitter_max_ms": summary.jitter_max,
        "send.reported_jitter_mean_ms": summary.jitter_mean,
        "send.reported_jitter_deviation_ms": summary.jitter_deviation,
    }
    counts = {
        "send.reported_interval_lost": summary.packets_lost,
        "send.reported_interval_duplicates": summary.duplicate_packets,
    }
    return _known(counts) | {key: value * 1000 / clock_hz for key, value in _known(jitter).items()}


def _rates(*, sent: tuple[int, int], received: tuple[int, int], sent_s: float, received_s: float) -> Row:
    """Return the rates of (packets, bytes) over so many seconds."""
    return {
        "send.packets_sent_rate_ps": sent[0] / sent_s,
        "send.bytes_sent_rate_bps": 8 * sent[1] / sent_s,
        "send.audio_bitrate_bps": 8 * sent[1] / sent_s,
        "receive.audio_bitrate_bps": 8 * received[1] / received_s,
        "receive.packets_recv_rate_ps": received[0] / received_s,
        "receive.bytes_recv_rate_bps": 8 * received[1] / received_s,
    }


def _loss(lost: int, expected: int) -> float | None:
    """Return the share lost, 0 .. 1; None when nothing was expected. Source: RFC 3550 A.3."""
    return min(1.0, max(0, lost) / expected) if expected > 0 else None


def _known(values: Mapping[str, float | None]) -> Row:
    return {key: value for key, value in values.items() if value is not None}
