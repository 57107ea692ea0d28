"""Which formats of two sides meet, and under which numbers. Source: RFC 3264 5.1, 6.1, 7; RFC 4733 2.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cmw.sip.audio_format import DTMF_EVENTS, FIRST_DYNAMIC, AudioCodec, EventRanges, parse_events
from cmw.sip.negotiated_audio import CommonFormat
from cmw.sip.sdp import MediaDescription

_CLOSED_BY_MUX = range(64, FIRST_DYNAMIC)
"""Payload types that look like RTCP on a shared port. Source: RFC 5761 4."""


class Terms(NamedTuple):
    """How formats are matched.

    Args:
        formats: what we offered, under our numbers; or what we could take of an offer.
        own_order: choose by the order of `formats`, not by the peer's.
        answers: we answer: with the peer's numbers, and with one codec unless `several`.
        several: answer with every common format.
    """

    formats: tuple[AudioCodec, ...]
    own_order: bool
    answers: bool
    several: bool


class AgreedFormats(NamedTuple):
    """What came of it; see `NegotiatedAudio` for the words.

    Args:
        named: what both have, under our numbers; an answer of ours names just these.
        muxable: no number is one that RTCP would be mistaken for.
    """

    named: tuple[AudioCodec, ...]
    payload_type: int
    codec: str
    clock_hz: int
    channels: int
    parameters: str
    receive_payload_type: int
    receive_payload_types: tuple[int, ...]
    telephone_event: int | None
    receive_telephone_event: int | None
    events: EventRanges
    comfort_noise: int | None
    receive_comfort_noise: int | None
    muxable: bool
    formats: tuple[CommonFormat, ...]


class _Match(NamedTuple):
    theirs: AudioCodec
    ours: AudioCodec


def agree_on_formats(media: MediaDescription, terms: Terms) -> AgreedFormats | None:
    """Return what the peer's section and our formats come to; None when no codec is common.

    Remembered with the section's attributes: most calls of a peer say the same.
    """
    facts = media.attributes.facts
    key = (media.formats, terms)
    if key not in facts.memo:
        facts.remember(key, _agree(facts.codecs(media.formats), terms))
    found = facts.memo[key]
    assert found is None or isinstance(found, AgreedFormats)
    return found


def _agree(theirs: Sequence[AudioCodec], terms: Terms) -> AgreedFormats | None:
    matches = _keep_some(_match(theirs, terms), terms)
    audio = [match for match in matches if match.ours.is_audio]
    if not audio:
        return None
    chosen = audio[0]
    clock_hz = chosen.ours.key[1]
    events = _find(matches, "TELEPHONE-EVENT", clock_hz)
    noise = _find(matches, "CN", clock_hz)
    numbers = [codec.payload_type for match in matches for codec in match]
    return AgreedFormats(
        named=tuple([match.ours for match in matches]),
        payload_type=chosen.theirs.payload_type,
        codec=chosen.ours.name.upper(),
        clock_hz=clock_hz,
        channels=chosen.ours.channels,
        parameters=chosen.theirs.parameters,
        receive_payload_type=chosen.ours.payload_type,
        receive_payload_types=tuple([match.ours.payload_type for match in audio]),
        telephone_event=events.theirs.payload_type if events is not None else None,
        receive_telephone_event=events.ours.payload_type if events is not None else None,
        events=parse_events(events.theirs.parameters) if events is not None else DTMF_EVENTS,
        comfort_noise=noise.theirs.payload_type if noise is not None else None,
        receive_comfort_noise=noise.ours.payload_type if noise is not None else None,
        muxable=not any(number in _CLOSED_BY_MUX for number in numbers),
        formats=tuple(
            [
                CommonFormat(ours.name.upper(), ours.key[1], theirs.payload_type, ours.payload_type)
                for theirs, ours in audio
            ]
        ),
    )


def _match(theirs: Sequence[AudioCodec], terms: Terms) -> list[_Match]:
    """Return the common formats, in the peer's order or in ours; each of ours once."""
    known = {codec.key: codec for codec in reversed(terms.formats)}
    found: dict[AudioCodec, _Match] = {}
    for codec in theirs:
        ours = known.get(codec.key)
        if ours is not None:
            number = codec.payload_type if terms.answers else ours.payload_type  # RFC 3264 6.1: the same, if it can be
            found.setdefault(ours, _Match(codec, ours._replace(payload_type=number)))
    return [found[ours] for ours in (terms.formats if terms.own_order else found) if ours in found]


def _keep_some(matches: list[_Match], terms: Terms) -> list[_Match]:
    """Return what counts: of an answer of ours one codec, unless several; with the events and noise of their clocks."""
    audio = [match for match in matches if match.ours.is_audio]
    kept = audio[:1] if terms.answers and not terms.several else audio
    clocks = {match.ours.key[1] for match in kept}
    return [match for match in matches if match in kept or (not match.ours.is_audio and match.ours.key[1] in clocks)]


def _find(matches: Sequence[_Match], name: str, clock_hz: int) -> _Match | None:
    """Return a format without sound that goes with the clock of the audio. Source: RFC 4733 2.1."""
    key = (name, clock_hz, 1)
    return next((match for match in matches if match.ours.key == key), None)
