"""What passed of SIP at a station, and what was lost at our own end of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class SipTraffic(NamedTuple):
    """SIP datagrams of one station since it was opened.

    Args:
        received: those that came, messages over connections among them.
        sent: those that left, likewise.
        kernel_drops: UDP datagrams that came and found no room in our socket.
        unsent: those that never left, because the network took nothing for too long.
    """

    received: int = 0
    sent: int = 0
    kernel_drops: int = 0
    unsent: int = 0

    def since(self, earlier: SipTraffic) -> SipTraffic:
        """Return what has passed since an earlier look."""
        return SipTraffic(*(now - before for now, before in zip(self, earlier, strict=True)))


def sum_of_traffic(traffics: Iterable[SipTraffic]) -> SipTraffic:
    """Return what has passed at several stations together."""
    return SipTraffic(*map(sum, zip(*traffics, strict=True)))
