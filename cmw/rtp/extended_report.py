"""Extended reports: receiver reference time, delay since it, statistics summary, VoIP metrics. Source: RFC 3611 4."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

XR: Final = 207
"""Packet type. Source: RFC 3611 2."""
REFERENCE_TIME: Final = 4
DELAY_SINCE: Final = 5
SUMMARY: Final = 6
VOIP: Final = 7
UNAVAILABLE: Final = 127
"""Of levels and scores that are not known. Source: RFC 3611 4.7."""

_VOIP = struct.Struct("!IBBBBHHHHbbBBBBBBBxHHH")
_SUMMARY = struct.Struct("!IHHIIIIII4x")
_LOSS, _DUPLICATES, _JITTER = 0x80, 0x40, 0x20
"""Flags of what a summary has; what it has not is zero on the wire. Source: RFC 3611 4.6."""


class VoipMetrics(NamedTuple):
    """A VoIP metrics block as it stands on the wire. Source: RFC 3611 4.7."""

    ssrc: int
    """The source reported about."""
    loss_rate: int
    """Share lost since the beginning, in 1/256."""
    discard_rate: int
    """Share discarded by the jitter buffer, in 1/256."""
    burst_density: int
    """In 1/256, as `gap_density`."""
    gap_density: int
    burst_duration_ms: int
    gap_duration_ms: int
    round_trip_ms: int
    """0 when it is not known."""
    end_system_delay_ms: int
    signal_level_db: int
    """dBm0; 127 when it is not known, as the noise level."""
    noise_level_db: int
    residual_echo_db: int
    gmin: int
    r_factor: int
    """0 .. 100; 127 when it is not known, as the external one and both MOS."""
    external_r_factor: int
    mos_lq_q10: int
    """10 .. 50."""
    mos_cq_q10: int
    configuration: int
    """Concealment, kind and rate of the jitter buffer."""
    buffer_nominal_ms: int
    buffer_max_ms: int
    buffer_abs_max_ms: int


class VoipRating(NamedTuple):
    """What such a block says of a stream beside the counts; 127 is what is not known. Source: RFC 3611 4.7.3, 4.7.5."""

    signal_level_db: int = UNAVAILABLE
    """dBm0."""
    noise_level_db: int = UNAVAILABLE
    r_factor: int = UNAVAILABLE
    mos_lq_q10: int = UNAVAILABLE
    mos_cq_q10: int = UNAVAILABLE


class Summary(NamedTuple):
    """A statistics summary block, of the time since the one before; None: it has none. Source: RFC 3611 4.6."""

    ssrc: int
    begin_seq: int
    end_seq: int
    """One more than the last."""
    packets_lost: int | None
    duplicate_packets: int | None
    jitter_min: int | None
    """Difference of neighbouring transit times, RTP units, as the next three."""
    jitter_max: int | None
    jitter_mean: int | None
    jitter_deviation: int | None


class DelaySince(NamedTuple):
    """What one receiver is told of its reference time. Source: RFC 3611 4.5."""

    ssrc: int
    lrr: int
    """Middle 32 bits of its NTP timestamp."""
    dlrr: int
    """1/65536 s since it came."""


def split_blocks(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, type-specific byte, contents) of each block after the SSRC; a block that runs past the end is none.

    Args:
        body: of the packet, from the SSRC of its sender on.
    """
    at = 4
    while at + 4 <= len(body):
        kind, specific, words = struct.unpack_from("!BBH", body, at)
        end = at + 4 + 4 * words
        if end > len(body):
            return
        yield kind, specific, body[at + 4 : end]
        at = end


def parse_voip(contents: bytes) -> VoipMetrics:
    """Return the metrics in 32 bytes of a block."""
    return VoipMetrics(*_VOIP.unpack(contents))


def parse_summary(flags: int, contents: bytes) -> Summary:
    """Return the summary in 36 bytes of a block, and the byte that says what it has."""
    ssrc, begin, end, lost, duplicates, *jitter = _SUMMARY.unpack(contents)
    return Summary(
        ssrc,
        begin,
        end,
        lost if flags & _LOSS else None,
        duplicates if flags & _DUPLICATES else None,
        *(jitter if flags & _JITTER else [None] * 4),
    )


def serialize_reference_time(ntp: int) -> bytes:
    """Return the block that says when it was sent."""
    return struct.pack("!BBHQ", REFERENCE_TIME, 0, 2, ntp)


def serialize_delay_since(answer: DelaySince) -> bytes:
    """Return the block that answers one receiver's reference time."""
    return struct.pack("!BBHIII", DELAY_SINCE, 0, 3, *answer)


def serialize_summary(summary: Summary) -> bytes:
    """Return the block of a summary that has what is not None."""
    present = ((_LOSS, summary.packets_lost), (_DUPLICATES, summary.duplicate_packets), (_JITTER, summary.jitter_min))
    flags = sum(flag for flag, value in present if value is not None)
    return struct.pack("!BBH", SUMMARY, flags, 9) + _SUMMARY.pack(*(value or 0 for value in summary))


def serialize_voip(metrics: VoipMetrics) -> bytes:
    """Return the block of VoIP metrics."""
    return struct.pack("!BBH", VOIP, 0, 8) + _VOIP.pack(*metrics)
