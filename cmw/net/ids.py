"""Random identifiers for programs; tests bring their own that count."""

from __future__ import annotations

import os
import random
import secrets
from collections import deque
from typing import Final

TAGS_AT_ONCE: Final = 32
"""Tags that are asked of the kernel together: one for each is a system call for each."""

_TAG_BYTES: Final = 8


class RandomIds:
    """An `Ids` that nobody can foretell from outside.

    Identifiers that only have to be unique (branch, Call-ID, SSRC, sequence number) come from one generator seeded
    by the kernel, which is ten times faster; what guards against a stranger (tags, client nonces, uuids) comes from
    the kernel, for some at once. Source: RFC 3261 19.3, RFC 7616 5.

    Args:
        host: right-hand side of Call-IDs; a random one hides nothing and tells nothing.
    """

    def __init__(self, host: str = "") -> None:
        self._random = random.Random(os.urandom(64))
        self._host = host or f"{self._random.getrandbits(48):012x}.invalid"
        self._drawn: deque[bytes] = deque()
        """Random bytes of the kernel that nobody was given yet."""

    def branch(self) -> str:
        """Return ``z9hG4bK`` and 72 random bits."""
        return f"z9hG4bK{self._random.getrandbits(72):018x}"

    def tag(self) -> str:
        """Return 64 random bits as hex."""
        drawn = self._drawn
        if not drawn:
            pool = os.urandom(TAGS_AT_ONCE * _TAG_BYTES)
            drawn.extend([pool[at : at + _TAG_BYTES] for at in range(0, len(pool), _TAG_BYTES)])
        return drawn.popleft().hex()

    def call_id(self) -> str:
        """Return 96 random bits at the host."""
        return f"{self._random.getrandbits(96):024x}@{self._host}"

    def cnonce(self) -> str:
        """Return 64 random bits as hex."""
        return secrets.token_hex(8)

    def uuid(self) -> str:
        """Return 128 random bits as hex."""
        return secrets.token_hex(16)

    def ssrc(self) -> int:
        """Return 32 random bits."""
        return self._random.getrandbits(32)

    def sequence(self) -> int:
        """Return 16 random bits."""
        return self._random.getrandbits(16)

    def timestamp(self) -> int:
        """Return 32 random bits."""
        return self._random.getrandbits(32)

    def cseq(self) -> int:
        """Return 1 .. 2^15."""
        return self._random.getrandbits(15) + 1

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()
