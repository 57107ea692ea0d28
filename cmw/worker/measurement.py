"""From the engine's cumulative figures of one call to the metrics of design: a row each second, totals at the end.

Keys carry their side: ``send.mos`` is what the peer hears of us, by its reports; ``receive.mos`` what we hear of it.
A metric that cannot be known is absent from the row.
"""

from __future__ import annotations

from cmw.core.clock import SECOND, Nanos
from cmw.metrics.emodel import stream_quality
from cmw.metrics.keys import METRICS
from cmw.rtp.snapshot import StreamSnapshot

COLUMNS: dict[str, str] = {
    f"{side}.{metric.key}": metric.column
    for metric in METRICS
    if metric.measured and metric.column is not None
    for side in metric.direction.sides
}
"""Every column that a worker can fill, with its typecode: ``f`` float32 or ``I`` uint32."""

Row = dict[str, float]
"""Values by column; what is unknown is not in it."""


class CallFigures:
    """The figures of one answered call.

    Args:
        codec: encoding name.
        ptime_ms: audio in each packet, milliseconds.
        began_at: instant at which the stream was started.
    """

    def __init__(self, codec: str, ptime_ms: int, began_at: Nanos) -> None:
        self.codec = codec
        self.ptime_ms = ptime_ms
        self.elapsed_ns: Nanos = 0
        self._began_at = began_at
        self._interval_at = began_at
        self._last: StreamSnapshot | None = None
        self._totals: Row = {}
        self.send_errors = 0

    def close_interval(self, snapshot: StreamSnapshot, now: Nanos) -> Row | None:
        """Return the row of the time since the last one; None, and nothing is closed, before a whole second has passed.

        Rates are over the time that really passed, so that a late tick does not make a slow stream.
        """
        span_ns = now - self._interval_at
        if span_ns < SECOND * 9 // 10 or (self._last is None and span_ns < SECOND):
            return None
        row = self._counters(snapshot) | self._gauges(snapshot, span_ns)
        self._last = snapshot
        self._interval_at = now
        return row

    def finish(self, snapshot: StreamSnapshot, now: Nanos) -> None:
        """Take the last figures, after the stream was stopped."""
        self.elapsed_ns = max(1, now - self._began_at)
        self._last = None
        self.send_errors = snapshot.send_errors
        self._totals = self._counters(snapshot, exact=True) | self._gauges(snapshot, self.elapsed_ns)

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

    def _counters(self, snapshot: StreamSnapshot, *, exact: bool = False) -> Row:
        row: Row = {
            "send.packets_sent": snapshot.packets_sent,
            "send.bytes_sent": snapshot.bytes_sent,
            "receive.packets_received": snapshot.packets_received,
            "receive.bytes_received": snapshot.bytes_received,
            "receive.packets_lost": snapshot.packets_lost,
            "receive.duplicate_packets": snapshot.duplicate_packets,
            "receive.out_of_order_packets": snapshot.out_of_order_packets,
            "receive.sequence_number_resets": snapshot.sequence_number_resets,
            "receive.sequence_number_jumps": snapshot.sequence_number_jumps,
            "receive.ssrc_switches": snapshot.ssrc_switches,
        }
        if snapshot.remote_packets_lost is not None:
            row["send.packets_lost"] = snapshot.remote_packets_lost
        if exact:
            return row
        return {key: max(0, int(value)) & 0xFFFFFFFF for key, value in row.items()}

    def _gauges(self, snapshot: StreamSnapshot, span_ns: Nanos) -> Row:
        row = self._rates(snapshot, span_ns)
        rtt_ms = snapshot.rtt_ms
        if rtt_ms is not None:
            row["send.rtt_ms"] = row["receive.rtt_ms"] = rtt_ms
        if snapshot.jitter_ms is not None:
            row["receive.jitter_ms"] = snapshot.jitter_ms
        spacing = {
            "receive.min_packet_spacing": snapshot.packet_spacing_min_ms,
            "receive.avg_packet_spacing": snapshot.packet_spacing_avg_ms,
            "receive.max_packet_spacing": snapshot.packet_spacing_max_ms,
        }
        row |= {key: value for key, value in spacing.items() if value is not None}
        loss = self._loss_ratio(snapshot)
        if loss is not None:
            row["receive.fraction_lost"] = 100 * loss
            self._add_quality(row, "receive", loss, rtt_ms, snapshot.jitter_ms or 0.0)
        if snapshot.remote_fraction_lost is not None:
            row["send.fraction_lost"] = 100 * snapshot.remote_fraction_lost
            row["send.jitter_ms"] = snapshot.remote_jitter_ms or 0.0
            self._add_quality(row, "send", snapshot.remote_fraction_lost, rtt_ms, row["send.jitter_ms"])
        return row

    def _rates(self, snapshot: StreamSnapshot, span_ns: Nanos) -> Row:
        last = self._last
        seconds = span_ns / SECOND
        sent = snapshot.packets_sent - (last.packets_sent if last else 0)
        received = snapshot.packets_received - (last.packets_received if last else 0)
        sent_bytes = snapshot.bytes_sent - (last.bytes_sent if last else 0)
        received_bytes = snapshot.bytes_received - (last.bytes_received if last else 0)
        return {
            "send.packets_sent_rate_ps": sent / seconds,
            "send.bytes_sent_rate_bps": 8 * sent_bytes / seconds,
            "receive.packets_recv_rate_ps": received / seconds,
            "receive.bytes_recv_rate_bps": 8 * received_bytes / seconds,
        }

    def _loss_ratio(self, snapshot: StreamSnapshot) -> float | None:
        """Return the share lost since the last row, 0 .. 1; None when nothing was expected. Source: RFC 3550 A.3."""
        last = self._last
        expected = snapshot.packets_expected - (last.packets_expected if last else 0)
        received = snapshot.packets_received - (last.packets_received if last else 0)
        if expected <= 0:
            return None
        return max(0, expected - received) / expected

    def _add_quality(self, row: Row, side: str, loss: float, rtt_ms: float | None, jitter_ms: float) -> None:
        r_factor, mos = stream_quality(loss, rtt_ms, jitter_ms, codec=self.codec, ptime_ms=self.ptime_ms)
        row[f"{side}.r_factor"] = r_factor
        row[f"{side}.mos"] = mos
