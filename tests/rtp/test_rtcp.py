"""Compound packets written by hand from RFC 3550 6.4 to 6.6, and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError
from cmw.rtp import (
    ControlError,
    ControlPacket,
    ControlVerdict,
    Goodbye,
    OtherControl,
    ReceiverReport,
    ReceptionBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)

BLOCK = ReceptionBlock(0x0BADCAFE, 64, -2, 0x00010005, 33, 0x45678901, 0x00018000)
BLOCK_BYTES = bytes.fromhex(
    "0badcafe"  # ssrc
    "40 fffffe"  # fraction lost 64/256, lost -2
    "00010005"  # highest sequence: cycle 1, number 5
    "00000021"  # jitter
    "45678901"  # LSR
    "00018000"  # DLSR: 1.5 s
)

CASES: list[tuple[ControlPacket, bytes]] = [
    (
        SenderReport(1, 0x0123456789ABCDEF, 160, 7, 1120, (BLOCK,)),
        bytes.fromhex("81c8000c 00000001 01234567 89abcdef 000000a0 00000007 00000460") + BLOCK_BYTES,
    ),
    (ReceiverReport(2, (BLOCK, BLOCK)), bytes.fromhex("82c9000d 00000002") + BLOCK_BYTES * 2),
    (SourceDescription(((3, ((1, b"a@b"),)),)), bytes.fromhex("81ca0003 00000003 0103") + b"a@b\0\0\0"),
    (SourceDescription(((3, ((1, b"ab"),)),)), bytes.fromhex("81ca0003 00000003 0102") + b"ab\0\0\0\0"),
    (
        SourceDescription(((3, ((1, b"a"), (2, b"name"))), (4, ()))),
        bytes.fromhex("82ca0006 00000003 0101") + b"a\x02\x04name\0\0\0" + bytes.fromhex("00000004 00000000"),
    ),
    (Goodbye((5, 6)), bytes.fromhex("82cb0002 00000005 00000006")),
    (Goodbye((5,), b"bye"), bytes.fromhex("81cb0002 00000005 03") + b"bye"),
    (OtherControl(207, 0, b"\0\0\0\x09"), bytes.fromhex("80cf0001 00000009")),
]
FIRST = ReceiverReport(9)


@pytest.mark.parametrize(("packet", "data"), CASES)
def test_both_ways(packet: ControlPacket, data: bytes) -> None:
    compound = serialize_compound([FIRST, packet])
    assert compound == bytes.fromhex("80c90001 00000009") + data
    assert parse_compound(compound) == [FIRST, packet]


def test_all_in_one() -> None:
    packets = [FIRST, *(packet for packet, _ in CASES)]
    assert parse_compound(serialize_compound(packets)) == packets


@pytest.mark.parametrize("lost", [-0x800000, -1, 0, 0x7FFFFF])
def test_lost_has_24_bits_and_a_sign(lost: int) -> None:
    report = ReceiverReport(1, (BLOCK._replace(packets_lost=lost),))
    assert parse_compound(serialize_compound([report])) == [report]


@pytest.mark.parametrize(
    "chunk",
    ["00000001 0105 6162", "0000 0000", "00000001 01", "00000001 010561626300"],
    ids=["cut", "half", "x", "long"],
)
def test_a_description_that_runs_past_its_end(chunk: str) -> None:
    body = bytes.fromhex(chunk)
    body += b"\x01" * (-len(body) % 4)
    data = serialize_compound([FIRST, OtherControl(202, 2, body)])
    with pytest.raises(ControlError) as error:
        parse_compound(data)
    assert error.value.verdict is ControlVerdict.BAD_LENGTH


@given(st.lists(st.tuples(st.sampled_from([200, 201, 202, 203, 204]), st.integers(0, 31), st.binary(max_size=60))))
def test_random_bytes_are_packets_or_a_named_refusal(parts: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(
        bytes([0x80 | count, kind, 0, len(body) // 4]) + body[: len(body) // 4 * 4] for kind, count, body in parts
    )
    try:
        packets = parse_compound(data)
    except ControlError as error:
        named = error.verdict > ControlVerdict.OK
    else:
        named = parse_compound(serialize_compound(packets)) == packets
    assert named


@pytest.mark.parametrize(
    "packets",
    [
        [],
        [Goodbye((1,))],
        [ReceiverReport(1, (BLOCK,) * 32)],
        [ReceiverReport(1 << 32)],
        [FIRST, Goodbye((1,), b"r" * 256)],
        [FIRST, SourceDescription(((1, ((1, b"n" * 256),)),))],
        [FIRST, OtherControl(204, 0, b"abc")],
    ],
)
def test_what_may_not_be_sent(packets: list[ControlPacket]) -> None:
    with pytest.raises(LocalProtocolError):
        serialize_compound(packets)
