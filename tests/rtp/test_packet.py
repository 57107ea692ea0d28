"""RTP packets written by hand from RFC 3550 5.1, and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.rtp import PacketError, PacketVerdict, RtpPacket, parse_packet, serialize_packet

PLAIN = bytes.fromhex(
    "80"  # V=2
    "80"  # M=1, PT=0
    "ffff"  # seq
    "fffffff0"  # timestamp
    "0badcafe"  # ssrc
    "d5d5"
)
FULL = bytes.fromhex(
    "b2"  # V=2, P=1, X=1, CC=2
    "65"  # M=0, PT=101
    "0001"  # seq
    "000000a0"  # timestamp
    "00000001"  # ssrc
    "00000002 00000003"  # CSRCs
    "bede 0001 10aa0000"  # extension of one word
    "0a8000a0"  # payload
    "00000004"  # padding
)


def test_a_plain_packet() -> None:
    packet = RtpPacket(0, 65535, 0xFFFFFFF0, 0x0BADCAFE, b"\xd5\xd5", marker=True)
    assert parse_packet(PLAIN) == packet
    assert serialize_packet(packet) == PLAIN


def test_a_packet_with_everything() -> None:
    packet = RtpPacket(
        101, 1, 160, 1, bytes.fromhex("0a8000a0"), False, (2, 3), (0xBEDE, bytes.fromhex("10aa0000")), padding_bytes=4
    )
    assert parse_packet(FULL) == packet
    assert serialize_packet(packet) == FULL


@pytest.mark.parametrize("cut", range(12))
def test_cut_short(cut: int) -> None:
    with pytest.raises(PacketError) as error:
        parse_packet(PLAIN[:cut])
    assert error.value.verdict is PacketVerdict.TOO_SHORT


@given(st.binary(max_size=80))
def test_random_bytes_are_a_packet_or_a_named_refusal(data: bytes) -> None:
    try:
        packet = parse_packet(data)
    except PacketError as error:
        named = isinstance(error, RemoteProtocolError) and error.verdict >= PacketVerdict.TOO_SHORT
    else:
        again = serialize_packet(packet)
        named = parse_packet(again) == packet and len(again) == len(data)
    assert named


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(128, 0, 0, 0),
        RtpPacket(0, 65536, 0, 0),
        RtpPacket(0, 0, -1, 0),
        RtpPacket(0, 0, 0, 0, csrcs=(0,) * 16),
        RtpPacket(0, 0, 0, 0, csrcs=(1 << 32,)),
        RtpPacket(0, 0, 0, 0, extension=(0, b"abc")),
        RtpPacket(0, 0, 0, 0, padding_bytes=256),
    ],
)
def test_what_cannot_be_written(packet: RtpPacket) -> None:
    with pytest.raises(LocalProtocolError):
        serialize_packet(packet)
