"""Modular arithmetic at and around the wraps."""

from __future__ import annotations

import pytest

from cmw.rtp.sequence import extend_seq, rtp_units, seq_after, signed16, signed32


@pytest.mark.parametrize(
    ("seq", "before", "ahead"), [(5, 5, 0), (6, 5, 1), (0, 65535, 1), (65535, 0, 65535), (2, 65534, 4)]
)
def test_seq_after(seq: int, before: int, ahead: int) -> None:
    assert seq_after(seq, before) == ahead


@pytest.mark.parametrize(
    ("difference", "value"), [(0, 0), (1, 1), (-1, -1), (65535, -1), (32767, 32767), (32768, -32768), (-32769, 32767)]
)
def test_signed16(difference: int, value: int) -> None:
    assert signed16(difference) == value


def test_signed32_over_the_wrap() -> None:
    assert signed32(0x00000010 - 0xFFFFFFF0) == 0x20
    assert signed32(0xFFFFFFF0 - 0x00000010) == -0x20


@pytest.mark.parametrize(
    ("seq", "highest", "extended"),
    [
        (11, 10, 11),
        (9, 10, 9),
        (0, 65535, 65536),
        (65535, 65536, 65535),
        (65535, 3, -1),
        (7, 3 * 65536 + 5, 3 * 65536 + 7),
    ],
)
def test_extend_seq(seq: int, highest: int, extended: int) -> None:
    assert extend_seq(seq, highest) == extended


def test_rtp_units() -> None:
    assert rtp_units(20_000_000, 8000) == 160
    assert rtp_units(124_999, 8000) == 0
    assert rtp_units(124_999, 8000, fraction_bits=8) == 255
    assert rtp_units(10**9 * 86_400 * 20_000, 90_000) == 86_400 * 20_000 * 90_000
    assert rtp_units(-1, 8000) == -1
