"""The stations of a worker: one for each local address that the routes to what it calls leave from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from cmw.core.address import Address
from cmw.errors import CmwError, CommandError
from cmw.load.share import RunShare
from cmw.net.route import local_address_towards
from cmw.sip import Hop
from cmw.worker.logs import get_logger
from cmw.worker.station import Station
from cmw.worker.ways import next_uri, registrar_uri

FAMILIES = (4, 6)


class Stations:
    """Find the station of a run, and open it when it is the first run that goes there.

    A run has one station: the one that its first destination is reached from. Without a destination of its own, as when
    it only waits for calls, it has the home station.

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

    def __iter__(self) -> Iterator[Station]:
        """Return the home station, then the others."""
        return iter((self.home, *self._others.values()))

    async def for_run(self, share: RunShare) -> Station:
        """Return the station that a run calls and is called at.

        Raises:
            CommandError: no station can be opened where the route leaves from.
        """
        if self._open_at is None:
            return self.home
        found: dict[str, str] = {}
        for uri in destinations(share):
            ip = await self._address_towards(uri)
            if ip is not None:
                found.setdefault(ip, uri)
        if not found:
            return self.home
        if len(found) > 1:
            get_logger(component="worker").warn(
                "destinations of one run are reached from several addresses; set SIP_IP to choose",
                run=share.run_id,
                chosen=next(iter(found)),
                reached_from=found,
            )
        return await self._at(next(iter(found)))

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
        for station in self:
            if station.addresses.sip == ip:
                return station
        assert self._open_at is not None
        try:
            station = await self._open_at(ip)
        except CmwError as error:
            raise CommandError("NO_ADDRESS", f"the route leaves from {ip}: {error}") from None
        return self._others.setdefault(ip, station)


def destinations(share: RunShare) -> list[str]:
    """Return the URIs whose servers take the requests of a run: registrars, proxies, and whom is called by a URI."""
    found = [registrar_uri(registrar) for registrar in share.registrars.values()]
    for group in share.groups.values():
        if group.registrar is not None:
            continue
        called = (endpoint.callee.uri for endpoint in group.endpoints if endpoint.callee is not None)
        found += [next_uri(uri, group.way) for uri in called if uri is not None]
    return list(dict.fromkeys(found))
