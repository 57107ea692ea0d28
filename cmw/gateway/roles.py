"""What a holder of an API key may do: four roles, each with the rights of those below it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The role of an API key."""

    VIEWER = "viewer"
    """Reads everything but secrets."""
    TESTER = "tester"
    """Also runs the tests that are there, and stops runs."""
    EDITOR = "editor"
    """Also makes and changes projects, registrars, accounts and tests, runs plans of its own, and makes keys."""
    ADMIN = "admin"
    """Also manages workers."""

    @property
    def rank(self) -> int:
        """Return its place, 0 for the least rights."""
        return list(Role).index(self)

    def includes(self, other: Role) -> bool:
        """Tell whether it has every right of `other`."""
        return self.rank >= other.rank
