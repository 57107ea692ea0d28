"""Every usual kind of WAV file becomes the same sound; what is none, or too odd, is told."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from contextlib import suppress
from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.rtp import g711
from cmw.rtp.wav import parse_wav

GUID = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def fmt(tag: int, channels: int, rate: int, bits: int) -> bytes:
    block = channels * -(-bits // 8)
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(tag: int, bits: int, data: bytes, *, channels: int = 1, rate: int = 8_000) -> bytes:
    return riff(chunk(b"fmt ", fmt(tag, channels, rate, bits)), chunk(b"data", data))


SOUND = array("h", [round(12_000 * sin(2 * pi * 440 * k / 8_000)) for k in range(800)])

KINDS: dict[str, tuple[int, int, Callable[[int], bytes], int]] = {
    "8 bit": (1, 8, lambda x: bytes([(x >> 8) + 128]), 256),
    "16 bit": (1, 16, lambda x: struct.pack("<h", x), 0),
    "24 bit": (1, 24, lambda x: struct.pack("<i", x << 8)[:3], 0),
    "32 bit": (1, 32, lambda x: struct.pack("<i", x << 16), 0),
    "float": (3, 32, lambda x: struct.pack("<f", x / 32768), 1),
    "double": (3, 64, lambda x: struct.pack("<d", x / 32768), 1),
    "A-law": (6, 8, lambda x: g711.encode(array("h", [x]), "PCMA"), 512),
    "mu-law": (7, 8, lambda x: g711.encode(array("h", [x]), "PCMU"), 512),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_kind_of_sample_says_the_same(kind: str, channels: int) -> None:
    tag, bits, write, error = KINDS[kind]
    data = b"".join(write(x) * channels for x in SOUND)
    found = parse_wav(wav(tag, bits, data, channels=channels))
    assert len(found) == len(SOUND)
    assert max(abs(x - y) for x, y in zip(found, SOUND, strict=True)) <= error


@pytest.mark.parametrize(("tag", "codec"), [(6, "PCMA"), (7, "PCMU")])
def test_companded_files_come_through_as_they_are(tag: int, codec: str) -> None:
    codes = bytes(code for code in range(256) if codec == "PCMA" or code != 0x7F)  # mu-law has two zeros
    assert g711.encode(parse_wav(wav(tag, 8, codes)), codec) == codes


def test_the_extended_format_means_the_one_in_it() -> None:
    data = SOUND.tobytes()
    for tag, tail, ok in ((1, GUID, True), (0x55, GUID, False), (1, bytes(14), False)):
        extended = fmt(0xFFFE, 1, 8_000, 16) + struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", tag) + tail
        file = riff(chunk(b"fmt ", extended), chunk(b"data", data))
        if ok:
            assert parse_wav(file) == SOUND
        else:
            with pytest.raises(ValueError, match=r"found (format 85 \(MP3\)|an extended format).*, expected PCM of 8"):
                parse_wav(file)


def test_24_bits_may_lie_in_four_bytes() -> None:
    data = b"".join(struct.pack("<i", x << 16) for x in SOUND)
    shape = struct.pack("<HHIIHH", 1, 1, 8_000, 32_000, 4, 24)
    assert parse_wav(riff(chunk(b"fmt ", shape), chunk(b"data", data))) == SOUND


def test_channels_are_mixed_in_equal_parts_and_opposites_cancel() -> None:
    data = b"".join(struct.pack("<hh", 1_000, 3_000) + struct.pack("<hh", -32_768, 32_767) for _ in range(4))
    assert set(parse_wav(wav(1, 16, data, channels=2))) == {2_000, 0}


def test_too_loud_is_cut_off_and_no_number_is_refused() -> None:
    assert list(parse_wav(wav(3, 32, struct.pack("<3f", 2.0, -2.0, 0.5)))) == [32_767, -32_768, 16_384]
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="found a sample that is not a number"):
            parse_wav(wav(3, 32, struct.pack("<f", value)))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_another_rate_is_the_same_sound(rate: int) -> None:
    samples = [round(12_000 * sin(2 * pi * 440 * k / rate)) for k in range(rate // 10)]
    data = b"".join(struct.pack("<hh", x, x) for x in samples)
    found = parse_wav(wav(1, 16, data, channels=2, rate=rate))
    assert len(found) == len(SOUND)
    assert max(abs(x - y) for x, y in zip(found[80:-80], SOUND[80:-80], strict=True)) < 20


def test_other_chunks_are_passed_over_and_odd_ones_padded() -> None:
    file = riff(
        chunk(b"LIST", b"INFOabc"),
        chunk(b"fmt ", fmt(1, 1, 8_000, 16)),
        chunk(b"fact", bytes(4)),
        chunk(b"data", SOUND.tobytes()),
        chunk(b"id3 ", b"x"),
    )
    assert parse_wav(file) == SOUND


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_stream_that_did_not_know_its_length_is_taken_to_its_end(length: int) -> None:
    head = chunk(b"fmt ", fmt(1, 1, 8_000, 16))
    body = b"WAVE" + head + b"data" + struct.pack("<I", length) + SOUND.tobytes()
    assert parse_wav(b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + body) == SOUND


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"", "found nothing at its beginning, expected RIFF and WAVE"),
        (b"ID3\x04" + bytes(20), "found MP3 at its beginning, expected RIFF and WAVE"),
        (b"secret-of-another-file", "^found something else at its beginning, expected RIFF and WAVE$"),
        (b"RIFX" + bytes(20), "found RIFX, expected RIFF"),
        (riff(), "found no chunk 'fmt ', expected one"),
        (riff(chunk(b"fmt ", fmt(1, 1, 8_000, 16))), "found no chunk 'data', expected one"),
        (riff(chunk(b"data", bytes(8))), "found samples before the chunk 'fmt '"),
        (riff(chunk(b"fmt ", bytes(8))), "found a chunk 'fmt ' of 8 bytes, expected 16 or more"),
        (wav(2, 4, bytes(8)), r"found format 2 \(Microsoft ADPCM\), expected PCM of 8, 16, 24 or 32 bit"),
        (wav(0x4321, 8, bytes(8)), "found format 17185, expected PCM"),
        (wav(1, 16, bytes(8), rate=2_000), "found 2000 Hz, expected 4000 to 192000"),
        (wav(1, 16, bytes(64), channels=17), "found 17 channels, expected 1 to 16"),
        (wav(1, 16, bytes(64), channels=0), "found 0 channels, expected 1 to 16"),
        (wav(1, 64, bytes(64)), "found PCM of 64 bit in blocks of 8 bytes"),
        (wav(3, 16, bytes(64)), "found float of 16 bit in blocks of 2 bytes"),
        (wav(1, 16, b"x"), "found no samples, expected at least one"),
    ],
)
def test_what_cannot_be_read_is_told(file: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_wav(file)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_whatever_comes_is_a_sound_or_told(noise: bytes, place: int) -> None:
    whole = wav(1, 16, SOUND.tobytes()[:40])
    for file in (noise, whole[:place], whole[:place] + noise + whole[place + len(noise) :]):
        with suppress(ValueError):  # and nothing else
            assert len(parse_wav(file)) > 0
