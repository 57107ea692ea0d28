"""What was said in a call, from the packets that were kept of it: heard on the left, said on the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cmw.load.packets import CallPacket, EvidencePackets, joined
from cmw.rtp.packet import PacketError, parse_header
from cmw.rtp.recording import CODECS, RATE_HZ, Track
from cmw.rtp.wav import serialize_wav

MOST_S = 600
"""Of a file; what comes later is left out."""


def call_sounds(parts: Iterable[EvidencePackets]) -> list[bytes]:
    """Return stereo WAV files of the G.711 in the packets: one for each span without a gap in what was kept.

    A second call of the endpoint has its own.

    Both channels are in step: a packet lies where it was sent, or where its timestamp says after the first that came.
    """
    spans: list[list[CallPacket]] = [[]]
    for packet in joined(parts):
        if packet.is_after_gap or (spans[-1] and packet.is_beside is not spans[-1][-1].is_beside):
            spans.append([])
        if not packet.is_control:
            spans[-1].append(packet)
    return [sound for span in spans if span and (sound := _sound(span))]


def _sound(packets: Sequence[CallPacket]) -> bytes:
    began_at = min(packet.at_unix_ns for packet in packets)
    heard, said = (Track(began_at, MOST_S * RATE_HZ) for _ in range(2))
    for packet in packets:
        try:
            header = parse_header(packet.data)
        except PacketError:
            continue
        codec = CODECS.get(header.payload_type)
        if codec is not None and packet.size == len(packet.data):
            payload = packet.data[header.payload_offset : header.payload_offset + header.payload_bytes]
            (said if packet.is_sent else heard).add(header, payload, codec, packet.at_unix_ns)
    return serialize_wav(heard.samples, said.samples) if heard.samples or said.samples else b""
