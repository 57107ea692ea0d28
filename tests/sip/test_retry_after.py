"""When a party may be asked again."""

from __future__ import annotations

import pytest

from cmw.sip.headers import Headers
from cmw.sip.retry_after import RetryAfter, parse_retry_after


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("120", RetryAfter(120)),
        ("18000;duration=3600", RetryAfter(18000, 3600)),
        ("120 (I'm in a meeting)", RetryAfter(120)),
        ("3 (back \\) soon) ; x=y; Duration = 5", RetryAfter(3, 5)),
        ("5;duration=long", RetryAfter(5)),
        ("", None),
        ("soon", None),
        ("99999999999", None),
        ("-1", None),
    ],
)
def test_retry_after_is_read(text: str, value: RetryAfter | None) -> None:
    assert parse_retry_after(Headers([("Retry-After", text)])) == value


def test_a_message_without_retry_after_says_nothing() -> None:
    assert parse_retry_after(Headers()) is None
