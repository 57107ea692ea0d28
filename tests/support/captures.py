"""Captures made by arithmetic: RTP in UDP in IP, in frames of any link type, in both file formats."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
SSRC = 0x0BADCAFE
SOURCE, DESTINATION = ("192.0.2.1", 10000), ("192.0.2.2", 20000)
ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276

Place = tuple[str, int]


class Captured(NamedTuple):
    """A frame of a capture to be."""

    at_ns: int
    data: bytes
    cut_bytes: int = 0
    """So much of its end is not kept."""


def rtp(
    seq: int,
    *,
    timestamp: int | None = None,
    ssrc: int = SSRC,
    payload_type: int = 0,
    marker: bool = False,
    payload: bytes = b"\xff" * 160,
) -> bytes:
    """Return the packet `seq` (any number, taken modulo 2^16) of a stream of 20 ms at 8 kHz."""
    stamp = (seq * 160 if timestamp is None else timestamp) % (1 << 32)
    return struct.pack("!BBHII", 0x80, marker << 7 | payload_type, seq % 65536, stamp, ssrc) + payload


def udp(payload: bytes, source: Place = SOURCE, destination: Place = DESTINATION) -> bytes:
    """Return a UDP datagram without a checksum."""
    return struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload


def tcp(
    payload: bytes, source: Place = SOURCE, destination: Place = DESTINATION, *, sequence: int = 1, syn: bool = False
) -> bytes:
    """Return a TCP segment with one option, without a checksum."""
    flags = 0x02 if syn else 0x18
    head = struct.pack(
        "!HHIIBBHHHI", *(source[1], destination[1], sequence % (1 << 32), 1, 6 << 4, flags, 8192, 0, 0, 0x01010101)
    )
    return head + payload


def ipv4(
    payload: bytes,
    source: Place = SOURCE,
    destination: Place = DESTINATION,
    *,
    options: bytes = b"",
    protocol: int = 17,
    identification: int = 0,
    fragment: int = 0,
) -> bytes:
    """Return an IPv4 packet; `fragment` is the word of flags and offset."""
    words = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), identification, fragment, 64, protocol, 0
    )
    return head + ip_address(source[0]).packed + ip_address(destination[0]).packed + options + payload


def ipv6(payload: bytes, source: Place, destination: Place, *, extensions: bytes = b"", protocol: int = 17) -> bytes:
    """Return an IPv6 packet; `protocol` is that of the first extension header, or of the payload."""
    head = struct.pack("!IHBB", 6 << 28, len(extensions) + len(payload), protocol, 64)
    return head + ip_address(source[0]).packed + ip_address(destination[0]).packed + extensions + payload


def packet(payload: bytes, source: Place = SOURCE, destination: Place = DESTINATION) -> bytes:
    """Return the IP packet of a UDP payload, of the version that the addresses have."""
    make = ipv6 if ":" in source[0] else ipv4
    return make(udp(payload, source, destination), source, destination)


def ethernet(data: bytes, *tags: int) -> bytes:
    """Return an Ethernet frame; `tags` are the ethertypes of VLAN tags from the outermost on."""
    vlans = b"".join(struct.pack("!HH", tag, 7) for tag in tags)
    return bytes(12) + vlans + struct.pack("!H", ethertype(data)) + data


def ethertype(data: bytes) -> int:
    return 0x86DD if data[0] >> 4 == 6 else 0x0800


def pcap(frames: Iterable[Captured], link_type: int = RAW, *, order: str = "<", nanoseconds: bool = False) -> bytes:
    """Return a file of the classic format."""
    unit = 1 if nanoseconds else 1000
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)]
    for frame in frames:
        kept = frame.data[: len(frame.data) - frame.cut_bytes]
        time = frame.at_ns // SECOND, frame.at_ns % SECOND // unit
        parts += [struct.pack(f"{order}IIII", *time, len(kept), len(frame.data)), kept]
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return one pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int, order: str = "<", *, options: bytes = b"") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link_type, 0, 0) + options, order)


def enhanced(frame: Captured, number: int = 0, order: str = "<", *, units_per_second: int = 10**6) -> bytes:
    kept = frame.data[: len(frame.data) - frame.cut_bytes]
    units = frame.at_ns * units_per_second // SECOND
    head = struct.pack(f"{order}IIIII", number, units >> 32, units & 0xFFFFFFFF, len(kept), len(frame.data))
    return block(6, head + kept, order)


def pcapng(frames: Iterable[Captured], link_type: int = RAW, *, order: str = "<") -> bytes:
    """Return a file of the block format: one section, one interface, microseconds."""
    return section(order) + interface(link_type, order) + b"".join(enhanced(frame, order=order) for frame in frames)
