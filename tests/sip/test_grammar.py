"""The lexical rules: what counts as a number, a preference, an address."""

from __future__ import annotations

import pytest

from cmw.sip.grammar import is_hex, is_literal, is_number, read_q, read_seconds


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("pbx.example", False), ("", False), ("1.2.3", False)]
)
def test_literals_are_told_from_names(host: str, expected: bool) -> None:
    assert is_literal(host) is expected


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "1 ", "\u0661", "\u00b2", "1.0", "0x1"])
def test_only_ascii_digits_are_numbers(text: str) -> None:
    assert not is_number(text)
    assert read_seconds(text) is None


def test_seconds_are_bounded() -> None:
    assert [read_seconds(text) for text in (None, "0", "90", "4294967296", "99999999999")] == [
        None,
        0,
        90,
        2**32 - 1,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "q"),
    [(None, 1.0), ("1", 1.0), ("0", 0.0), ("0.", 0.0), ("0.5", 0.5), ("0.125", 0.125), ("1.000", 1.0), ("1.5", 1.0)]
    + [(text, None) for text in ("", "2", "0.1234", "-0.5", ".5", "0,5", "1e0", "nan", "00.5", "0.\u0665")],
)
def test_preferences_are_read(text: str | None, q: float | None) -> None:
    assert read_q(text) == q


def test_hex_digits_are_of_either_case_and_ascii() -> None:
    assert is_hex("0123456789abcdefABCDEF")
    assert not is_hex("0g")
    assert not is_hex("\uff11")
