"""Instants as a Date header writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.sip.date import format_date


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_289_690_940, "Sat, 13 Nov 2010 23:29:00 GMT"),  # the example of RFC 3261 20.17
    ],
)
def test_known_instants(unix_s: int, text: str) -> None:
    assert format_date(unix_s) == text


@given(st.integers(0, 253_402_300_799))
def test_every_instant_reads_as_it_was_meant(unix_s: int) -> None:
    read = datetime.strptime(format_date(unix_s), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert read.timestamp() == unix_s
