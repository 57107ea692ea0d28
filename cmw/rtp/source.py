"""What we say: speech-like sound, tones and silence, made by arithmetic when they are first asked for.

The speech is nobody's: syllables of a noise onset and a vowel, each vowel a train of damped formant waves at the pitch
of the voice, in sentences with pauses over a faint background. A seed gives a voice; equal seeds give equal samples.
Levels are dBov: 0 is the power of a full-scale square wave, a full-scale sine has -3.01. Source: ITU-T G.100.1.
"""

from __future__ import annotations

import hashlib
from array import array
from functools import cache
from itertools import pairwise
from math import cos, exp, log10, pi, sin, sqrt
from typing import NamedTuple

from cmw.rtp import g711

RATE_HZ = g711.CLOCK_HZ
SPEECH_LEVEL_DBOV = -22.0
"""Level of the sentences, pauses left out; -26 .. -20 is what speech tests use. Source: ITU-T P.830 7.1.2."""
BACKGROUND_LEVEL_DBOV = -68.0
TONE_HZ = 1004
"""The test tone that is no submultiple of the sampling rate. Source: ITU-T O.6."""
TONE_LEVEL_DBOV = -13.0

SOURCES = ("speech", "tone", "silence")
"""The names that a plan may use."""

# First three formants in Hz of six vowels. Source: Peterson and Barney 1952, table II (men).
_VOWELS = (
    (270, 2290, 3010),
    (530, 1840, 2480),
    (660, 1720, 2410),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
)
_FORMANTS = ((1.0, 80), (0.5, 100), (0.2, 140))  # gain and bandwidth in Hz of each
_GRAIN_SAMPLES = 160
_OVERLOAD = 32768.0


class EncodedSource(NamedTuple):
    """Encoded frames of equal size, one after the other, to be sent in a loop."""

    frames: bytes
    frame_bytes: int


@cache
def make_source(name: str, codec: str, ptime_ms: int = 20, seed: int = 1) -> EncodedSource:
    """Return the source `name` as frames of `ptime_ms`; made once, then remembered.

    Args:
        name: one of `SOURCES`.
        codec: ``PCMU`` or ``PCMA``.
        ptime_ms: length of a packet, 10 .. 60 milliseconds.
        seed: the voice; ignored by tone and silence.
    """
    frame_bytes = RATE_HZ * ptime_ms // 1000
    return EncodedSource(_whole_frames(_encoded(name, codec, seed), frame_bytes), frame_bytes)


def speech_pcm(*, seed: int = 1, seconds: int = 8) -> array[int]:
    """Return `seconds` of speech-like sound that begins and ends in a pause, so that it can be looped."""
    draws = _Draws(seed)
    voice = _Voice(draws)
    total = seconds * RATE_HZ
    out = [0.0] * total
    spoken: list[tuple[int, int]] = []
    at = RATE_HZ // 10
    while (end := voice.say_sentence(out, at)) is not None:
        spoken.append((at, end))
        at = end + int(draws.between(0.35, 0.8) * RATE_HZ)
    background = _dbov_to_rms(BACKGROUND_LEVEL_DBOV) * sqrt(3.0)  # a uniform draw in [-a, a] has the rms a / sqrt(3)
    gain = _dbov_to_rms(SPEECH_LEVEL_DBOV) / _rms([x for start, end in spoken for x in out[start:end]])
    return array("h", [_clamp(gain * x + background * n) for x, n in zip(out, draws.noise(total), strict=True)])


def tone_pcm(*, hz: int = TONE_HZ, level_dbov: float = TONE_LEVEL_DBOV) -> array[int]:
    """Return one second of a sine: a whole number of cycles, so that it loops without a click."""
    peak = _dbov_to_rms(level_dbov) * sqrt(2.0)
    return array("h", [_clamp(peak * sin(2 * pi * hz * i / RATE_HZ)) for i in range(RATE_HZ)])


def silence_pcm() -> array[int]:
    """Return one second of zeros."""
    return array("h", bytes(2 * RATE_HZ))


def level_dbov(pcm: array[int]) -> float:
    """Return the mean power of `pcm`; minus infinity when every sample is 0."""
    rms = _rms(pcm) if pcm else 0.0
    return 20 * log10(rms / _OVERLOAD) if rms else float("-inf")


@cache
def _encoded(name: str, codec: str, seed: int) -> bytes:
    """Return the source before it is cut to frames: speech takes longer to make than a call may wait."""
    return g711.encode(_pcm(name, seed), codec)


def _pcm(name: str, seed: int) -> array[int]:
    if name == "speech":
        return speech_pcm(seed=seed)
    if name == "tone":
        return tone_pcm()
    if name == "silence":
        return silence_pcm()
    raise ValueError(f"source {name!r}: expected one of {', '.join(SOURCES)}")


