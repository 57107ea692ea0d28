"""The two laws of G.711 against the values that its tables print."""

from __future__ import annotations

from array import array

import pytest

from cmw.rtp import g711

LAWS = ("PCMU", "PCMA")
EVERY_SAMPLE = array("h", range(-32768, 32768))
MU, A = 4, 8  # one unit of table 2a (14 bits) and of table 1a (13 bits) in 16-bit samples


@pytest.mark.parametrize(
    ("codec", "sample", "code"),
    [
        ("PCMU", 0, 0xFF),
        ("PCMU", -1, 0x7F),
        ("PCMU", 31 * MU - 1, 0xF0),
        ("PCMU", 31 * MU, 0xEF),
        ("PCMU", 95 * MU, 0xDF),
        ("PCMU", 4063 * MU, 0x8F),
        ("PCMU", 32767, 0x80),
        ("PCMU", -32768, 0x00),
        ("PCMA", 0, 0xD5),
        ("PCMA", -1, 0x55),
        ("PCMA", 32 * A - 1, 0xDA),
        ("PCMA", 32 * A, 0xC5),
        ("PCMA", 64 * A, 0xF5),
        ("PCMA", 2048 * A, 0xA5),
        ("PCMA", 32767, 0xAA),
        ("PCMA", -32768, 0x2A),
    ],
)
def test_encodes_the_decision_values(codec: str, sample: int, code: int) -> None:
    assert g711.encode(array("h", [sample]), codec) == bytes([code])


@pytest.mark.parametrize(
    ("codec", "code", "sample"),
    [
        ("PCMU", 0xFF, 0),
        ("PCMU", 0x7F, 0),
        ("PCMU", 0xFE, 2 * MU),
        ("PCMU", 0x80, 8031 * MU),
        ("PCMU", 0x00, -8031 * MU),
        ("PCMA", 0xD5, 1 * A),
        ("PCMA", 0x55, -1 * A),
        ("PCMA", 0xAA, 4032 * A),
        ("PCMA", 0x2A, -4032 * A),
    ],
)
def test_decodes_the_quantised_values(codec: str, code: int, sample: int) -> None:
    assert g711.decode(bytes([code]), codec) == array("h", [sample])


@pytest.mark.parametrize("codec", LAWS)
def test_every_code_survives_a_round_trip(codec: str) -> None:
    codes = bytes(range(256))
    expected = codes.replace(b"\x7f", b"\xff") if codec == "PCMU" else codes  # mu-law has two zeros
    assert g711.encode(g711.decode(codes, codec), codec) == expected


@pytest.mark.parametrize("codec", LAWS)
def test_decoding_keeps_the_order_of_samples(codec: str) -> None:
    heard = g711.decode(g711.encode(EVERY_SAMPLE, codec), codec)
    assert list(heard) == sorted(heard)


@pytest.mark.parametrize("codec", LAWS)
def test_the_error_is_at_most_half_a_step(codec: str) -> None:
    heard = g711.decode(g711.encode(EVERY_SAMPLE, codec), codec)
    for sample, value in zip(EVERY_SAMPLE, heard, strict=True):
        clipped = max(-8158 * MU, min(8158 * MU, sample))
        assert abs(value - clipped) <= max(16, abs(clipped) // 16)


def test_an_empty_payload_is_an_empty_sound() -> None:
    assert g711.encode(array("h"), "PCMU") == b""
    assert g711.decode(b"", "PCMA") == array("h")


def test_linear_values_are_what_decode_returns() -> None:
    for codec in LAWS:
        assert array("h", g711.linear_values(codec)) == g711.decode(bytes(range(256)), codec)
