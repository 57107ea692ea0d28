"""Addresses and port ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Address(NamedTuple):
    """A transport address: a literal IP address (or, before it is resolved, a host name) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """An inclusive range of ports, 1 <= first <= last <= 65535."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def pairs(self) -> range:
        """Return the even ports whose odd neighbour is in the range too. Source: RFC 3550 11."""
        return range(self.first + self.first % 2, self.last, 2)
