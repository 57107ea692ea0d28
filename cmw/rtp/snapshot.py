"""The figures of one stream, as both twins and the media engine give them."""

from __future__ import annotations

from typing import NamedTuple

from cmw.rtp.extended_report import Summary, VoipMetrics


class StreamSnapshot(NamedTuple):
    """Everything known of one stream; counters since it was opened, gauges as they are now.

    What is not known is None, never 0. Instants are of the monotonic clock that the arrivals were given in.
    """

    packets_sent: int
    """Packets handed to the network."""
    bytes_sent: int
    """Their payload, bytes."""
    packets_skipped: int
    """Packets that were too late to be sent; our own fault, never the network's."""
    send_errors: int
    """Packets that the kernel refused."""
    rtcp_sent: int
    """Compound control packets built."""
    packets_received: int
    """Packets of the stream, duplicates included. Source: RFC 3550 A.3."""
    bytes_received: int
    """Their payload, bytes."""
    packets_expected: int
    """By the sequence numbers. Source: RFC 3550 A.3."""
    packets_lost: int
    """Expected less received; below 0 when duplicates outnumber losses. Source: RFC 3550 A.3."""
    duplicate_packets: int
    """Packets whose sequence number came before, within the last 128."""
    out_of_order_packets: int
    """Packets below the highest sequence number, seen for the first time."""
    sequence_number_resets: int
    """Restarts at a lower sequence number that a second packet confirmed."""
    sequence_number_jumps: int
    """Steps forward by MAX_DROPOUT or more that a second packet confirmed; not counted as loss."""
    ssrc_switches: int
    """Changes of the source. Source: RFC 3550 8.2."""
    discarded_packets: int
    """Packets of the source too far from its sequence, and never confirmed. Source: RFC 3550 A.1."""
    jitter_ms: float | None
    """Interarrival jitter now. Source: RFC 3550 6.4.1, A.8."""
    jitter_min_ms: float | None
    """Its lowest value."""
    jitter_mean_ms: float | None
    """Its mean over the packets that moved it."""
    jitter_max_ms: float | None
    """Its highest value."""
    rtt_ms: float | None
    """Round trip, by LSR and DLSR or by LRR and DLRR, whichever came last. Source: RFC 3550 6.4.1, RFC 3611 4.5."""
    remote_fraction_lost: float | None
    """Share of our packets that the peer missed in its last report interval, 0 .. 255/256."""
    remote_jitter_ms: float | None
    """Jitter of our packets as the peer saw it."""
    remote_packets_lost: int | None
    """Packets of ours that the peer missed since the beginning, signed 24 bits."""
    remote_packets_sent: int | None
    """Packets sent, by the peer's last sender report."""
    rtcp_received: int
    """Valid compound control packets."""
    rtcp_malformed: int
    """Control packets that were not valid."""
    byes_received: int
    """BYEs of the source of the stream."""
    first_sent_at_ns: int | None
    """When the first packet left."""
    first_packet_at_ns: int | None
    """Arrival of the first packet."""
    last_packet_at_ns: int | None
    """Arrival of the newest packet."""
    strangers: int
    """Packets from other sources or addresses."""
    wrong_payload_type: int
    """Packets neither of the negotiated payload type nor of its events."""
    malformed: int
    """Packets whose header is not valid RTP."""
    packet_spacing_min_ms: float | None
    """Smallest time between neighbouring arrivals in the 2 s before the newest one."""
    packet_spacing_avg_ms: float | None
    """Mean of the same."""
    packet_spacing_max_ms: float | None
    """Largest of the same."""
    total_spacing_min_ms: float | None
    """Smallest time between neighbouring arrivals of the whole stream."""
    total_spacing_mean_ms: float | None
    """Mean of the same."""
    total_spacing_max_ms: float | None
    """Largest of the same."""
    loss_bursts: int
    """Runs of packets missing in a row."""
    longest_loss_burst: int
    """Packets in the longest of them."""
    sequence_gap: int | None
    """Longest row of missing numbers among the last 128."""
    burst_density: float | None
    """Share of the packets in bursts that were lost or discarded, 0 .. 1; 0 without bursts. Source: RFC 3611 4.7.2."""
    gap_density: float | None
    """The same of the packets in gaps between bursts."""
    burst_duration_ms: float | None
    """Mean length of a burst, 0 without any."""
    gap_duration_ms: float | None
    """Mean length of a gap."""
    burst_ratio: float | None
    """Mean row of lost packets against that of random loss, 1 or more for bursts. Source: ITU-T G.107 7.5, BurstR."""
    late_packets: int
    """Packets later than the fastest of the last seconds by more than the limit."""
    timestamp_jumps: int
    """Steps of the timestamp that neither the packets nor the time between them explain."""
    payload_type_changes: int
    """Changes of the payload type from packet to packet, events and comfort noise left out."""
    buffer_pushed: int
    """Packets that the model of the jitter buffer would have played; duplicates, events and other types left out."""
    buffer_late: int
    """Packets that it would have discarded for coming after their turn."""
    buffer_delay_ms: float | None
    """How long it waits now after the fastest packet."""
    buffer_jitter_ms: float | None
    """Mean deviation of arrivals from their mean lateness, over some 16 packets; not the jitter of RFC 3550."""
    rtcp_interval_ms: float | None
    """Time between the peer's last two control packets."""
    clock_drift_ppm: float | None
    """Rate error of the peer's media clock against its wall clock, by regression over its last 20 sender reports."""
    clock_skew_ppm: float | None
    """The same against our clock."""
    remote_voip: VoipMetrics | None
    """What the peer last told of our stream in VoIP metrics. Source: RFC 3611 4.7."""
    remote_summary: Summary | None
    """What it last told in a statistics summary. Source: RFC 3611 4.6."""
    send_clock_hz: int
    """RTP clock of our stream: the unit of the summary's jitter."""
    ssrc: int | None
    """The source we listen to."""
    ext_highest_seq: int | None
    """Highest sequence number received, extended by its cycles."""

    # what only the owner of the sockets knows: 0 and None from the tables alone
    packets_before_start: int = 0
    """Media datagrams that came before the stream began and do not count in it."""
    packets_after_stop: int = 0
    """Datagrams that came after it was stopped."""
    kernel_drops: int = 0
    """Datagrams that found the socket's buffer full."""
    rtcp_strangers: int = 0
    """Control datagrams from other addresses, or from before the stream began."""
    rtcp_send_errors: int = 0
    """Control packets that the kernel or the peer's host refused."""
    network_errors: int = 0
    """Packets of ours that came back by ICMP: the peer's host, or a router, did not want them."""
    early_packets: int = 0
    """Packets of the stream that came before it was started: before we knew of the answer."""
    packets_at_mute: int | None = None
    """Packets received when sending was last kept back, as at a BYE; None when it never was."""
    received_energy: float = 0.0
    """Sum of the squared 16-bit samples that the level was taken from."""
    received_samples: int = 0
    """How many these are."""
    signal_level_dbov: float | None = None
    """Mean power of the packets with speech; None without any. Source: the margin of ITU-T P.56, by packets."""
    noise_level_dbov: float | None = None
    """Mean power of the others; None without any."""
    received_level_dbov: float | None = None
    """Mean power of what was heard, G.711 only; -100 stands for digital silence. Source: ITU-T G.100.1."""


class ReceptionBlock(NamedTuple):
    """One report block as it stands on the wire. Source: RFC 3550 6.4.1."""

    ssrc: int
    """The source reported about."""
    fraction_lost: int
    """Share lost since the previous report, in 1/256."""
    packets_lost: int
    """Lost since the beginning, signed, clamped to 24 bits."""
    ext_highest_seq: int
    """Highest sequence number received, extended, modulo 2^32."""
    jitter: int
    """RTP timestamp units."""
    lsr: int
    """Middle 32 bits of the NTP timestamp of the last sender report, 0 for none."""
    dlsr: int
    """Delay since that report in 1/65536 s, 0 for none."""
