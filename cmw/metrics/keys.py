# ruff: noqa: E501 - a table reads best with few breaks
"""Every metric, once: key, unit, kind, direction, definition, source, bands. docs/metrics.md is made from this table.

python -m cmw.metrics.keys > docs/metrics.md
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a figure is, and therefore how many of them add up."""

    GAUGE = "gauge"
    """A value of one second; the population of a run is every (endpoint, second)."""
    COUNTER = "counter"
    """A count since the start of the stream; a run's figure is the sum over endpoints of their last values."""
    ONE_SHOT = "one-shot"
    """One value for each call; the population of a run is its calls."""


class Direction(StrEnum):
    """Which side of the stream a figure describes."""

    SEND = "send"
    RECEIVE = "receive"
    BOTH = "both"
    CALL = "call"

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the sides that carry samples: ``send``, ``receive``, both or none."""
        if self is Direction.BOTH:
            return ("send", "receive")
        return () if self is Direction.CALL else (self.value,)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Args:
        bands: what the value means, from good to bad; empty when there is no agreed scale. Judging is left to thresholds.
        measured: whether this version measures it; the others keep their key for the version that does.
        worse: ``high`` when large values are bad, ``low`` when small ones are, empty when neither.
    """

    key: str
    unit: str
    kind: Kind
    direction: Direction
    category: str
    definition: str
    source: str = ""
    bands: str = ""
    measured: bool = False
    worse: str = ""

    @property
    def may_be_negative(self) -> bool:
        """Tell whether values below zero make sense: levels against full scale, and errors of a rate."""
        return self.unit in ("dBov", "dB", "ppm")

    @property
    def column(self) -> str | None:
        """Return the typecode of its samples: 'f' float32, 'I' uint32 modulo 2^32; None when it is not sampled."""
        if self.kind is Kind.ONE_SHOT:
            return None
        return "f" if self.kind is Kind.GAUGE else "I"


_G, _C, _O = Kind.GAUGE, Kind.COUNTER, Kind.ONE_SHOT
_S, _R, _B, _CALL = Direction.SEND, Direction.RECEIVE, Direction.BOTH, Direction.CALL

QUALITY, NETWORK, FEEDBACK = "Quality", "Network", "Feedback"
JITTER_BUFFER, AUDIO, VIDEO, TIMING = "Jitter buffer", "Audio", "Video", "Call timing"

# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric("mos", "1-5", _G, _B, QUALITY,
           "Conversational quality by the E-model, from loss of the last second, its burstiness, delay and codec. "
           "Receive: of what arrives here, discards of the jitter buffer included. Send: of what arrives at the peer, from its "
           "RTCP reports.",
           "ITU-T G.107, G.107.1, G.113", "4.0 excellent, 3.5 good, 3.0 fair, 2.5 poor, below bad", True, "low"),
    Metric("mos_listening", "1-5", _G, _B, QUALITY, "The same without the delay: how it sounds, not how it is to talk.",
           "ITU-T G.107, G.107.1, G.113", "4.0 excellent, 3.5 good, 3.0 fair, 2.5 poor, below bad", True, "low"),
    Metric("r_factor", "0-100", _G, _B, QUALITY, "Transmission rating factor R of the E-model, before it becomes a MOS.",
           "ITU-T G.107", "90 excellent, 80 good, 70 acceptable, 60 poor, below unacceptable", True, "low"),
    Metric("jitter_ms", "ms", _G, _B, QUALITY,
           "Running estimate of the variation of transit times. Receive: of kernel arrival times. Send: the peer's report.",
           "RFC 3550 6.4.1, A.8", "below 20 good, 20-40 warning, above critical", True, "high"),
    Metric("max_jitter_ms", "ms", _G, _R, QUALITY, "Highest value of the running estimate since the start.",
           "RFC 3550 6.4.1, A.8", "below 20 good, 20-40 warning, above critical", True, "high"),
    Metric("rtt_ms", "ms", _G, _B, QUALITY,
           "Round-trip time by RTCP: arrival of the report minus LSR minus DLSR. One figure for both directions.",
           "RFC 3550 6.4.1", "below 100 natural, 200 slight, 400 noticeable, above difficult", True, "high"),
    Metric("packets_lost", "packets", _C, _B, QUALITY,
           "Expected minus received since the start; duplicates count as received, so it may be negative. "
           "Send: the peer's report.", "RFC 3550 6.4.1, A.3", "", True, "high"),
    Metric("fraction_lost", "%", _G, _B, QUALITY,
           "Share of the packets expected in the interval that did not come; below zero counts as zero. Receive: of the last "
           "second. Send: the peer's report.", "RFC 3550 6.4.1, A.3", "above 3 choppy", True, "high"),
    Metric("clock_drift_estimate", "ppm", _G, _R, QUALITY,
           "Rate error of the peer's media clock against its wall clock, by regression over its last 20 sender reports; "
           "above 0 is fast.", "RFC 3550 6.4.1", "", True),
    Metric("clock_skew_estimate", "ppm", _G, _R, QUALITY,
           "Rate error of the peer's media clock against ours, by the same regression over arrivals.", "RFC 3550 6.4.1", "", True),
    Metric("timestamp_jumps", "count", _C, _R, QUALITY, "Steps of the RTP timestamp that the codec's clock does not explain.",
           "RFC 3550 5.1", "0 expected", True, "high"),
    Metric("ssrc_switches", "count", _C, _R, QUALITY, "Changes of the SSRC of the received stream.", "RFC 3550 8.2",
           "0 normal, 1 warning unless the scenario implies it, 2 critical", True, "high"),
    Metric("srtp_decrypt_failures", "count", _C, _R, QUALITY, "Packets that failed authentication or decryption.",
           "RFC 3711 3.3", "0 normal, 1-5 warning, above critical", worse="high"),
    Metric("dtls_rehandshakes", "count", _C, _B, QUALITY, "DTLS handshakes after the first.", "RFC 5764",
           "0 normal, 1 warning, 2 critical", worse="high"),
    Metric("rtcp_sr_rr_interval_ms", "ms", _G, _R, QUALITY, "Time between the last two RTCP packets of the peer.", "RFC 3550 6.2",
           "", True),
    Metric("fraction_discarded", "%", _G, _B, QUALITY,
           "Share of the packets expected in the interval that came, but too late for the jitter buffer. Receive: of the last "
           "second. Send: since the start, by the peer's extended report.", "RFC 3611 4.7.1", "", True, "high"),
    Metric("reported_r_factor", "0-100", _G, _S, QUALITY,
           "What the peer itself says of the stream that it hears, in its extended report: its R.", "RFC 3611 4.7.5",
           "90 excellent, 80 good, 70 acceptable, 60 poor, below unacceptable", True, "low"),
    Metric("reported_mos", "1-5", _G, _S, QUALITY, "Likewise its MOS-CQ, conversational.", "RFC 3611 4.7.5",
           "4.0 excellent, 3.5 good, 3.0 fair, 2.5 poor, below bad", True, "low"),
    Metric("reported_mos_listening", "1-5", _G, _S, QUALITY, "Likewise its MOS-LQ, listening.", "RFC 3611 4.7.5",
           "4.0 excellent, 3.5 good, 3.0 fair, 2.5 poor, below bad", True, "low"),
    Metric("reported_interval_lost", "packets", _G, _S, QUALITY,
           "Packets that the peer missed between its last two extended reports, by its statistics summary; duplicates do not "
           "hide losses there.", "RFC 3611 4.6", "0 normal", True, "high"),
    Metric("reported_interval_duplicates", "packets", _G, _S, QUALITY, "Likewise the duplicates that it received.",
           "RFC 3611 4.6", "0 normal", True, "high"),
    Metric("reported_jitter_min_ms", "ms", _G, _S, QUALITY,
           "Likewise the smallest difference of the transit times of neighbouring packets; not the running estimate of RFC 3550.",
           "RFC 3611 4.6", "", True),
    Metric("reported_jitter_max_ms", "ms", _G, _S, QUALITY, "Likewise the largest.", "RFC 3611 4.6", "", True, "high"),
    Metric("reported_jitter_mean_ms", "ms", _G, _S, QUALITY, "Likewise their mean.", "RFC 3611 4.6", "", True, "high"),
    Metric("reported_jitter_deviation_ms", "ms", _G, _S, QUALITY, "Likewise their standard deviation.", "RFC 3611 4.6", "",
           True, "high"),
    Metric("burst_density", "ratio", _G, _B, QUALITY,
           "Share of packets lost or discarded within bursts of loss, since the start; 0 without bursts. Send, as the next "
           "three: the peer's extended report.", "RFC 3611 4.7.2",
           "below 0.05 good", True, "high"),
    Metric("gap_density", "ratio", _G, _B, QUALITY,
           "Share of packets lost or discarded within gaps between bursts, since the start.", "RFC 3611 4.7.2", "", True,
           "high"),
    Metric("burst_duration", "ms", _G, _B, QUALITY,
           "Mean length of a burst of loss since the start; it ends with 16 packets heard in a row. 0 without bursts.",
           "RFC 3611 4.7.2", "below 60 hidden, 60-200 audible, above obvious", True, "high"),
    Metric("gap_duration", "ms", _G, _B, QUALITY, "Mean length of a gap between bursts, since the start.",
           "RFC 3611 4.7.2", "", True),

    Metric("packets_sent", "packets", _C, _S, NETWORK, "RTP packets sent; 50 a second at 20 ms.", "RFC 3550 6.4.1", "", True),
    Metric("packets_received", "packets", _C, _R, NETWORK, "RTP packets received from the peer, duplicates included.",
           "RFC 3550 A.3", "", True),
    Metric("bytes_sent", "bytes", _C, _S, NETWORK, "RTP payload sent, without headers and padding.", "RFC 3550 6.4.1", "",
           True),
    Metric("bytes_received", "bytes", _C, _R, NETWORK, "RTP payload received, without headers and padding.",
           "RFC 3550 6.4.1", "", True),
    Metric("packets_sent_rate_ps", "packets/s", _G, _S, NETWORK, "RTP packets sent in the last second.", "", "", True),
    Metric("packets_recv_rate_ps", "packets/s", _G, _R, NETWORK, "RTP packets received in the last second.", "", "", True),
    Metric("bytes_sent_rate_bps", "bit/s", _G, _S, NETWORK, "Payload bytes sent in the last second, times 8.", "",
           "64000 for G.711", True),
    Metric("bytes_recv_rate_bps", "bit/s", _G, _R, NETWORK, "Payload bytes received in the last second, times 8.", "",
           "64000 for G.711", True),
    Metric("duplicate_packets", "packets", _C, _R, NETWORK, "Packets with a sequence number that was seen already.",
           "RFC 3550 A.1", "0 normal, above 2 warning", True, "high"),
    Metric("out_of_order_packets", "packets", _C, _R, NETWORK, "Packets with a sequence number lower than expected.",
           "RFC 3550 A.1", "0 normal", True, "high"),
    Metric("sequence_number_resets", "count", _C, _R, NETWORK,
           "Restarts of the sequence elsewhere without a change of SSRC; the natural wrap is none.",
           "RFC 3550 A.1, MAX_DROPOUT", "0 normal", True, "high"),
    Metric("sequence_number_gaps", "packets", _G, _R, NETWORK, "Longest run of numbers missing among the last 128.", "",
           "1 concealed, 2-3 minor, 5-10 audible, above obvious", True, "high"),
    Metric("sequence_number_jumps", "count", _C, _R, NETWORK, "Forward steps too large to be counted as loss.",
           "RFC 3550 A.1", "0 normal", True, "high"),
    Metric("avg_packet_spacing", "ms", _G, _R, NETWORK, "Mean time between arrivals in the last 2 seconds.", "",
           "the packet time, 20", True),
    Metric("min_packet_spacing", "ms", _G, _R, NETWORK, "Shortest time between arrivals in the last 2 seconds.", "", "",
           True),
    Metric("max_packet_spacing", "ms", _G, _R, NETWORK, "Longest time between arrivals in the last 2 seconds.", "", "",
           True, "high"),
    Metric("late_packets", "count", _C, _R, NETWORK,
           "Packets later than the RTP clock expects, by the fastest of the last 10 to 20 s, by more than 100 ms, unless the plan "
           "says otherwise.",
           "RFC 3550 5.1", "", True, "high"),

    Metric("payload_type_changes", "count", _C, _R, NETWORK,
           "Changes of the payload type within the stream, events and comfort noise left out.", "RFC 3550 5.1", "0 expected",
           True, "high"),
    Metric("wrong_payload_type_packets", "packets", _C, _R, NETWORK,
           "Packets of a payload type that was not agreed, comfort noise included.", "RFC 3264 5.1", "0 expected", True, "high"),
    Metric("stranger_packets", "packets", _C, _R, NETWORK, "Packets from addresses and sources that are not the peer's.",
           "RFC 3550 8.2", "0 normal", True, "high"),
    Metric("early_packets", "packets", _C, _R, NETWORK,
           "Packets of the stream that came before we knew of the answer; they count as received.", "RFC 3264 5.1", "", True),
    Metric("packets_after_bye", "packets", _C, _R, NETWORK,
           "Packets that came after we had sent or taken the BYE, for 100 ms; only for whole calls.", "RFC 3261 15", "", True,
           "high"),

    Metric("nack_count", "count", _C, _B, FEEDBACK, "Generic NACK messages.", "RFC 4585 6.2.1"),
    Metric("pli_count", "count", _C, _B, FEEDBACK, "Picture Loss Indications.", "RFC 4585 6.3.1"),
    Metric("fir_count", "count", _C, _B, FEEDBACK, "Full Intra Requests.", "RFC 5104 4.3.1"),
    Metric("sli_count", "count", _C, _B, FEEDBACK, "Slice Loss Indications.", "RFC 4585 6.3.2"),

    Metric("jitter_buffer_packets_pushed", "packets", _C, _R, JITTER_BUFFER,
           "Packets that the model of the jitter buffer (40 ms, then 20 to 200 ms, unless the plan says otherwise) would have "
           "played.", "", "", True),
    Metric("jitter_buffer_late_packets", "packets", _C, _R, JITTER_BUFFER,
           "Packets that it would have discarded for coming after their turn.", "", "", True, "high"),
    Metric("jitter_buffer_concealed_packets", "packets", _C, _R, JITTER_BUFFER,
           "Packets that it would have had to make up: those that never came, and those it discarded.", "", "", True, "high"),
    Metric("jitter_buffer_duplicates", "packets", _C, _R, JITTER_BUFFER, "Second copies that it would have dropped.", "", "",
           True),
    Metric("jitter_buffer_delay_ms", "ms", _G, _B, JITTER_BUFFER,
           "How long it waits after the fastest packet. Send: the peer's extended report.", "RFC 3611 4.7.7", "", True, "high"),
    Metric("rtx_requests", "count", _C, _R, JITTER_BUFFER, "Retransmissions asked for.", "RFC 4588"),
    Metric("rtx_success", "count", _C, _R, JITTER_BUFFER, "Retransmissions that came in time.", "RFC 4588"),
    Metric("average_jitter_ms", "ms", _G, _R, JITTER_BUFFER,
           "Running mean of the deviation of arrivals inside the buffer; not the jitter of RFC 3550.", "", "", True, "high"),

    Metric("plc_events", "count/s", _G, _R, AUDIO, "Entries into concealment (Opus).", "RFC 6716 4.4", worse="high"),
    Metric("plc_duration_ms", "ms/s", _G, _R, AUDIO, "Audio concealed within a second (Opus).", "RFC 6716 4.4",
           "0-50 good, 50-150 warning, above critical", worse="high"),
    Metric("signal_level_dbov", "dBov", _G, _B, AUDIO, "Level of the packets with speech since the start, G.711 "
           "only; a packet is speech down to 15.9 dB below the mean of the louder ones. "
           "Send: the peer's extended report, as the next one.", "ITU-T P.56, G.100.1",
           "-10 to -15 loud, -20 to -30 normal, -40 to -50 quiet, below near silent", True),
    Metric("noise_level_dbov", "dBov", _G, _B, AUDIO, "Level of the other packets since the start, G.711 only.",
           "ITU-T P.56, G.100.1", "-60 to -70 very quiet, -40 to -50 moderate, -30 to -40 noisy, above severe", True),
    Metric("audio_level_rms_dbov", "dBov", _G, _R, AUDIO, "Level of everything in the last second, by every fourth "
           "packet, G.711 only; -100 is digital silence.", "ITU-T G.100.1", "below -50 silence, near 0 clipping", True),
    Metric("opus_packet_loss", "%", _G, _R, AUDIO, "Frames that the decoder had to make up.", "RFC 6716 4.4",
           "above 3 audible", worse="high"),
    Metric("opus_decoder_gain_db", "dB", _G, _R, AUDIO, "Gain of the decoder.", "RFC 7845 5.1", "0 normal"),
    Metric("opus_last_packet_duration_ms", "ms", _G, _R, AUDIO, "Length of the last packet.", "RFC 6716 3.1", "20 expected"),
    Metric("audio_bitrate_bps", "bit/s", _G, _B, AUDIO, "Output of the codec in the last second, not of the network: payload "
           "alone.", "", "64000 for G.711", True),
    Metric("dtmf_digits_sent", "count", _C, _S, AUDIO,
           "Digits sent: by RFC 4733, when the end of the event left; by INFO, when it was answered 2xx.", "RFC 4733, RFC 6086",
           "", True),

    Metric("resolution_mp", "megapixels", _G, _B, VIDEO, "Size of the picture.", "", "0.31 VGA, 0.92 HD, 2.07 FHD"),
    Metric("frame_rate_fps", "frames/s", _G, _B, VIDEO, "Pictures in the last second."),
    Metric("freeze_count", "count", _C, _R, VIDEO, "Freezes, each once whatever its length.", worse="high"),
    Metric("freeze_duration_ms", "ms", _G, _R, VIDEO, "Time frozen within the interval.", worse="high"),
    Metric("keyframe_requests_sent", "count", _C, _S, VIDEO, "PLI and FIR sent.", "RFC 4585, RFC 5104"),
    Metric("keyframe_requests_received", "count", _C, _R, VIDEO, "PLI and FIR received.", "RFC 4585, RFC 5104"),
    Metric("keyframes_sent", "count", _C, _S, VIDEO, "Key frames sent."),
    Metric("keyframes_received", "count", _C, _R, VIDEO, "Key frames received."),
    Metric("keyframe_interval_ms", "ms", _G, _S, VIDEO, "Time between key frames.", "",
           "up to 2000 good, 5000 warning, above 10000 critical", worse="high"),
    Metric("video_decoder_errors", "count", _C, _R, VIDEO, "Errors of the decoder.", worse="high"),

    Metric("registration_time_ms", "ms", _O, _CALL, TIMING, "First REGISTER to its 200, challenges included.",
           "RFC 3261 10.2", "", True, "high"),
    Metric("time_to_trying_ms", "ms", _O, _CALL, TIMING, "INVITE to the first 100 Trying.", "RFC 3261 17.1.1",
           "below 100 fast, 100-500 slow, above overloaded", True, "high"),
    Metric("time_to_ringing_ms", "ms", _O, _CALL, TIMING, "INVITE to the first 180 Ringing.", "RFC 3261 13.2.2.1", "", True,
           "high"),
    Metric("post_dial_delay_ms", "ms", _O, _CALL, TIMING,
           "INVITE to the first sign of ringing: 180, or 183 with a session description.", "RFC 3261 13.2.2.1",
           "below 3000 normal, 3000-8000 perceived, above abandoned", True, "high"),
    Metric("session_request_delay_ms", "ms", _O, _CALL, TIMING,
           "INVITE to the first word on how it fares: the first provisional response but 100, or the 200 where none came.",
           "RFC 6076 4.3.1", "", True, "high"),
    Metric("call_setup_time_ms", "ms", _O, _CALL, TIMING, "INVITE to its 200, ringing included.", "RFC 3261 13.2.2.4", "",
           True, "high"),
    Metric("call_duration_ms", "ms", _O, _CALL, TIMING, "200 of the INVITE to the BYE.", "RFC 6076 4.5", "", True),
    Metric("session_disconnect_delay_ms", "ms", _O, _CALL, TIMING, "Our BYE to its 2xx.", "RFC 6076 4.4", "", True, "high"),
    Metric("first_packet_delay_ms", "ms", _O, _CALL, TIMING,
           "Start of the stream, which follows the answer, to the first RTP packet of the peer; 0 when it came before.", "", "",
           True, "high"),
    Metric("first_packet_sent_delay_ms", "ms", _O, _CALL, TIMING,
           "Start of the stream, which follows the answer, to our first RTP packet: the other direction.", "", "", True, "high"),
    Metric("session_timer_refreshes", "count", _C, _CALL, TIMING, "Refreshes by re-INVITE or UPDATE, by either side.",
           "RFC 4028", "", True),
    Metric("scenario_actions_executed", "count", _C, _CALL, TIMING, "Steps of the scenario that were carried out.",
           "", "", True),
    Metric("scenario_actions_failed", "count", _C, _CALL, TIMING, "Steps of the scenario that failed.", "", "0 expected",
           True, "high"),
)
# fmt: on

