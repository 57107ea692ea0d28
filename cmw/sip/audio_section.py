"""The audio section of our own descriptions, as text: all but its port is the same from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cmw.sip.audio_format import AudioCodec, serialize_rtpmap
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.grammar import CACHE_VALUES
from cmw.sip.sdp_attributes import AttributeRow, Direction


@lru_cache(maxsize=CACHE_VALUES)
def describe_audio(
    policy: AudioPolicy,
    protocol: str,
    formats: tuple[AudioCodec, ...],
    ptime_ms: int,
    direction: Direction,
    *,
    mux: bool,
) -> str:
    """Return what follows ``m=audio PORT `` in our section.

    Args:
        policy: ours; tells the longest packet.
        protocol: of the m= line.
        formats: what we take, the best first, under the numbers that we take it with.
        ptime_ms: packet duration that we ask for.
        direction: ours.
        mux: RTP and RTCP share a port.
    """
    lines = [f"{protocol} {' '.join([str(codec.payload_type) for codec in formats])}"]
    for codec in formats:
        lines.append(f"a=rtpmap:{serialize_rtpmap(codec)}")
        if codec.parameters:
            lines.append(f"a=fmtp:{codec.payload_type} {codec.parameters}")
    lines.append(f"a=ptime:{ptime_ms}")
    if policy.max_ptime_ms is not None:
        lines.append(f"a=maxptime:{policy.max_ptime_ms}")
    if mux:
        lines.append("a=rtcp-mux")
    lines.append(f"a={direction.value}")
    return "\r\n".join(lines) + "\r\n" + describe_rows(policy.attributes)


def describe_rows(rows: Sequence[AttributeRow]) -> str:
    """Return the text of further a= lines."""
    return "".join([f"a={name}\r\n" if value is None else f"a={name}:{value}\r\n" for name, value in rows])
