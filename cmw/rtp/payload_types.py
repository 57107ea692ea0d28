"""The payload types that need no negotiation. Source: RFC 3551 6, tables 4 and 5."""

from __future__ import annotations

from typing import Final, NamedTuple


class Codec(NamedTuple):
    """What a payload type stands for."""

    name: str
    """Encoding name as in SDP; "" when it is not known."""
    clock_hz: int
    """RTP units a second; 0 when it is not known."""


TELEPHONE_EVENT: Final = "telephone-event"
"""Source: RFC 4733 7.1."""

STATIC: Final[dict[int, Codec]] = {
    0: Codec("PCMU", 8000),
    3: Codec("GSM", 8000),
    4: Codec("G723", 8000),
    5: Codec("DVI4", 8000),
    6: Codec("DVI4", 16000),
    7: Codec("LPC", 8000),
    8: Codec("PCMA", 8000),
    9: Codec("G722", 8000),
    10: Codec("L16", 44100),
    11: Codec("L16", 44100),
    12: Codec("QCELP", 8000),
    13: Codec("CN", 8000),
    14: Codec("MPA", 90000),
    15: Codec("G728", 8000),
    16: Codec("DVI4", 11025),
    17: Codec("DVI4", 22050),
    18: Codec("G729", 8000),
    25: Codec("CelB", 90000),
    26: Codec("JPEG", 90000),
    28: Codec("nv", 90000),
    31: Codec("H261", 90000),
    32: Codec("MPV", 90000),
    33: Codec("MP2T", 90000),
    34: Codec("H263", 90000),
}

DYNAMIC: Final = range(96, 128)
"""Payload types that only a session description gives a meaning."""
