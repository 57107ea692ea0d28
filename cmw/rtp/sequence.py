"""Arithmetic modulo 2^16 and 2^32: wraps are certain, and comparing by size is wrong at every one of them."""

from __future__ import annotations

from typing import Final

SEQ_MOD: Final = 1 << 16
TIMESTAMP_MOD: Final = 1 << 32


def seq_after(seq: int, before: int) -> int:
    """Return how far `seq` is ahead of `before`, 0 .. 65535. Source: RFC 3550 A.1, udelta."""
    return (seq - before) % SEQ_MOD


def signed16(difference: int) -> int:
    """Return a difference of sequence numbers as -32768 .. 32767."""
    return signed(difference, 16)


def signed32(difference: int) -> int:
    """Return a difference of timestamps as -2^31 .. 2^31 - 1."""
    return signed(difference, 32)


def signed(difference: int, bits: int) -> int:
    """Return `difference` modulo 2^bits as a two's complement number."""
    half = 1 << bits - 1
    return (difference + half) % (half << 1) - half


def extend_seq(seq: int, highest: int) -> int:
    """Return the extended sequence number nearest to `highest` whose low 16 bits are `seq`; may be below 0."""
    return highest + signed16(seq - highest)


def rtp_units(span_ns: int, clock_hz: int, *, fraction_bits: int = 0) -> int:
    """Return `span_ns` nanoseconds in RTP timestamp units, rounded down, not reduced.

    Args:
        span_ns: 0 or above.
        fraction_bits: 8 gives 1/256 of a unit.
    """
    return (span_ns * clock_hz << fraction_bits) // 1_000_000_000
