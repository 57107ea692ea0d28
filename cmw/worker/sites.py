"""Where the endpoints of a run are: at one station for each network that they call into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cmw.core.words import Phase
from cmw.load.share import RunShare
from cmw.sip import CallOffered
from cmw.worker.callee import Callee
from cmw.worker.sip_traffic import SipTraffic, sum_of_traffic
from cmw.worker.station import CallOwner, Station
from cmw.worker.stations import Placement
from cmw.worker.ways import Ways

TEMPORARILY_UNAVAILABLE = 480
BUSY_HERE = 486


class CalleeLines:
    """The calls that one user of ours takes, at a time or one after the other: each has a `Callee` of its own."""

    def __init__(self) -> None:
        self._callees: list[Callee] = []
        self._next = 0

    def add(self, callee: Callee) -> None:
        """Have one call more taken."""
        self._callees.append(callee)

    def take(self) -> Callee | int:
        """Return who takes the call that comes now, or the status with which it is refused."""
        while self._next < len(self._callees):
            if self._callees[self._next].can_take():
                return self._callees[self._next]
            self._next += 1  # who cannot now never will
        is_busy = any(callee.lifecycle.phase < Phase.DISCONNECTING for callee in self._callees)
        return BUSY_HERE if is_busy else TEMPORARILY_UNAVAILABLE


class Site:
    """The endpoints of a run that are at one station: the ways from there, and who of them waits for calls."""

    def __init__(self, placement: Placement) -> None:
        self.station = placement.station
        self.ways = Ways(placement.share, placement.station)
        self.callees: dict[str, CalleeLines] = {}
        self.takes_any: list[Callee] = []


TakeCall = Callable[[Site, CallOffered], CallOwner | int | None]
"""Returns what a `CallTaker` does."""


class Sites:
    """All of them; `prepare` looks up servers, `take_calls` begins to take calls, `close` ends that.

    Args:
        placements: at least one; no endpoint is in two.
    """

    def __init__(self, placements: Sequence[Placement]) -> None:
        self._sites = [Site(placement) for placement in placements]
        self._by_index = {
            index: site
            for site, placement in zip(self._sites, placements, strict=True)
            for index in _indexes(placement)
        }
        self._takers: list[tuple[Station, Callable[[CallOffered], CallOwner | int | None]]] = []

    def of(self, index: int) -> Site:
        """Return where the endpoint of an index is."""
        return self._by_index[index]

    @property
    def stations(self) -> list[Station]:
        """Return the stations, in the order of the plan."""
        return [site.station for site in self._sites]

    @property
    def sip_traffic(self) -> SipTraffic:
        """Return what has passed so far at these stations."""
        return sum_of_traffic(station.sip_traffic for station in self.stations)

    async def prepare(self) -> None:
        """Look up the servers that are named, and take certificates.

        Raises:
            CommandError: as `Ways.prepare` says.
        """
        for site in self._sites:
            await site.ways.prepare()

    async def prepare_targets(self, targets: Mapping[str, Mapping[str, str]]) -> None:
        """Look up the hosts of receivers elsewhere."""
        for site in self._sites:
            await site.ways.prepare_targets(targets)

    def take_calls(self, take: TakeCall) -> None:
        """Have `take` asked for whatever calls these stations."""
        for site in self._sites:
            taker = _taker(take, site)
            site.station.takers.append(taker)
            self._takers.append((site.station, taker))

    def close(self) -> None:
        """Take no calls any more, and let connections be as usual again."""
        for station, taker in self._takers:
            station.takers.remove(taker)
        self._takers.clear()
        for site in self._sites:
            site.ways.close()

    def forget(self) -> None:
        """Let go of the endpoints."""
        for site in self._sites:
            site.callees.clear()
            site.takes_any.clear()


def _taker(take: TakeCall, site: Site) -> Callable[[CallOffered], CallOwner | int | None]:
    return lambda offer: take(site, offer)


def _indexes(placement: Placement) -> list[int]:
    share: RunShare = placement.share
    return [endpoint.index for group in share.groups.values() for endpoint in group.endpoints]
