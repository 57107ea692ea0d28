"""The RTP and RTCP of a call as a worker tells the gateway of it: a few hundred kilobytes at a time.

    |  at_unix_ns: 8  |flags|fam| local | remote | size | kept |  remote address: 4 or 16  |  kept bytes of the datagram

Flags are 1 sent, 2 RTCP, 4 packets before this one were left out, 8 of a second call, with whom the endpoint was
transferred to or asked before that; the family is 4 or 6. Most significant byte first.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from cmw.load.evidence import LiteralHost

KIND = "evidence_packets"
"""Of the event that carries them."""

PART_BYTES = 64_000
"""Of a part before base64: two milliseconds of a worker's work, and a fifth of what may be in flight to the gateway."""

MAX_PARTS = 100
_ENTRY = struct.Struct("!qBBHHHH")
_SENT, _CONTROL, _AFTER_GAP, _BESIDE = 1, 2, 4, 8


class CallPacket(NamedTuple):
    """A datagram of RTP or RTCP.

    Args:
        size: bytes of the datagram, of which `data` may be the beginning.
        is_after_gap: packets before it were left out.
        is_beside: it is of a second call of the endpoint.
    """

    at_unix_ns: int
    is_sent: bool
    is_control: bool
    local_port: int
    remote_host: str
    remote_port: int
    size: int
    data: bytes
    is_after_gap: bool = False
    is_beside: bool = False


class EvidencePackets(BaseModel):
    """A part of what is kept of the packets of an endpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["evidence_packets"] = "evidence_packets"
    endpoint: int = Field(ge=0, le=0xFFFFFFFF)
    part: int = Field(ge=0, lt=MAX_PARTS)
    local_host: LiteralHost
    packets_left_out: int = Field(default=0, ge=0)
    """Of the call that the part is of: those between the first and the last ones that are kept."""
    data: str = Field(max_length=PART_BYTES * 2)
    """Packets, as `cmw.load.packets` draws them, in base64."""

    def packets(self) -> Iterator[CallPacket]:
        """Yield the packets.

        Raises:
            ValueError: the data is not what it should be.
        """
        try:
            yield from _unpack(base64.b64decode(self.data, validate=True))
        except (binascii.Error, struct.error) as error:
            raise ValueError(f"expected packets in base64, found {error}") from None


def joined(parts: Iterable[EvidencePackets]) -> Iterator[CallPacket]:
    """Yield the packets of all parts in the order of the parts; the first one after a part that is missing says so.

    Raises:
        ValueError: the data of a part is not what it should be.
    """
    by_number = {part.part: part for part in parts}
    for number in sorted(by_number):
        is_after_gap = number > 0 and number - 1 not in by_number
        for packet in by_number[number].packets():
            yield packet._replace(is_after_gap=True) if is_after_gap else packet
            is_after_gap = False


def read_packets(document: Mapping[str, Any]) -> EvidencePackets | None:
    """Return a part, or None for a document that is none, or that does not hold packets."""
    try:
        part = EvidencePackets.model_validate(document)
        for _ in part.packets():
            pass
    except ValueError:
        return None
    return part


def parts_of(packets: Iterable[CallPacket]) -> Iterator[str]:
    """Yield the data of each part."""
    room, entries = PART_BYTES, list[bytes]()
    for packet in packets:
        entry = _pack(packet)
        if len(entry) > room and entries:
            yield base64.b64encode(b"".join(entries)).decode()
            room, entries = PART_BYTES, []
        entries.append(entry)
        room -= len(entry)
    if entries:
        yield base64.b64encode(b"".join(entries)).decode()


def _pack(packet: CallPacket) -> bytes:
    at_ns, is_sent, is_control, local_port, remote_host, remote_port, size, data, is_after_gap, is_beside = packet
    version, remote = _packed(remote_host)
    flags = _SENT * is_sent | _CONTROL * is_control | _AFTER_GAP * is_after_gap | _BESIDE * is_beside
    return _ENTRY.pack(at_ns, flags, version, local_port, remote_port, size, len(data)) + remote + data


@lru_cache(maxsize=1024)
def _packed(host: str) -> tuple[int, bytes]:
    address = ip_address(host)
    return address.version, address.packed


def _unpack(data: bytes) -> Iterator[CallPacket]:
    at = 0
    while at < len(data):
        at_ns, flags, version, local_port, remote_port, size, kept = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        end = at + (16 if version == 6 else 4)
        if at_ns < 0 or end + kept > len(data):
            raise ValueError(f"expected {kept} bytes of a packet, found the end")
        remote = str(ip_address(data[at:end]))
        yield CallPacket(
            at_ns, bool(flags & _SENT), bool(flags & _CONTROL), local_port, remote, remote_port, size,
            data[end : end + kept], bool(flags & _AFTER_GAP),
            bool(flags & _BESIDE),
        )  # fmt: skip
        at = end + kept
