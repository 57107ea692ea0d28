"""Audio formats as session descriptions name them. Source: RFC 8866 6.6, RFC 3551 6, RFC 4733, RFC 3389."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cmw.sip.grammar import CACHE_VALUES, is_number

MAX_PAYLOAD_TYPE = 127

FIRST_DYNAMIC = 96
"""Payload types from here on mean what an rtpmap says. Source: RFC 3551 3."""

TELEPHONE_EVENT = "telephone-event"
COMFORT_NOISE = "CN"

_MAX_RTPMAP_CHARS = 255
_MAX_EVENT = 255
_MAX_EVENT_RANGES = 32


class AudioCodec(NamedTuple):
    """An audio format.

    Args:
        name: encoding name, such as ``PCMU``; letter case does not count.
        payload_type: the number that whoever names it receives it with, 0 .. 127.
        clock_hz: RTP clock.
        channels: number of channels.
        parameters: what its fmtp line says, empty without one.
    """

    name: str
    payload_type: int
    clock_hz: int = 8000
    channels: int = 1
    parameters: str = ""

    def is_same(self, other: AudioCodec) -> bool:
        """Tell whether both are one format, whatever their payload types and parameters."""
        return self.key == other.key

    @property
    def key(self) -> tuple[str, int, int]:
        """Return what a format is known by: name in upper case, clock, channels.

        The RTP clock of G722 is 8000 by an old error that RFC 3551 4.5.2 keeps; some name its true rate.
        """
        name = self.name.upper()
        return name, 8000 if name == "G722" and self.clock_hz == 16000 else self.clock_hz, self.channels

    @property
    def is_audio(self) -> bool:
        """Tell whether it carries sound, not telephone events or the noise between."""
        return self.name.upper() not in ("TELEPHONE-EVENT", "CN")


PCMU = AudioCodec("PCMU", 0)
PCMA = AudioCodec("PCMA", 8)

STATIC_CODECS = {
    codec.payload_type: codec
    for codec in (
        PCMU,
        AudioCodec("GSM", 3),
        AudioCodec("G723", 4),
        AudioCodec("DVI4", 5),
        AudioCodec("DVI4", 6, 16000),
        AudioCodec("LPC", 7),
        PCMA,
        AudioCodec("G722", 9),
        AudioCodec("L16", 10, 44100, 2),
        AudioCodec("L16", 11, 44100),
        AudioCodec("QCELP", 12),
        AudioCodec("CN", 13),
        AudioCodec("MPA", 14, 90000),
        AudioCodec("G728", 15),
        AudioCodec("DVI4", 16, 11025),
        AudioCodec("DVI4", 17, 22050),
        AudioCodec("G729", 18),
    )
}
"""Payload types that need no rtpmap. Source: RFC 3551 6, table 4."""


@lru_cache(maxsize=CACHE_VALUES)
def parse_rtpmap(value: str) -> AudioCodec | None:
    """Parse ``96 NAME/8000/2``; None when it is not that: the format then has no name. Source: RFC 8866 6.6."""
    if len(value) > _MAX_RTPMAP_CHARS or not value.isascii():
        return None
    number, _, rest = value.strip(" ").partition(" ")
    name, *numbers = rest.strip(" ").split("/")
    clock, channels = (*numbers, "1")[:2] if numbers else ("", "1")
    if not name or not all(is_number(text) and len(text) <= 6 for text in (number, clock, channels)):
        return None
    codec = AudioCodec(name, int(number), int(clock), int(channels))
    return codec if codec.payload_type <= MAX_PAYLOAD_TYPE and codec.clock_hz and codec.channels else None


def serialize_rtpmap(codec: AudioCodec) -> str:
    """Return ``96 NAME/8000``, with the channels unless there is one."""
    channels = f"/{codec.channels}" if codec.channels != 1 else ""
    return f"{codec.payload_type} {codec.name}/{codec.clock_hz}{channels}"


EventRanges = tuple[tuple[int, int], ...]
"""First and last number of each range of telephone events."""

DTMF_EVENTS: EventRanges = ((0, 15),)


@lru_cache(maxsize=CACHE_VALUES)
def parse_events(parameters: str) -> EventRanges:
    """Return the events of an fmtp value such as ``0-15,66``; without any, or without a sense, the DTMF digits.

    Source: RFC 4733 2.4.1, 2.5.1.1: without parameters 0-15 is meant.
    """
    ranges = []
    for item in parameters.replace(" ", "").split(",", _MAX_EVENT_RANGES)[:_MAX_EVENT_RANGES]:
        first, dash, last = item.partition("-")
        last = last if dash else first
        if all(is_number(text) and len(text) <= 3 and int(text) <= _MAX_EVENT for text in (first, last)):
            ranges.append((int(first), int(last)))
    return tuple(ranges) or DTMF_EVENTS
