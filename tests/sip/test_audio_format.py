"""Audio formats by name."""

from __future__ import annotations

import pytest

from cmw.sip.audio_format import (
    DTMF_EVENTS,
    PCMU,
    STATIC_CODECS,
    AudioCodec,
    parse_events,
    parse_rtpmap,
    serialize_rtpmap,
)


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        ("0 PCMU/8000", PCMU),
        ("96 opus/48000/2", AudioCodec("opus", 96, 48000, 2)),
        (" 97  L16/8000/1 ", AudioCodec("L16", 97)),
        ("", None),
        ("96", None),
        ("96 PCMU", None),
        ("96 /8000", None),
        ("128 PCMU/8000", None),
        ("96 PCMU/0", None),
        ("96 PCMU/8000/0", None),
        ("96 PCMU/-8000", None),
        ("99999999 x/1/2/3", None),
        ("0 PCMU/\u0663", None),
        ("96 " + "x" * 300 + "/8000", None),
    ],
)
def test_rtpmaps(value: str, codec: AudioCodec | None) -> None:
    """RFC 8866 6.6."""
    assert parse_rtpmap(value) == codec
    if codec is not None:
        assert parse_rtpmap(serialize_rtpmap(codec)) == codec


def test_formats_are_the_same_by_name_clock_and_channels() -> None:
    assert AudioCodec("pcmu", 96, parameters="x").is_same(PCMU)
    assert not AudioCodec("PCMU", 0, 16000).is_same(PCMU)
    assert not AudioCodec("L16", 96, 8000, 2).is_same(AudioCodec("L16", 96))
    assert AudioCodec("G722", 96, 16000).is_same(STATIC_CODECS[9])  # RFC 3551 4.5.2: 8000 by an old error


def test_sound_is_told_from_events_and_noise() -> None:
    assert [AudioCodec(name, 96).is_audio for name in ("PCMU", "Telephone-Event", "CN")] == [True, False, False]


@pytest.mark.parametrize(
    ("parameters", "ranges"),
    [
        ("0-15", DTMF_EVENTS),
        ("", DTMF_EVENTS),
        ("x", DTMF_EVENTS),
        ("0-11, 16,66-70", ((0, 11), (16, 16), (66, 70))),
        ("0-999,5", ((5, 5),)),
        (",".join(["1"] * 1000), ((1, 1),) * 32),
    ],
)
def test_events(parameters: str, ranges: tuple[tuple[int, int], ...]) -> None:
    """RFC 4733 2.4.1."""
    assert parse_events(parameters) == ranges
