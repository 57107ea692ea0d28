"""From frames to UDP datagrams: link layer, IP with options and extension headers, fragments, UDP."""

from __future__ import annotations

import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from cmw.capture.fragments import Reassembly
from cmw.capture.frame import Frame
from cmw.capture.link_layer import ip_packet
from cmw.core.address import Address

_TCP, _UDP = 6, 17
_FRAGMENT = 44
_EXTENSIONS = frozenset((0, 43, 60, 135, 139, 140))
"""Hop-by-hop, routing, destination options, mobility, HIP, shim6: a length in words of 8 bytes."""
_AUTHENTICATION = 51


class Datagram(NamedTuple):
    """One UDP datagram, or the payload of one TCP segment."""

    at_ns: int
    source: Address
    destination: Address
    data: bytes
    """What was captured of the payload."""
    size: int
    """Bytes of the payload on the wire; more than `data` when the capture kept only the beginning."""
    is_tcp: bool = False
    sequence: int = 0
    """Of TCP: the number of the first byte, modulo 2^32."""
    opens: bool = False
    """Of TCP: SYN, with which a connection begins anew."""


class DatagramReader:
    """Takes frames one by one; counts by name what holds no datagram."""

    def __init__(self) -> None:
        self.frames = 0
        self.passed_over: Counter[str] = Counter()
        self._fragments = Reassembly()
        self._hosts: dict[bytes, str] = {}

    @property
    def incomplete_fragments(self) -> int:
        """Return how many IP packets lacked fragments."""
        return self._fragments.incomplete

    def read(self, frame: Frame) -> Datagram | None:
        """Return the datagram that `frame` holds or completes."""
        self.frames += 1
        try:
            packet = ip_packet(frame.link_type, frame.data)
        except NotImplementedError as error:
            return self._pass_over(str(error))
        if not packet:
            return self._pass_over("not IP")
        try:
            if packet[0] >> 4 == 4:
                return self._read_ipv4(packet, frame)
            if packet[0] >> 4 == 6:
                return self._read_ipv6(packet, frame)
        except (struct.error, IndexError):
            return self._pass_over("cut within its headers")
        return self._pass_over("not IP")

    def _pass_over(self, reason: str) -> Datagram | None:
        self.passed_over[reason] += 1
        return None

    #    |Version|  IHL  |Type of Service|          Total Length         |
    #    |         Identification        |Flags|      Fragment Offset    |
    #    |  Time to Live |    Protocol   |         Header Checksum       |
    #    |                       Source Address                          |
    #    |                    Destination Address                        |      RFC 791 3.1
    def _read_ipv4(self, packet: bytes, frame: Frame) -> Datagram | None:
        total, identification, fragment = struct.unpack_from("!HHH", packet, 2)
        header_bytes = 4 * (packet[0] & 0x0F)
        protocol, source, destination = packet[9], packet[12:16], packet[16:20]
        if header_bytes < 20:
            return self._pass_over("damaged IP header")
        if len(packet) < header_bytes:
            return self._pass_over("cut within its headers")
        total = total or len(packet)  # segmentation offload leaves 0
        payload, size = packet[header_bytes:total], total - header_bytes
        if fragment & 0x3FFF:
            key = (source, destination, protocol, identification)
            return self._take_fragment(key, 8 * (fragment & 0x1FFF), payload, bool(fragment & 0x2000), frame)
        return self._read_transport(protocol, source, destination, payload, size, frame)

    #    |Version| Traffic Class |           Flow Label                  |
    #    |         Payload Length        |  Next Header  |   Hop Limit   |
    #    |                       Source, Destination                     |      RFC 8200 3
    def _read_ipv6(self, packet: bytes, frame: Frame) -> Datagram | None:
        length, protocol = struct.unpack_from("!HB", packet, 4)
        source, destination = packet[8:24], packet[24:40]
        end = 40 + length if length else len(packet)
        at = 40
        while True:
            if protocol in _EXTENSIONS:
                protocol, at = packet[at], at + 8 * (packet[at + 1] + 1)
            elif protocol == _AUTHENTICATION:
                protocol, at = packet[at], at + 4 * (packet[at + 1] + 2)
            elif protocol == _FRAGMENT:
                protocol, _, fragment, identification = struct.unpack_from("!BBHI", packet, at)
                at += 8
                if fragment & 0xFFF9:
                    key = (source, destination, protocol, identification)
                    return self._take_fragment(key, fragment & 0xFFF8, packet[at:end], bool(fragment & 1), frame)
            else:
                return self._read_transport(protocol, source, destination, packet[at:end], end - at, frame)

    def _take_fragment(
        self, key: tuple[bytes, bytes, int, int], offset: int, payload: bytes, more: bool, frame: Frame
    ) -> Datagram | None:
        source, destination, protocol, _ = key
        if len(frame.data) < frame.original_bytes:
            return self._pass_over("fragment cut by the capture")
        whole = self._fragments.add(key, offset, payload, more=more, at_ns=frame.at_ns)
        if whole is None:
            return None
        return self._read_transport(protocol, source, destination, whole, len(whole), frame)

    def _read_transport(
        self, protocol: int, source: bytes, destination: bytes, segment: bytes, size: int, frame: Frame
    ) -> Datagram | None:
        if protocol not in (_UDP, _TCP):
            return self._pass_over("neither UDP nor TCP")
        source_port, destination_port = struct.unpack_from("!HH", segment)
        if protocol == _UDP:
            length = struct.unpack_from("!H", segment, 4)[0]
            start, end, sequence, opens = 8, length if 8 <= length <= size else size, 0, False
        else:
            opens = bool(segment[13] & 0x02)
            sequence = (struct.unpack_from("!I", segment, 4)[0] + opens) % (1 << 32)
            start, end = 4 * (segment[12] >> 4), size
        return Datagram(
            frame.at_ns,
            Address(self._host(source), source_port),
            Address(self._host(destination), destination_port),
            segment[start:end],
            max(0, end - start),
            protocol == _TCP,
            sequence,
            opens,
        )

    def _host(self, packed: bytes) -> str:
        host = self._hosts.get(packed)
        if host is None:
            host = str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))
            self._hosts[packed] = host
        return host
