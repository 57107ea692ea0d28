"""Randomness as an argument: every identifier that a protocol wants unpredictable comes from one object."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """Source of identifiers. The network layer brings a random one, tests bring one that counts."""

    def branch(self) -> str:
        """Return a Via branch, starting with the magic cookie ``z9hG4bK``. Source: RFC 3261 8.1.1.7."""
        ...

    def tag(self) -> str:
        """Return a From or To tag with at least 32 bits of randomness. Source: RFC 3261 19.3."""
        ...

    def call_id(self) -> str:
        """Return a Call-ID, unique in space and time. Source: RFC 3261 8.1.1.4."""
        ...

    def cnonce(self) -> str:
        """Return a client nonce of at least 64 bits as hex. Source: RFC 7616 3.4."""
        ...

    def uuid(self) -> str:
        """Return 128 random bits as 32 hex digits."""
        ...

    def ssrc(self) -> int:
        """Return a synchronisation source, 0 .. 2^32 - 1. Source: RFC 3550 8.1."""
        ...

    def sequence(self) -> int:
        """Return a first RTP sequence number, 0 .. 2^16 - 1. Source: RFC 3550 5.1."""
        ...

    def timestamp(self) -> int:
        """Return a first RTP timestamp, 0 .. 2^32 - 1. Source: RFC 3550 5.1."""
        ...

    def cseq(self) -> int:
        """Return a first CSeq number, 1 .. 2^15. Source: RFC 3261 8.1.1.5."""
        ...

    def unit(self) -> float:
        """Return a number in [0, 1), for jitter in timers and back-off."""
        ...
