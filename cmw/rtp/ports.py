"""Which RTP port pair a call gets: even ports of a range, the one that rested longest first."""

from __future__ import annotations

from collections import deque

from cmw.core.address import PortRange
from cmw.errors import CapacityError, LocalProtocolError


class PortPool:
    """Hand out the even ports of `ports`; RTCP lives on the odd port above each. Source: RFC 3550 11.

    Released ports queue up at the end, so that late packets of an ended call seldom meet a new one.
    """

    def __init__(self, ports: PortRange) -> None:
        self._ports = ports
        self._free = deque(ports.pairs())
        self._used: set[int] = set()
        self._foreign: set[int] = set()

    def __len__(self) -> int:
        """Return how many pairs the range has."""
        return len(self._free) + len(self._used)

    def acquire(self) -> int:
        """Return the RTP port of a pair. Give it back with `release`, or with `refuse` if it cannot be bound.

        Raises:
            CapacityError: every pair is in use; names the range and the numbers.
        """
        if not self._free:
            raise self.exhausted()
        port = self._free.popleft()
        self._used.add(port)
        return port

    def release(self, port: int) -> None:
        """Take back a pair after its call; it is handed out again last."""
        self._give_back(port)
        self._foreign.discard(port)

    def refuse(self, port: int) -> None:
        """Take back a pair that another program holds; it is tried again last."""
        self._give_back(port)
        self._foreign.add(port)

    def exhausted(self) -> CapacityError:
        """Return the error that says why no pair can be had."""
        taken = f", {len(self._foreign)} taken by other programs" if self._foreign else ""
        return CapacityError(
            f"no free RTP port pair in {self._ports}: {len(self)} pairs, {len(self._used)} in use here{taken}",
            resource="RTP ports",
        )

    @property
    def free(self) -> int:
        """Pairs that can be handed out now, other programs' among them."""
        return len(self._free)

    @property
    def in_use(self) -> int:
        """Pairs handed out and not yet given back."""
        return len(self._used)

    @property
    def taken_by_others(self) -> int:
        """Pairs that could not be bound when they were last tried."""
        return len(self._foreign)

    def _give_back(self, port: int) -> None:
        if port not in self._used:
            raise LocalProtocolError(f"port {port} of {self._ports} is given back but was not handed out")
        self._used.remove(port)
        self._free.append(port)
