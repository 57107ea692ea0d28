"""Fragments of IP packets put together again. Source: RFC 791 3.2, RFC 8200 4.5."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MAX_PENDING: Final = 1024
"""Packets that may wait for fragments; the oldest gives way."""
MAX_AGE_NS: Final = 30_000_000_000
"""Source: RFC 1122 3.3.2 asks for 60 to 120 s, RFC 8200 for 60; numbers repeat sooner at the rates of RTP."""

Key = tuple[bytes, bytes, int, int]
"""Source, destination, protocol, identification."""


@dataclass(slots=True)
class _Pending:
    began_ns: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    total_bytes: int | None = None


class Reassembly:
    """Packets whose fragments come one by one; what never became whole is counted."""

    def __init__(self) -> None:
        self._pending: dict[Key, _Pending] = {}
        self._given_up = 0

    @property
    def incomplete(self) -> int:
        """Return how many packets never became whole, those that still wait included."""
        return self._given_up + len(self._pending)

    def add(self, key: Key, offset: int, data: bytes, *, more: bool, at_ns: int) -> bytes | None:
        """Take one fragment; return the payload of its packet when this was the last that it lacked.

        Args:
            offset: of `data` in the payload, bytes.
            more: fragments follow behind this one.
        """
        pending = self._pending.get(key)
        if pending is None or at_ns - pending.began_ns > MAX_AGE_NS:
            pending = self._begin(key, at_ns)
        pending.pieces.setdefault(offset, data)  # RFC 5722: what came first stands
        if not more:
            pending.total_bytes = offset + len(data)
        whole = _joined(pending)
        if whole is not None:
            del self._pending[key]
        return whole

    def _begin(self, key: Key, at_ns: int) -> _Pending:
        if self._pending.pop(key, None) is not None:
            self._given_up += 1
        while len(self._pending) >= MAX_PENDING:
            del self._pending[next(iter(self._pending))]
            self._given_up += 1
        pending = self._pending[key] = _Pending(at_ns)
        return pending


def _joined(pending: _Pending) -> bytes | None:
    if pending.total_bytes is None:
        return None
    parts = []
    reached = 0
    for offset in sorted(pending.pieces):
        piece = pending.pieces[offset]
        if offset > reached:
            return None
        parts.append(piece[reached - offset :])
        reached = max(reached, offset + len(piece))
    return b"".join(parts)[: pending.total_bytes] if reached >= pending.total_bytes else None
