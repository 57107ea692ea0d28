"""A capture of UDP datagrams in the block format. Source: draft-ietf-opsawg-pcapng, sections 3 and 4."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_RAW_IP: Final = 101
_NANOSECONDS: Final = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
"""Option if_tsresol, and the end of options."""
_COMMENT, _UDP, _HOPS = 1, 17, 64
MAX_PAYLOAD_BYTES: Final = 65_000


class Passed(NamedTuple):
    """A datagram that passed; hosts are literal addresses of one family.

    Args:
        at_ns: nanoseconds since 1970.
        comment: shown beside the packet, "" for none.
        size: bytes that the payload had, when it was cut.
    """

    at_ns: int
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    comment: str = ""
    size: int = 0


def write_pcapng(datagrams: Iterable[Passed]) -> bytes:
    """Return the file.

    Raises:
        ValueError: a host is no literal address.
    """
    section = _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = _block(_INTERFACE, struct.pack("<HHI", _RAW_IP, 0, 0) + _NANOSECONDS)
    return section + interface + b"".join(map(_packet, datagrams))


def _packet(passed: Passed) -> bytes:
    data = _ip(passed)
    whole = len(data) + max(0, passed.size - len(passed.payload))
    head = struct.pack("<IIIII", 0, passed.at_ns >> 32, passed.at_ns & 0xFFFFFFFF, len(data), whole)
    options = b""
    if passed.comment:
        comment = passed.comment.encode()[:1000]
        options = struct.pack("<HH", _COMMENT, len(comment)) + _padded(comment) + struct.pack("<HH", 0, 0)
    return _block(_PACKET, head + _padded(data) + options)


def _ip(passed: Passed) -> bytes:
    source, destination = ip_address(passed.source[0]), ip_address(passed.destination[0])
    payload = passed.payload[:MAX_PAYLOAD_BYTES]
    size = 8 + max(len(payload), passed.size)
    udp = struct.pack("!HHHH", passed.source[1], passed.destination[1], size, 0) + payload
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        addresses = source.packed + destination.packed
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, _HOPS, _UDP, 0) + addresses
        return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp
    if not (isinstance(source, IPv6Address) and isinstance(destination, IPv6Address)):
        raise ValueError(f"expected addresses of one family, found {source} and {destination}")
    addresses = source.packed + destination.packed
    checksum = _checksum(addresses + struct.pack("!IHBB", size, 0, 0, _UDP) + udp) or 0xFFFF  # RFC 8200 8.1
    udp = udp[:6] + struct.pack("!H", checksum) + udp[8:]
    return struct.pack("!IHBB", 6 << 28, size, _UDP, _HOPS) + addresses + udp


def _checksum(data: bytes) -> int:
    """Return the ones' complement of the ones' complement sum. Source: RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size
