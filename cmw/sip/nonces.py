"""The nonces of a server: made without being remembered, each count of them used for one request.

A nonce is the instant it was made at and a counter under an HMAC, so that none needs to be kept before it is used. Of
those in use a window of counts is kept: requests overtake each other on UDP, but none comes twice unless it is the
very same, sent again. What does not fit any more turns stale, which costs its owner a round and nobody anything else.
Source: RFC 7616 3.3, 5.4, 5.5.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids

MAX_NONCES = 100_000
"""Nonces whose counts are kept; when the oldest must go, everything made before it turns stale."""

MAX_USES = 100_000
"""Uses that are kept for their retransmissions, of all nonces together."""

WINDOW = 64
"""How far a count may be behind the highest one of its nonce."""

REPEAT_NS: Nanos = 32 * SECOND
"""How long a request may be sent again: 64*T1. Source: RFC 3261 17.1.1.2."""

_STAMP_CHARS = 24
_NONCE_CHARS = _STAMP_CHARS + 32
_HEX = frozenset("0123456789abcdef")


class _Window(NamedTuple):
    """The highest count of a nonce that was used, and as bits which of those before it, lowest bit first."""

    top: int
    bits: int


class Nonces:
    """Makes nonces and takes note of their uses.

    Args:
        ids: where the key comes from.
        life_ns: how long a nonce is good.
    """

    def __init__(self, ids: Ids, *, life_ns: Nanos) -> None:
        self.life_ns = life_ns
        self._key = (ids.uuid() + ids.uuid()).encode("ascii")
        self._made = 0
        self._stale_before: Nanos = 0
        self._windows: dict[str, _Window] = {}
        self._uses: dict[tuple[str, int], tuple[int, Nanos]] = {}
        self._first_cnonces: dict[str, str] = {}

    def make(self, *, now: Nanos) -> str:
        """Return a new nonce, 56 hex digits."""
        self._made += 1
        stamp = f"{max(now, 0):016x}{self._made & 0xFFFFFFFF:08x}"
        return stamp + self._sign(stamp)

    def age_ns(self, nonce: str, *, now: Nanos) -> Nanos | None:
        """Return how old a nonce is; None when it is not ours: of an earlier start, perhaps, which is no crime."""
        if len(nonce) != _NONCE_CHARS or not _HEX.issuperset(nonce):
            return None
        if not hmac.compare_digest(self._sign(nonce[:_STAMP_CHARS]), nonce[_STAMP_CHARS:]):
            return None
        return now - int(nonce[:16], 16)

    def use(self, nonce: str, count: int, use: int | None, *, now: Nanos) -> bool:
        """Take note of a use of a nonce; False when it is not good, or this count was used for something else.

        Args:
            nonce: as it came.
            count: 0 for an answer without one, which is good once.
            use: tells this request from all others but its retransmissions, which are let pass for `REPEAT_NS`; None
                for a request of which none come here.
            now: instant of the monotonic clock, nanoseconds.
        """
        age_ns = self.age_ns(nonce, now=now)
        if age_ns is None or age_ns > self.life_ns or now - age_ns < self._stale_before:
            return False
        window = self._windows.get(nonce)
        if window is None or count > window.top:
            bits = 1 if window is None else ((window.bits << min(count - window.top, WINDOW)) | 1) & (1 << WINDOW) - 1
            self._keep(nonce, _Window(count, bits))
        elif (behind := window.top - count) < WINDOW and not window.bits >> behind & 1:
            self._keep(nonce, window._replace(bits=window.bits | 1 << behind))
        else:
            return self._is_repeated(nonce, count, use, now)
        if use is not None:
            self._uses[nonce, count] = use, now
            if len(self._uses) > MAX_USES:
                del self._uses[next(iter(self._uses))]
        return True

    def first_cnonce(self, nonce: str, cnonce: str) -> str:
        """Return the client nonce that came with the first use of a nonce, which is this one if there was none before.

        It is part of the key of a -sess session. Source: RFC 7616 3.4.2, cnonce-prime.
        """
        return self._first_cnonces.get(nonce, cnonce)

    def keep_first_cnonce(self, nonce: str, cnonce: str) -> None:
        """Remember the client nonce that a session began with."""
        self._first_cnonces.setdefault(nonce, cnonce)
        if len(self._first_cnonces) > MAX_NONCES:
            del self._first_cnonces[next(iter(self._first_cnonces))]

    def _is_repeated(self, nonce: str, count: int, use: int | None, now: Nanos) -> bool:
        known = self._uses.get((nonce, count))
        return known is not None and use == known[0] and now - known[1] <= REPEAT_NS

    def _keep(self, nonce: str, window: _Window) -> None:
        self._windows[nonce] = window
        if len(self._windows) > MAX_NONCES:
            oldest = next(iter(self._windows))
            del self._windows[oldest]
            self._stale_before = max(self._stale_before, int(oldest[:16], 16) + 1)

    def _sign(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode("ascii"), hashlib.sha256).hexdigest()[:32]
