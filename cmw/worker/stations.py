"""The stations of a worker: one for each local address that the routes to what it calls leave from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from cmw.core.address import Address
from cmw.errors import CmwError, CommandError
from cmw.load.share import RunShare
from cmw.net.route import local_address_towards
from cmw.sip import Hop, parse_uri
from cmw.worker.destinations import destinations_of
from cmw.worker.station import Station

FAMILIES = (4, 6)


class Placement(NamedTuple):
    """The part of a share that is carried out at one station."""

    station: Station
    share: RunShare


class Stations:
    """Find the stations of a run, and open those that it is the first to need.

    Each endpoint has the station that its destination is reached from, so that one run may call into several networks.
    Without a destination, as in a run that only waits for calls, it has the home station.

    Args:
        home: the station that was opened with the worker; its address is the one that `SIP_IP` names, or that the route
            to the gateway leaves from.
        open_at: opens one more station at a local address; None when there is to be none but the home station, because
            `SIP_IP` is set.
        detect: returns the local address that the route to a literal address leaves from, or raises OSError.
    """

    def __init__(
        self,
        home: Station,
        open_at: Callable[[str], Awaitable[Station]] | None,
        detect: Callable[[Address], str] = local_address_towards,
    ) -> None:
        self.home = home
        self._open_at = open_at
        self._detect = detect
        self._others: dict[str, Station] = {}
        self._opening = asyncio.Lock()

    def __iter__(self) -> Iterator[Station]:
        """Return the home station, then the others."""
        return iter((self.home, *self._others.values()))

    async def place(self, share: RunShare) -> list[Placement]:
        """Return the parts of a share, each at the station that it calls and is called at; at least one part.

        Raises:
            CommandError: no station can be opened where a route leaves from.
        """
        if self._open_at is None:
            return [Placement(self.home, share)]
        towards: dict[str, str] = {}
        places: dict[str, set[int]] = {}
        for index, uri in destinations_of(share).items():
            ip = self.home.addresses.sip
            if uri is not None:
                server = _server_of(uri)
                if server not in towards:
                    towards[server] = await self._address_towards(uri) or ip
                ip = towards[server]
            places.setdefault(ip, set()).add(index)
        if not places:
            return [Placement(self.home, share)]
        if len(places) == 1:
            return [Placement(await self._at(next(iter(places))), share)]
        return [Placement(await self._at(ip), _part(share, indexes)) for ip, indexes in places.items()]

    def close(self) -> None:
        """Close all of them, the home station last: it has the media engine."""
        for station in reversed(tuple(self)):
            station.close()

    # private

    async def _address_towards(self, uri: str) -> str | None:
        """Return the local address that the route to a URI's server leaves from; None when nobody knows."""
        try:
            hops, _ = await self.home.find(uri, families=FAMILIES)
        except CmwError:  # the run finds out, and says, what is wrong with it
            return None
        return next((ip for ip in map(self._leaves_from, hops) if ip is not None), None)

    def _leaves_from(self, hop: Hop) -> str | None:
        try:
            return self._detect(Address(hop.host, hop.port))
        except OSError:
            return None

    async def _at(self, ip: str) -> Station:
        async with self._opening:  # two runs may be the first to need it
            for station in self:
                if station.addresses.sip == ip:
                    return station
            assert self._open_at is not None
            try:
                station = await self._open_at(ip)
            except CmwError as error:
                raise CommandError("NO_ADDRESS", f"the route leaves from {ip}: {error}") from None
            self._others[ip] = station
            return station


def _server_of(uri: str) -> str:
    """Return a URI without whom it names there."""
    try:
        return str(parse_uri(uri)._replace(user=None, password=None, headers=()))
    except CmwError:
        return uri


def _part(share: RunShare, indexes: set[int]) -> RunShare:
    """Return a share with these endpoints alone, and the groups and registrars that they have."""
    groups = {
        name: group.model_copy(update={"endpoints": [each for each in group.endpoints if each.index in indexes]})
        for name, group in share.groups.items()
    }
    groups = {name: group for name, group in groups.items() if group.endpoints}
    used = {group.registrar for group in groups.values()}
    registrars = {name: each for name, each in share.registrars.items() if name in used}
    return share.model_copy(update={"groups": groups, "registrars": registrars})
