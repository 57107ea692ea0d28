"""From frames to datagrams: every link type, IP with all that may stand in front of UDP, fragments, damage."""

from __future__ import annotations

import random
import struct

import pytest

from cmw.capture import Datagram, DatagramReader, Frame
from cmw.core.address import Address
from tests.support.captures import (
    DESTINATION,
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    SOURCE,
    START_NS,
    ethernet,
    ethertype,
    ipv4,
    ipv6,
    packet,
    tcp,
    udp,
)

V6_SOURCE, V6_DESTINATION = ("2001:db8::1", 10000), ("2001:db8::2", 20000)
V4, V6 = packet(b"payload"), packet(b"payload", V6_SOURCE, V6_DESTINATION)


def read(data: bytes, link_type: int = RAW, reader: DatagramReader | None = None) -> Datagram | None:
    return (reader or DatagramReader()).read(Frame(START_NS, link_type, data, len(data)))


def sll(data: bytes) -> bytes:
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), ethertype(data)) + data


def sll2(data: bytes) -> bytes:
    return struct.pack("!HHIHBB8s", ethertype(data), 0, 3, 1, 0, 6, bytes(8)) + data


@pytest.mark.parametrize("inner", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize(
    ("link_type", "wrap"),
    [
        (RAW, bytes),
        (12, bytes),
        (228, bytes),
        (ETHERNET, ethernet),
        (ETHERNET, lambda data: ethernet(data, 0x8100)),
        (ETHERNET, lambda data: ethernet(data, 0x88A8, 0x8100)),
        (ETHERNET, lambda data: ethernet(data, 0x8100, 0x8100)),
        (ETHERNET, lambda data: ethernet(data) + bytes(8)),  # padding to the shortest frame
        (SLL, sll),
        (SLL2, sll2),
        (NULL, lambda data: struct.pack("<I", 2 if data[0] >> 4 == 4 else 30) + data),
        (NULL, lambda data: struct.pack(">I", 2 if data[0] >> 4 == 4 else 24) + data),
        (LOOP, lambda data: struct.pack(">I", 2 if data[0] >> 4 == 4 else 28) + data),
        (9, lambda data: b"\xff\x03" + (b"\x00\x21" if data[0] >> 4 == 4 else b"\x00\x57") + data),
    ],
)
def test_link_types(link_type: int, wrap, inner: bytes) -> None:  # type: ignore[no-untyped-def]
    found = read(wrap(inner), link_type)
    assert found is not None
    source, destination = (SOURCE, DESTINATION) if inner is V4 else (V6_SOURCE, V6_DESTINATION)
    assert found == Datagram(START_NS, Address(*source), Address(*destination), b"payload", 7)


def test_pppoe() -> None:
    frame = bytes(12) + b"\x88\x64" + struct.pack("!BBHHH", 0x11, 0, 1, len(V4) + 2, 0x0021) + V4
    found = read(frame, ETHERNET)
    assert found is not None
    assert found.data == b"payload"


def test_ipv4_options_and_what_follows_the_packet() -> None:
    found = read(ipv4(udp(b"payload"), options=bytes(8)) + b"trailer")
    assert found is not None
    assert (found.data, found.size) == (b"payload", 7)


def test_ipv6_extension_headers() -> None:
    hop_by_hop = bytes([60, 0]) + bytes(6)
    destination_options = bytes([51, 1]) + bytes(14)
    authentication = bytes([44, 4]) + bytes(22)
    atomic_fragment = bytes([17, 0]) + bytes(6)
    extensions = hop_by_hop + destination_options + authentication + atomic_fragment
    found = read(ipv6(udp(b"payload"), V6_SOURCE, V6_DESTINATION, extensions=extensions, protocol=0))
    assert found is not None
    assert found.data == b"payload"


def test_a_segment_of_tcp() -> None:
    found = read(ipv4(tcp(b"OPTIONS"), protocol=6))
    assert found is not None
    assert (found.data, found.is_tcp, found.destination) == (b"OPTIONS", True, Address(*DESTINATION))
    assert (found.sequence, found.opens) == (1, False)
    opening = read(ipv4(tcp(b"", sequence=(1 << 32) - 1, syn=True), protocol=6))
    assert opening is not None
    assert (opening.sequence, opening.opens) == (0, True)  # SYN takes a number


def test_what_was_not_kept_is_known_by_its_size() -> None:
    found = DatagramReader().read(Frame(START_NS, RAW, V4[:-3], len(V4)))
    assert found is not None
    assert (found.data, found.size) == (b"payl", 7)


class TestFragments:
    PAYLOAD = udp(bytes(range(256)) * 8)

    def pieces(self) -> list[bytes]:
        whole = self.PAYLOAD
        return [
            ipv4(whole[at : at + 512], identification=9, fragment=at // 8 | (0x2000 if at + 512 < len(whole) else 0))
            for at in range(0, len(whole), 512)
        ]

    def pieces_v6(self) -> list[bytes]:
        whole = self.PAYLOAD
        return [
            ipv6(
                whole[at : at + 512],
                V6_SOURCE,
                V6_DESTINATION,
                extensions=struct.pack("!BBHI", 17, 0, at | (at + 512 < len(whole)), 77),
                protocol=44,
            )
            for at in range(0, len(whole), 512)
        ]

    @pytest.mark.parametrize("version", [4, 6])
    def test_in_any_order_and_twice(self, version: int) -> None:
        pieces = self.pieces() if version == 4 else self.pieces_v6()
        for seed in range(10):
            order = [*pieces, pieces[1]]
            random.Random(seed).shuffle(order)
            reader = DatagramReader()
            found = [datagram for piece in order if (datagram := read(piece, reader=reader)) is not None]
            assert [datagram.data for datagram in found] == [self.PAYLOAD[8:]]

    def test_one_that_never_comes_is_counted(self) -> None:
        reader = DatagramReader()
        assert [read(piece, reader=reader) for piece in self.pieces()[1:]] == [None] * 4
        assert reader.incomplete_fragments == 1

    def test_a_number_used_again_later_is_another_packet(self) -> None:
        reader = DatagramReader()
        first, *rest = self.pieces()
        read(first, reader=reader)
        later = [Frame(START_NS + 31 * 10**9, RAW, piece, len(piece)) for piece in rest]
        assert [reader.read(frame) for frame in later] == [None] * 4
        assert reader.incomplete_fragments == 2


@pytest.mark.parametrize(
    ("data", "link_type", "reason"),
    [
        (bytes(12) + b"\x08\x06" + bytes(28), ETHERNET, "not IP"),
        (bytes(5), ETHERNET, "not IP"),
        (b"", RAW, "not IP"),
        (b"\x20" + bytes(40), RAW, "not IP"),
        (b"\x00\x00\x00\x63" + V4, NULL, "not IP"),
        (V4, 127, "link type 127"),
        (ipv4(bytes(20), protocol=1), RAW, "neither UDP nor TCP"),
        (V4[:22], RAW, "cut within its headers"),
        (V4[:10], RAW, "cut within its headers"),
        (V6[:30], RAW, "cut within its headers"),
        (b"\x44" + V4[1:], RAW, "damaged IP header"),
    ],
)
def test_what_holds_no_datagram_is_counted_by_name(data: bytes, link_type: int, reason: str) -> None:
    reader = DatagramReader()
    assert read(data, link_type, reader) is None
    assert reader.passed_over == {reason: 1}


def test_no_bytes_raise() -> None:
    rng = random.Random(4)
    reader = DatagramReader()
    for _ in range(5000):
        base = bytearray(rng.choice([ethernet(V4, 0x8100), sll(V6), sll2(V4), V4, V6]))
        for _ in range(rng.randrange(4)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        read(bytes(base[: rng.randrange(len(base) + 1)]), rng.choice([ETHERNET, RAW, SLL, SLL2, NULL, LOOP, 9]), reader)