by_key: dict[str, Metric] = {metric.key: metric for metric in METRICS}

TIMING_KEYS: tuple[str, ...] = tuple(m.key for m in METRICS if m.kind is Kind.ONE_SHOT and m.measured)
"""The one-shot keys that an endpoint's report may carry."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sample batch: ``receive.jitter_ms`` and the like."""

    name: str
    metric: Metric
    side: str


COLUMNS: dict[str, Column] = {
    f"{side}.{m.key}": Column(f"{side}.{m.key}", m, side) for m in METRICS if m.measured for side in m.direction.sides
}
"""The columns of samples that this version fills, by name; typecode is `metric.column`."""


def markdown() -> str:
    """Return docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Made from `cmw/metrics/keys.py` by `python -m cmw.metrics.keys > docs/metrics.md`; do not edit.",
        "",
        "* A **gauge** has a value each second; a run's figures describe all (endpoint, second) pairs.",
        "* A **counter** counts since the start of the stream, modulo 2^32; a run's figure is the sum over endpoints.",
        "* A **one-shot** has one value per call.",
        "* Send and receive are kept apart. A value that cannot be known is absent (null), never zero.",
        "* *Measured* says whether this version measures it; the other keys are reserved for what audio and RTCP cannot tell: SRTP and",
        "  DTLS, video with its feedback (RFC 4585) and retransmissions (RFC 4588), and the decoder of Opus.",
        "* Bands are customary readings, not judgements: those are made by the thresholds of a plan.",
    ]
    for category in dict.fromkeys(metric.category for metric in METRICS):
        lines += [
            "",
            f"## {category}",
            "",
            "| key | unit | kind | direction | measured | definition | source | bands |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in METRICS if metric.category == category]
    return "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    measured = "yes" if metric.measured else "not yet"
    cells = (
        f"`{metric.key}`",
        metric.unit,
        metric.kind,
        metric.direction,
        measured,
        metric.definition,
        metric.source,
        metric.bands,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(markdown(), end="")
