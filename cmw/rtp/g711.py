"""PCMU and PCMA: 16-bit linear samples to and from the two companding laws of ITU-T G.711.

Both laws cut each half of the scale into 128 intervals: 8 segments of 16 steps, each segment twice as coarse as the one
below. The tables are made from that rule when the module is loaded; no table of the Recommendation is copied.

    code bits as counted here   s e e e m m m m     s = 1 for positive, e = segment, m = step
    mu-law on the wire          segment and step inverted (0x7F): 0 is 0xFF
    A-law on the wire           even bits inverted (0x55): 0 is 0xD5
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

CLOCK_HZ = 8000
"""Sampling rate and RTP clock. Source: RFC 3551 4.5.14."""


_MU_BIAS = 33 << 2  # 33 in the 14-bit scale of G.711 table 2a
_SCALE_END = 1 << 15


def encode(pcm: array[int], codec: str) -> bytes:
    """Return one byte for each sample of `pcm`.

    Args:
        pcm: signed 16-bit samples (typecode ``h``).
        codec: ``PCMU`` or ``PCMA``.
    """
    unsigned = memoryview(pcm).cast("B").cast("H")
    return bytes(map(_ENCODE[codec].__getitem__, unsigned))


def decode(payload: bytes, codec: str) -> array[int]:
    """Return one signed 16-bit sample for each byte of `payload`."""
    return array("h", map(_DECODE[codec].__getitem__, payload))


def linear_values(codec: str) -> tuple[int, ...]:
    """Return the 256 signed 16-bit samples that the codes 0 .. 255 stand for."""
    return _DECODE[codec]


def _mu_lower_edge(interval: int) -> int:
    segment, step = divmod(interval, 16)
    return max(0, ((16 + step) << (segment + 3)) - _MU_BIAS)


def _mu_value(interval: int) -> int:
    segment, step = divmod(interval, 16)
    return ((16 + step) << (segment + 3)) + (4 << segment) - _MU_BIAS


def _a_lower_edge(interval: int) -> int:
    segment, step = divmod(interval, 16)
    return step << 4 if segment == 0 else (16 + step) << (segment + 3)


def _a_value(interval: int) -> int:
    segment, _ = divmod(interval, 16)
    return _a_lower_edge(interval) + (8 << max(0, segment - 1))


def _encode_table(lower_edge: Callable[[int], int], invert: int) -> bytes:
    """Return the code of each sample, indexed by the sample as unsigned 16 bits.

    A negative sample takes the interval of its one's complement, so both halves are alike. Source: ITU-T G.191, G.711.
    """
    edges = [*map(lower_edge, range(128)), _SCALE_END]
    runs = [edges[i + 1] - edges[i] for i in range(128)]
    positive = b"".join(bytes([(0x80 | i) ^ invert]) * run for i, run in enumerate(runs))
    negative = b"".join(bytes([i ^ invert]) * run for i, run in enumerate(runs))
    return positive + negative[::-1]


def _decode_table(value: Callable[[int], int], invert: int) -> tuple[int, ...]:
    plain = [code ^ invert for code in range(256)]
    return tuple(value(code & 0x7F) if code & 0x80 else -value(code & 0x7F) for code in plain)


# The counted sign bit is 1 for positive; mu-law inverts segment and step only, which leaves 0 at 0xFF.
_ENCODE = {"PCMU": _encode_table(_mu_lower_edge, 0x7F), "PCMA": _encode_table(_a_lower_edge, 0x55)}
_DECODE = {"PCMU": _decode_table(_mu_value, 0x7F), "PCMA": _decode_table(_a_value, 0x55)}
