"""WAV files as what a telephone says: one channel, 8000 samples a second, 16 bit; and such sound as a WAV file.

A RIFF file is a row of chunks, each a name of four letters, a length of four bytes, and so many bytes and one more if
that is odd. ``fmt `` says what the samples are, ``data`` holds them. All numbers begin with their lowest byte.
Source: Multimedia Programming Interface and Data Specifications 1.0; WAVE_FORMAT_EXTENSIBLE (mmreg.h).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from cmw.rtp import g711
from cmw.rtp.resample import resample

MIN_RATE_HZ: Final = 4_000
MAX_RATE_HZ: Final = 192_000
MAX_CHANNELS: Final = 16

_PCM: Final = 1
_FLOAT: Final = 3
_ALAW: Final = 6
_MULAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
_SUB_FORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the two bytes of a format in the GUID that stands for it."""
_KNOWN_OTHERS: Final = {
    2: "Microsoft ADPCM",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x45: "G.726",
    0x50: "MPEG",
    0x55: "MP3",
    0xFF: "AAC",
}
_MAGICS: Final = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"caff": "CAF", b".snd": "AU"}
_EXPECTED: Final = "PCM of 8, 16, 24 or 32 bit, float of 32 or 64 bit, A-law or mu-law"


class WavShape(NamedTuple):
    """What a file holds."""

    encoding: int
    """The format tag: 1 PCM, 3 float, 6 A-law, 7 mu-law."""
    channels: int
    rate_hz: int
    bits: int
    """Of a sample of one channel."""


HEAD_BYTES: Final = 44
"""Of what `wav_head` returns."""


def wav_head(samples: int, channels: int) -> bytes:
    """Return what a file of 8000 signed 16-bit samples a second begins with; the samples follow, one of each channel.

    Args:
        samples: of each channel.
    """
    size, block = 2 * samples * channels, 2 * channels
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, channels, g711.CLOCK_HZ, g711.CLOCK_HZ * block, block, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + shape + struct.pack("<4sI", b"data", size)


def serialize_wav(*channels: array[int]) -> bytes:
    """Return a file of signed 16-bit samples (typecode ``h``), 8000 a second; silence follows the shorter channels."""
    longest = max(map(len, channels))
    mixed = array("h", bytes(2 * longest * len(channels)))
    for place, samples in enumerate(channels):
        mixed[place : place + len(samples) * len(channels) : len(channels)] = samples
    return wav_head(longest, len(channels)) + struct.pack(f"<{len(mixed)}h", *mixed)


def parse_wav(data: bytes) -> array[int]:
    """Return the sound of a WAV file as 8000 signed 16-bit samples a second; channels are mixed in equal parts.

    What is one channel of 8000 Hz already is not touched beyond its width.

    Raises:
        ValueError: says what was found and what was expected.
    """
    shape, raw = _find_samples(data)
    size = shape.bits // 8 * shape.channels
    raw = raw[: len(raw) // size * size]  # a file that was cut short may end in the middle of a sample
    if not raw:
        raise ValueError("found no samples, expected at least one")
    samples = _mix(_READERS[shape.encoding, shape.bits](raw), shape.channels)
    if shape.rate_hz != g711.CLOCK_HZ:
        samples = resample(samples, shape.rate_hz, g711.CLOCK_HZ)
    if isinstance(samples, array) and samples.typecode == "h":
        return samples
    return array("h", [max(-32768, min(32767, round(sample))) for sample in samples])


def _find_samples(data: bytes) -> tuple[WavShape, bytes]:
    if data[:4] in (b"RIFX", b"RF64", b"FORM"):
        raise ValueError(f"found {data[:4].decode()}, expected RIFF")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        known = next((name for magic, name in _MAGICS.items() if data.startswith(magic)), "something else")
        raise ValueError(f"found {known if data else 'nothing'} at its beginning, expected RIFF and WAVE")
    shape: WavShape | None = None
    for name, body in _chunks(data):
        if name == b"fmt ":
            shape = _read_shape(body)
        elif name == b"data":
            if shape is None:
                raise ValueError("found samples before the chunk 'fmt ' that says what they are")
            return shape, body
    raise ValueError(f"found no chunk {'data' if shape else 'fmt '!r}, expected one")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and bodies; a length that goes beyond the end, as of a stream, means all that is there."""
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"data" and length == 0:
            length = len(data)  # written by a program that could not go back to fill it in
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _read_shape(body: bytes) -> WavShape:
    if len(body) < 16:
        raise ValueError(f"found a chunk 'fmt ' of {len(body)} bytes, expected 16 or more")
    tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:40] != _SUB_FORMAT_TAIL:
            raise ValueError(f"found an extended format that is none of these, expected {_EXPECTED}")
        tag = int.from_bytes(body[24:26], "little")
    shape = WavShape(tag, channels, rate_hz, 8 * (block // channels) if channels else bits)
    if tag not in (_PCM, _FLOAT, _ALAW, _MULAW):
        name = f" ({_KNOWN_OTHERS[tag]})" if tag in _KNOWN_OTHERS else ""
        raise ValueError(f"found format {tag}{name}, expected {_EXPECTED}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"found {channels} channels, expected 1 to {MAX_CHANNELS}")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"found {rate_hz} Hz, expected {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if (tag, shape.bits) not in _READERS or block % channels or not 0 < bits <= shape.bits:
        kind = {_PCM: "PCM", _FLOAT: "float", _ALAW: "A-law", _MULAW: "mu-law"}[tag]
        raise ValueError(f"found {kind} of {bits} bit in blocks of {block} bytes, expected {_EXPECTED}")
    return shape


# Samples of any width on the scale of 16 bit, channels still interleaved.


def _read_8(raw: bytes) -> Sequence[float]:
    return array("h", [(byte - 128) << 8 for byte in raw])


def _read_16(raw: bytes) -> Sequence[float]:
    return array("h", struct.unpack(f"<{len(raw) // 2}h", raw))


def _read_24(raw: bytes) -> Sequence[float]:
    wide = bytearray(len(raw) // 3 * 4)
    for k in range(3):
        wide[k + 1 :: 4] = raw[k::3]
    return _read_32(bytes(wide))


def _read_32(raw: bytes) -> Sequence[float]:
    return array("d", [value / 65536 for value in struct.unpack(f"<{len(raw) // 4}i", raw)])


def _read_float(raw: bytes, code: str) -> Sequence[float]:
    values = struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw)
    if not all(abs(value) <= 1e9 for value in values):
        raise ValueError("found a sample that is not a number or beyond all bounds, expected -1.0 to 1.0")
    return array("d", [value * 32768 for value in values])


_READERS: Final[dict[tuple[int, int], Callable[[bytes], Sequence[float]]]] = {
    (_PCM, 8): _read_8,
    (_PCM, 16): _read_16,
    (_PCM, 24): _read_24,
    (_PCM, 32): _read_32,
    (_FLOAT, 32): lambda raw: _read_float(raw, "f"),
    (_FLOAT, 64): lambda raw: _read_float(raw, "d"),
    (_ALAW, 8): lambda raw: g711.decode(raw, "PCMA"),
    (_MULAW, 8): lambda raw: g711.decode(raw, "PCMU"),
}


def _mix(samples: Sequence[float], channels: int) -> Sequence[float]:
    if channels == 1:
        return samples
    lanes = [samples[k::channels] for k in range(channels)]
    return array("d", [sum(frame) / channels for frame in zip(*lanes, strict=True)])
