"""Digits in the bodies of INFO: ``application/dtmf-relay`` and ``application/dtmf``, as gateways send them.

There is no standard; the form is that of Cisco's gateways, which everybody follows.
"""

from __future__ import annotations

from typing import NamedTuple

from cmw.errors import LocalProtocolError
from cmw.sip.grammar import is_number

DTMF_RELAY_TYPE = "application/dtmf-relay"
DTMF_TYPE = "application/dtmf"
DIGITS = "0123456789*#ABCD"
_EVENTS = {str(number): digit for number, digit in enumerate(DIGITS)} | {"16": "!"}
USUAL_MS = 250
MAX_MS = 60_000


class DtmfDigit(NamedTuple):
    """One digit of ``0123456789*#ABCD`` (``!`` is a hook flash), and for how long it is pressed."""

    digit: str
    duration_ms: int = USUAL_MS


def read_dtmf_info(content_type: str, body: bytes) -> DtmfDigit | None:
    """Return the digit that an INFO reports, None when it reports none that makes sense."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("ascii", "replace").strip()
    if kind == DTMF_TYPE:
        digit = _digit(text)
        return None if digit is None else DtmfDigit(digit)
    if kind != DTMF_RELAY_TYPE:
        return None
    fields: dict[str, str] = {}
    for line in text.replace("\r", "\n").split("\n"):
        name, _, value = line.partition("=")
        fields.setdefault(name.strip().lower(), value.strip())
    digit = _digit(fields.get("signal", ""))
    duration = fields.get("duration", "")
    duration_ms = min(int(duration), MAX_MS) if is_number(duration) and len(duration) <= 9 else USUAL_MS
    return None if digit is None else DtmfDigit(digit, duration_ms)


def make_dtmf_info(digit: str, duration_ms: int = USUAL_MS) -> tuple[str, bytes]:
    """Return Content-Type and body of an INFO that reports a digit.

    Args:
        digit: one of ``0123456789*#ABCD``.
        duration_ms: 1 .. 60,000.
    """
    if len(digit) != 1 or digit not in DIGITS or not 1 <= duration_ms <= MAX_MS:
        raise LocalProtocolError(f"expected a digit for 1 to {MAX_MS} ms, found {digit!a} for {duration_ms} ms")
    return DTMF_RELAY_TYPE, f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode()


def _digit(text: str) -> str | None:
    if len(text) == 1 and text.upper() in DIGITS:
        return text.upper()
    return _EVENTS.get(text)
