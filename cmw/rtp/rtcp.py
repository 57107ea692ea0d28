"""Compound RTCP packets, read and written plainly. Source: RFC 3550 6, A.2."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.rtp.sequence import signed
from cmw.rtp.snapshot import ReceptionBlock
from cmw.rtp.verdict import ControlVerdict

SR: Final = 200
RR: Final = 201
SDES: Final = 202
BYE: Final = 203
CNAME: Final = 1
"""SDES item type of the canonical name. Source: RFC 3550 6.5.1."""
BLOCK_BYTES: Final = 24

_SENDER_INFO = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")


class ControlError(RemoteProtocolError):
    """Raised on bytes that are not a compound RTCP packet; `verdict` names why."""

    def __init__(self, verdict: ControlVerdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender says of its stream, and of the streams that it receives.

    Args:
        ntp: 64-bit NTP timestamp, 32.32 fixed point.
        rtp_ts: the same instant on the media clock.
        packets_sent, bytes_sent: since the beginning, modulo 2^32; bytes are payload.
    """

    ssrc: int
    ntp: int
    rtp_ts: int
    packets_sent: int
    bytes_sent: int
    blocks: tuple[ReceptionBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What a party that sends no media says of the streams that it receives."""

    ssrc: int
    blocks: tuple[ReceptionBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Names of sources: for each its SSRC and its items as (type, text)."""

    chunks: tuple[tuple[int, tuple[tuple[int, bytes], ...]], ...]


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that leave, and perhaps why."""

    ssrcs: tuple[int, ...]
    reason: bytes = b""


@dataclass(frozen=True, slots=True)
class OtherControl:
    """A control packet of a type that is not read here: its 5-bit count and the bytes after the first word."""

    packet_type: int
    count: int
    body: bytes


ControlPacket: TypeAlias = SenderReport | ReceiverReport | SourceDescription | Goodbye | OtherControl


def parse_compound(data: bytes) -> list[ControlPacket]:
    """Return the packets of a compound; raises `ControlError`, also on a source description that runs past its end."""
    return [_parse_one(*part) for part in split_compound(data)]


def serialize_compound(packets: Iterable[ControlPacket]) -> bytes:
    """Return the bytes of a compound; raises `LocalProtocolError` when it may not be sent so."""
    parts = list(packets)
    if not parts or not isinstance(parts[0], SenderReport | ReceiverReport):
        raise LocalProtocolError("compound: expected SR or RR as its first packet")
    try:
        return b"".join(_serialize_one(packet) for packet in parts)
    except (struct.error, ValueError) as error:
        raise LocalProtocolError(f"compound: a field is out of range: {error}") from error


#    |V=2|P|  count  |       PT      |             length            |      length: words of 4 bytes, less one
def split_compound(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (packet type, count, body without padding) of each packet of a valid compound; raises `ControlError`.

    Source: RFC 3550 A.2; besides, every packet must be long enough for what its count promises.
    """
    if len(data) < 8:
        raise ControlError(ControlVerdict.TOO_SHORT, f"compound: expected 8 bytes or more, got {len(data)}")
    _require_version(data, 0)
    if data[1] not in (SR, RR):
        raise ControlError(ControlVerdict.BAD_FIRST_TYPE, f"first packet: expected {SR} or {RR}, got {data[1]}")
    if data[0] & 0x20:
        raise ControlError(ControlVerdict.BAD_PADDING, "first packet: expected no padding")
    parts = []
    offset = 0
    while offset < len(data):
        if len(data) - offset < 4:
            raise ControlError(ControlVerdict.BAD_LENGTH, f"header at {offset}: expected 4 bytes")
        _require_version(data, offset)
        first, packet_type, words = struct.unpack_from("!BBH", data, offset)
        end = offset + 4 * (words + 1)
        if end > len(data):
            raise ControlError(ControlVerdict.BAD_LENGTH, f"packet at {offset}: ends at {end} of {len(data)}")
        body = data[offset + 4 : end - _padding_bytes(data, offset, end)]
        needed = _body_bytes(packet_type, first & 0x1F)
        if len(body) < needed:
            message = f"packet at {offset}: expected a body of {needed} bytes, got {len(body)}"
            raise ControlError(ControlVerdict.BAD_LENGTH, message)
        parts.append((packet_type, first & 0x1F, body))
        offset = end
    return parts


def parse_block(data: bytes, offset: int) -> ReceptionBlock:
    """Return the report block of 24 bytes at `offset`."""
    ssrc, loss, highest, jitter, lsr, dlsr = _BLOCK.unpack_from(data, offset)
    return ReceptionBlock(ssrc, loss >> 24, signed(loss, 24), highest, jitter, lsr, dlsr)


def serialize_block(block: ReceptionBlock) -> bytes:
    """Return the 24 bytes of a report block."""
    loss = block.fraction_lost << 24 | block.packets_lost & 0xFFFFFF
    return _BLOCK.pack(block.ssrc, loss, block.ext_highest_seq, block.jitter, block.lsr, block.dlsr)


def _require_version(data: bytes, offset: int) -> None:
    if data[offset] >> 6 != 2:
        raise ControlError(ControlVerdict.BAD_VERSION, f"version at {offset}: expected 2, got {data[offset] >> 6}")


def _padding_bytes(data: bytes, offset: int, end: int) -> int:
    if not data[offset] & 0x20:
        return 0
    padding = data[end - 1]
    if end != len(data) or padding == 0 or padding % 4 or padding > end - offset - 4:
        message = f"padding of the packet at {offset}: expected whole words on the last packet, got {padding} bytes"
        raise ControlError(ControlVerdict.BAD_PADDING, message)
    return padding


def _body_bytes(packet_type: int, count: int) -> int:
    """Return how long the body must be, the first word left out."""
    if packet_type == SR:
        return 24 + BLOCK_BYTES * count
    if packet_type == RR:
        return 4 + BLOCK_BYTES * count
    return 4 * count if packet_type == BYE else 0


def _parse_one(packet_type: int, count: int, body: bytes) -> ControlPacket:
    if packet_type == SR:
        ssrc, ntp, rtp_ts, packets, sent = _SENDER_INFO.unpack_from(body)
        return SenderReport(ssrc, ntp, rtp_ts, packets, sent, _parse_blocks(body, 24, count))
    if packet_type == RR:
        return ReceiverReport(int.from_bytes(body[:4], "big"), _parse_blocks(body, 4, count))
    if packet_type == SDES:
        return SourceDescription(tuple(_parse_chunks(body, count)))
    if packet_type == BYE:
        reason = body[4 * count :]
        return Goodbye(struct.unpack_from(f"!{count}I", body), reason[1 : 1 + reason[0]] if reason else b"")
    return OtherControl(packet_type, count, body)


def _parse_blocks(body: bytes, offset: int, count: int) -> tuple[ReceptionBlock, ...]:
    return tuple(parse_block(body, offset + BLOCK_BYTES * i) for i in range(count))


def _parse_chunks(body: bytes, count: int) -> Iterator[tuple[int, tuple[tuple[int, bytes], ...]]]:
    offset = 0
    for _ in range(count):
        if offset + 4 > len(body):
            raise ControlError(ControlVerdict.BAD_LENGTH, f"description: expected {count} chunks")
        ssrc = int.from_bytes(body[offset : offset + 4], "big")
        offset += 4
        items = []
        while offset < len(body) and body[offset]:
            end = offset + 2 + body[offset + 1] if offset + 1 < len(body) else len(body) + 1
            if end > len(body):
                raise ControlError(ControlVerdict.BAD_LENGTH, f"description: item at {offset} runs past the end")
            items.append((body[offset], body[offset + 2 : end]))
            offset = end
        offset = (offset | 3) + 1  # the list ends with one null byte or more, up to the next word
        yield ssrc, tuple(items)


def _serialize_one(packet: ControlPacket) -> bytes:
    match packet:
        case SenderReport(ssrc, ntp, rtp_ts, packets, sent, blocks):
            body = _SENDER_INFO.pack(ssrc, ntp, rtp_ts, packets, sent) + b"".join(map(serialize_block, blocks))
            return _with_header(SR, len(blocks), body)
        case ReceiverReport(ssrc, blocks):
            return _with_header(RR, len(blocks), struct.pack("!I", ssrc) + b"".join(map(serialize_block, blocks)))
        case SourceDescription(chunks):
            return _with_header(SDES, len(chunks), b"".join(_serialize_chunk(*chunk) for chunk in chunks))
        case Goodbye(ssrcs, reason):
            text = bytes([len(reason)]) + reason if reason else b""
            return _with_header(
                BYE, len(ssrcs), struct.pack(f"!{len(ssrcs)}I", *ssrcs) + text + b"\0" * (-len(text) % 4)
            )
        case OtherControl(packet_type, count, body):
            return _with_header(packet_type, count, body)


def _serialize_chunk(ssrc: int, items: tuple[tuple[int, bytes], ...]) -> bytes:
    chunk = struct.pack("!I", ssrc) + b"".join(bytes([kind, len(text)]) + text for kind, text in items)
    return chunk + b"\0" * (4 - len(chunk) % 4)


def _with_header(packet_type: int, count: int, body: bytes) -> bytes:
    if count > 31:
        raise LocalProtocolError(f"control packet {packet_type}: expected up to 31 entries, got {count}")
    if len(body) % 4:
        raise LocalProtocolError(f"control packet {packet_type}: expected whole words, got {len(body)} bytes")
    return struct.pack("!BBH", 0x80 | count, packet_type, len(body) // 4) + body
