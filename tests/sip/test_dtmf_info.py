"""Digits in INFO."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.dtmf_info import DIGITS, DtmfDigit, make_dtmf_info, read_dtmf_info

RELAY = "application/dtmf-relay"


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [
        (RELAY, b"Signal=5\r\nDuration=160\r\n", DtmfDigit("5", 160)),
        (RELAY, b"Signal= # \nDuration= 100", DtmfDigit("#", 100)),
        (RELAY, b"signal=a", DtmfDigit("A", 250)),
        (RELAY, b"Signal=11\r\nDuration=x", DtmfDigit("#", 250)),
        (RELAY, b"Signal=16", DtmfDigit("!", 250)),
        (RELAY, b"Signal=5\r\nDuration=999999999", DtmfDigit("5", 60_000)),
        ("application/dtmf; x=y", b"7\r\n", DtmfDigit("7")),
        ("application/DTMF", b"10", DtmfDigit("*")),
        (RELAY, b"Duration=160", None),
        (RELAY, b"Signal=55", None),
        ("text/plain", b"5", None),
        (RELAY, b"\xff\xfe", None),
        ("", b"", None),
    ],
)
def test_digits_are_read(kind: str, body: bytes, digit: DtmfDigit | None) -> None:
    assert read_dtmf_info(kind, body) == digit


@pytest.mark.parametrize("digit", DIGITS)
def test_digits_are_written_as_they_are_read(digit: str) -> None:
    assert read_dtmf_info(*make_dtmf_info(digit, 160)) == DtmfDigit(digit, 160)


@pytest.mark.parametrize(("digit", "duration_ms"), [("", 100), ("E", 100), ("55", 100), ("5", 0), ("5", 60_001)])
def test_what_is_no_digit_is_refused(digit: str, duration_ms: int) -> None:
    with pytest.raises(LocalProtocolError):
        make_dtmf_info(digit, duration_ms)
