"""One RTP packet, read and written plainly. Source: RFC 3550 5.1, 5.3.1."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.rtp.verdict import PacketVerdict

HEADER_BYTES: Final = 12
RTCP_SECOND_BYTES: Final = range(192, 224)
"""Second bytes that mark control on a media port. Source: RFC 5761 4."""

_FIXED = struct.Struct("!BBHII")


class PacketError(RemoteProtocolError):
    """Raised on bytes that are not an RTP packet; `verdict` names why."""

    def __init__(self, verdict: PacketVerdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


class RtpHeader(NamedTuple):
    """The header of a packet, and where its payload lies."""

    payload_type: int
    marker: bool
    seq: int
    timestamp: int
    ssrc: int
    payload_offset: int
    """Bytes from the start of the packet."""
    payload_bytes: int
    """Without padding."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """An RTP packet.

    Args:
        payload_type: 0 .. 127.
        seq: 0 .. 2^16 - 1.
        timestamp: 0 .. 2^32 - 1, RTP units.
        ssrc: 0 .. 2^32 - 1.
        extension: profile-defined 16 bits and the extension's words as bytes, or None.
        padding_bytes: 0 .. 255, the count byte included.
    """

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding_bytes: int = 0


def parse_packet(data: bytes) -> RtpPacket:
    """Return the packet in `data`; raises `PacketError`."""
    header = parse_header(data)
    csrc_count = data[0] & 0x0F
    extension = None
    if data[0] & 0x10:
        start = HEADER_BYTES + 4 * csrc_count
        profile, words = struct.unpack_from("!HH", data, start)
        extension = profile, data[start + 4 : start + 4 + 4 * words]
    end = header.payload_offset + header.payload_bytes
    return RtpPacket(
        payload_type=header.payload_type,
        seq=header.seq,
        timestamp=header.timestamp,
        ssrc=header.ssrc,
        payload=data[header.payload_offset : end],
        marker=header.marker,
        csrcs=struct.unpack_from(f"!{csrc_count}I", data, HEADER_BYTES),
        extension=extension,
        padding_bytes=len(data) - end,
    )


def serialize_packet(packet: RtpPacket) -> bytes:
    """Return the bytes of `packet`; raises `LocalProtocolError` when a field is out of range."""
    if not 0 <= packet.padding_bytes <= 255:
        raise LocalProtocolError(f"padding_bytes: expected 0 .. 255, got {packet.padding_bytes}")
    padding = b"\0" * (packet.padding_bytes - 1) + bytes([packet.padding_bytes]) if packet.padding_bytes else b""
    extension = b""
    if packet.extension is not None:
        profile, words = packet.extension
        if len(words) % 4:
            raise LocalProtocolError(f"extension: expected whole words of 4 bytes, got {len(words)} bytes")
        extension = struct.pack("!HH", profile, len(words) // 4) + words
    if len(packet.csrcs) > 15:
        raise LocalProtocolError(f"csrcs: expected up to 15, got {len(packet.csrcs)}")
    if not 0 <= packet.payload_type <= 127:
        raise LocalProtocolError(f"payload_type: expected 0 .. 127, got {packet.payload_type}")
    first = 0x80 | bool(padding) << 5 | (packet.extension is not None) << 4 | len(packet.csrcs)
    second = packet.marker << 7 | packet.payload_type
    try:
        fixed = _FIXED.pack(first, second, packet.seq, packet.timestamp, packet.ssrc)
        csrcs = struct.pack(f"!{len(packet.csrcs)}I", *packet.csrcs)
    except struct.error as error:
        raise LocalProtocolError(f"packet: a field is out of range: {error}") from error
    return b"".join((fixed, csrcs, extension, packet.payload, padding))


#     0                   1                   2                   3
#     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
#    |                           timestamp                           |
#    |           synchronization source (SSRC) identifier            |
#    |            contributing source (CSRC) identifiers ...         |
def parse_header(data: bytes) -> RtpHeader:
    """Return the header of the packet in `data`; raises `PacketError`."""
    size = len(data)
    if size >= 2 and data[0] >> 6 == 2 and data[1] in RTCP_SECOND_BYTES:
        raise PacketError(PacketVerdict.IS_RTCP, f"second byte: expected a media packet, got control type {data[1]}")
    if size < HEADER_BYTES:
        raise PacketError(PacketVerdict.TOO_SHORT, f"packet: expected {HEADER_BYTES} bytes or more, got {size}")
    first, second, seq, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        raise PacketError(PacketVerdict.BAD_VERSION, f"version: expected 2, got {first >> 6}")
    offset = HEADER_BYTES
    padding = 0
    if first & 0x3F:
        offset, padding = _variable_parts(data, first)
    return RtpHeader(second & 0x7F, second >= 0x80, seq, timestamp, ssrc, offset, size - offset - padding)


def _variable_parts(data: bytes, first: int) -> tuple[int, int]:
    """Return the payload's offset and the padding's size, where there are CSRCs, an extension or padding."""
    size = len(data)
    offset = HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x10:
        if offset + 4 > size:
            raise PacketError(PacketVerdict.BAD_LENGTH, f"extension: expected 4 bytes at {offset}, got {size} in all")
        offset += 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
    if offset > size:
        raise PacketError(PacketVerdict.BAD_LENGTH, f"header: expected {offset} bytes, got {size} in all")
    if not first & 0x20:
        return offset, 0
    padding = data[-1]
    if padding == 0 or padding > size - offset:
        raise PacketError(PacketVerdict.BAD_PADDING, f"padding: expected 1 .. {size - offset}, got {padding}")
    return offset, padding