def _whole_frames(encoded: bytes, frame_bytes: int) -> bytes:
    """Repeat `encoded` until it ends with a frame, so that no loop is ever cut short."""
    repeats = 1
    while len(encoded) * repeats % frame_bytes:
        repeats += 1
    return encoded * repeats


class _Draws:
    """Repeatable numbers from a seed: a hash is enough, and is the same on every machine and version."""

    def __init__(self, seed: int) -> None:
        self._seed = b"%d" % seed
        self._units = iter(self._block(b"units", 4096))

    def unit(self) -> float:
        """Return the next number in [-1, 1)."""
        return next(self._units) / _OVERLOAD

    def between(self, low: float, high: float) -> float:
        """Return the next number in [low, high)."""
        return low + (high - low) * (self.unit() + 1) / 2

    def noise(self, count: int) -> list[float]:
        """Return `count` numbers in [-1, 1); the same for the same count."""
        return [x / _OVERLOAD for x in self._block(b"noise", count)]

    def _block(self, label: bytes, count: int) -> array[int]:
        return array("h", hashlib.shake_128(label + self._seed).digest(2 * count))


class _Voice:
    """One speaker: pitch, length of the vocal tract, and how it says a sentence."""

    def __init__(self, draws: _Draws) -> None:
        self._draws = draws
        self._pitch_hz = draws.between(100, 210)
        tract = 1.0 + 0.17 * (self._pitch_hz - 100) / 110  # a higher voice has a shorter tract
        self._grains = [_grain([hz * tract for hz in formants]) for formants in _VOWELS]
        noise = draws.noise(2048)
        self._hiss = [0.5 * (b - a) for a, b in pairwise(noise)]  # a difference lifts the treble

    def say_sentence(self, out: list[float], at: int) -> int | None:
        """Add a sentence to `out` from sample `at` and return its end; None, and nothing added, if there is no room."""
        room = len(out) - RATE_HZ // 10 - _GRAIN_SAMPLES - at
        syllables = self._draw_syllables(room)
        if len(syllables) < 2:
            return None
        for number, (onset, vowel) in enumerate(syllables):
            at = self._say_onset(out, at, onset)
            falling = 1.12 - 0.28 * number / len(syllables)  # pitch falls through a sentence
            at = self._say_vowel(out, at, vowel, self._pitch_hz * falling)
        return at + _GRAIN_SAMPLES

    def _draw_syllables(self, room: int) -> list[tuple[int, int]]:
        """Return samples of onset and vowel of 4 to 8 syllables, or of as many as fit into `room`."""
        syllables: list[tuple[int, int]] = []
        for _ in range(int(self._draws.between(4, 9))):
            onset = int(self._draws.between(0.03, 0.07) * RATE_HZ)
            vowel = int(self._draws.between(0.11, 0.22) * RATE_HZ)
            room -= onset + vowel
            if room >= 0:
                syllables.append((onset, vowel))
        return syllables

    def _say_onset(self, out: list[float], at: int, length: int) -> int:
        gain = self._draws.between(0.05, 0.3)
        for i in range(length):
            out[at + i] += gain * sin(pi * i / length) * self._hiss[i]
        return at + length

    def _say_vowel(self, out: list[float], at: int, length: int, pitch_hz: float) -> int:
        grain = self._grains[int(self._draws.between(0, len(self._grains)))]
        position = 0.0
        while position < length:
            start = at + int(position)
            loud = sin(pi * (position + 1) / (length + 1)) ** 0.6
            piece = out[start : start + _GRAIN_SAMPLES]
            out[start : start + _GRAIN_SAMPLES] = [x + loud * g for x, g in zip(piece, grain, strict=True)]
            position += RATE_HZ / (pitch_hz * (1 + 0.01 * self._draws.unit()))
        return at + length


def _grain(formants_hz: list[float]) -> list[float]:
    """Return what one closing of the vocal folds sounds like: a damped wave for each formant below 3.4 kHz."""
    grain = []
    for i in range(_GRAIN_SAMPLES):
        t = i / RATE_HZ
        attack = 0.5 - 0.5 * cos(pi * min(1.0, i / 8))
        waves = zip(formants_hz, _FORMANTS, strict=True)
        grain.append(attack * sum(g * exp(-pi * bw * t) * sin(2 * pi * hz * t) for hz, (g, bw) in waves if hz < 3400))
    return grain


def _rms(samples: list[float] | array[int]) -> float:
    return sqrt(sum(x * x for x in samples) / len(samples))


def _dbov_to_rms(level: float) -> float:
    return _OVERLOAD * 10 ** (level / 20)


def _clamp(sample: float) -> int:
    return max(-32768, min(32767, round(sample)))
