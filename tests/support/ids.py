"""An `Ids` that counts, so that every message of a test is known beforehand."""

from __future__ import annotations


class CountingIds:
    """Return 1, 2, 3, ... in whatever shape is asked for."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def _count(self) -> int:
        self._next += 1
        return self._next - 1

    def branch(self) -> str:
        return f"z9hG4bK{self._count():08x}"

    def tag(self) -> str:
        return f"tag{self._count():08x}"

    def call_id(self) -> str:
        return f"call{self._count():08x}@cmw.invalid"

    def cnonce(self) -> str:
        return f"{self._count():016x}"

    def uuid(self) -> str:
        return f"{self._count():032x}"

    def ssrc(self) -> int:
        return self._count() & 0xFFFFFFFF

    def sequence(self) -> int:
        return self._count() & 0xFFFF

    def timestamp(self) -> int:
        return self._count() & 0xFFFFFFFF

    def cseq(self) -> int:
        return self._count() % (1 << 15) or 1

    def unit(self) -> float:
        return 0.5
