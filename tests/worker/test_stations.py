"""Which local address a run has: the one that the route to its destinations leaves from, unless SIP_IP is set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cmw.core.address import Address, PortRange
from cmw.errors import CapacityError, CommandError
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare
from cmw.load.split import whole_run
from cmw.sip import Hop
from cmw.worker.destinations import destinations_of
from cmw.worker.settings import Addresses
from cmw.worker.station import Station, open_station
from cmw.worker.stations import Stations
from tests.worker.stage import Stage

ACCOUNTS = [{"username": f"u{k}", "password": "x"} for k in range(4)]
ROUTES = {"10.1.0.9": "10.1.0.1", "10.2.0.9": "10.2.0.1", "10.0.0.9": "10.0.0.1"}


def share(*uris: str, registrar: str | None = None) -> RunShare:
    groups: dict[str, Any] = {f"g{k}": {"endpoints": 1, "call": {"uri": uri}} for k, uri in enumerate(uris)}
    groups["waiting"] = {"endpoints": 1}
    plan: dict[str, Any] = {"version": 1, "name": "x", "duration": "1s", "groups": groups}
    if registrar is not None:
        plan["registrars"] = {"r": {"domain": registrar, "accounts": [{"username": "a", "password": "b"}]}}
        groups["waiting"]["registrar"] = "r"
    return whole_run(parse_plan(plan), "r1")


class Scene:
    """A home station at 10.0.0.1, and what was opened beside it."""

    def __init__(self, *, is_fixed: bool = False) -> None:
        self.stage = Stage()
        self.opened: list[str] = []
        self.stage.station.locate = self.locate
        self.stations = Stations(self.stage.station, None if is_fixed else self.open, self.detect)

    async def locate(self, lookup: Any) -> tuple[list[Hop], str]:
        host = lookup.uri.host
        return ([], "no such name") if host == "nowhere.example" else ([Hop(host, 5060)], "")

    def detect(self, destination: Address) -> str:
        if destination.host not in ROUTES:
            raise OSError(101, "Network is unreachable")
        return ROUTES[destination.host]

    async def open(self, ip: str) -> Station:
        if ip == "10.2.0.1":
            raise CapacityError("expected a free UDP and TCP port")
        self.opened.append(ip)
        return self.stage.add_station(Hop(ip, 5060), PortRange(10000, 19999))

    def place(self, run: RunShare) -> dict[str, list[str]]:
        """Return the names of the endpoints by the address of their station."""
        return {
            placement.station.addresses.sip: [
                endpoint.name for group in placement.share.groups.values() for endpoint in group.endpoints
            ]
            for placement in asyncio.run(self.stations.place(run))
        }

    def choose(self, *uris: str, **more: Any) -> str:
        (ip,) = self.place(share(*uris, **more))
        return ip


def planned(groups: dict[str, Any], *domains: str) -> RunShare:
    registrars = {f"r{k}": {"domain": each, "accounts": ACCOUNTS} for k, each in enumerate(domains)}
    plan = {"version": 1, "name": "x", "duration": "1s", "groups": groups, "registrars": registrars}
    return whole_run(parse_plan(plan), "r1")


def test_the_destination_is_the_registrar_or_whom_is_called() -> None:
    found = destinations_of(share("sip:1@10.1.0.9", "sip:2@10.1.0.9", registrar="10.2.0.9"))
    assert list(found.values()) == ["sip:1@10.1.0.9", "sip:2@10.1.0.9", "sip:10.2.0.9"]
    assert list(destinations_of(share()).values()) == [None]


def test_a_proxy_is_the_destination_whoever_is_called() -> None:
    call = {"uri": "sip:1@10.1.0.9"}
    run = planned({"callers": {"endpoints": 1, "call": call, "outbound_proxy": "sip:10.2.0.9;lr"}})
    assert list(destinations_of(run).values()) == ["sip:10.2.0.9;lr"]


def test_who_waits_is_where_its_callers_are_and_who_calls_a_group_is_where_the_group_is() -> None:
    run = planned(
        {
            "alone": {"endpoints": 1},
            "waiting": {"endpoints": 1},
            "to-waiting": {"endpoints": 1, "call": {"group": "waiting"}, "registrar": "r1"},
            "registered": {"endpoints": 1, "registrar": "r0"},
            "to-registered": {"endpoints": 1, "call": {"group": "registered"}},
        },
        "10.1.0.9",
        "10.2.0.9",
    )
    first, second = "sip:10.1.0.9", "sip:10.2.0.9"
    assert list(destinations_of(run).values()) == [second, second, second, first, first]


def test_the_route_to_the_destination_decides_and_a_station_is_opened_once() -> None:
    scene = Scene()
    assert scene.choose("sip:1@10.1.0.9") == "10.1.0.1"
    assert scene.choose("sip:2@10.1.0.9") == "10.1.0.1"
    assert scene.opened == ["10.1.0.1"]
    assert [station.addresses.sip for station in scene.stations] == ["10.0.0.1", "10.1.0.1"]


@pytest.mark.parametrize("uris", [(), ("sip:1@10.0.0.9",), ("sip:1@nowhere.example",), ("sip:1@10.9.0.9",)])
def test_home_is_for_what_goes_nowhere_or_there(uris: tuple[str, ...]) -> None:
    scene = Scene()
    assert scene.choose(*uris) == "10.0.0.1"
    assert scene.opened == []


def test_sip_ip_decides_when_it_is_set() -> None:
    assert Scene(is_fixed=True).choose("sip:1@10.1.0.9") == "10.0.0.1"


def test_each_endpoint_has_the_address_that_its_own_destination_is_reached_from() -> None:
    scene = Scene()
    assert scene.place(share("sip:1@10.1.0.9", "sip:1@10.0.0.9", "sip:1@nowhere.example")) == {
        "10.1.0.1": ["g0-0001", "waiting-0001"],
        "10.0.0.1": ["g1-0001", "g2-0001"],
    }
    assert scene.opened == ["10.1.0.1"]


def test_parts_have_their_own_groups_and_registrars_and_nothing_is_lost() -> None:
    callers = {f"g{k}": {"endpoints": 2, "registrar": f"r{k}", "call": {"uri": "sip:1@10.9.0.9"}} for k in range(2)}
    run = planned(callers, "10.1.0.9", "10.0.0.9")
    parts = [placement.share for placement in asyncio.run(Scene().stations.place(run))]
    assert [(list(part.groups), list(part.registrars)) for part in parts] == [(["g0"], ["r0"]), (["g1"], ["r1"])]
    assert {name: group for part in parts for name, group in part.groups.items()} == run.groups


def test_two_runs_that_are_the_first_to_need_an_address_share_its_station() -> None:
    scene = Scene()

    async def open_slowly(ip: str) -> Station:
        await asyncio.sleep(0)
        return await scene.open(ip)

    scene.stations = Stations(scene.stage.station, open_slowly, scene.detect)

    async def both() -> list[Station]:
        places = await asyncio.gather(*(scene.stations.place(share("sip:1@10.1.0.9")) for _ in range(2)))
        return [placement.station for found in places for placement in found]

    one, two = asyncio.run(both())
    assert one is two
    assert scene.opened == ["10.1.0.1"]


def test_an_address_that_cannot_be_bound_is_a_reason() -> None:
    with pytest.raises(CommandError, match=r"leaves from 10\.2\.0\.1: expected a free UDP and TCP port"):
        Scene().choose("sip:1@10.2.0.9")


@pytest.mark.loopback
def test_stations_of_one_worker_share_engine_and_ports() -> None:
    async def scene() -> None:
        def at(ip: str) -> Addresses:
            return Addresses(ip, ip, ip, ip)

        home = await open_station(at("127.28.1.1"), 0, PortRange(30000, 30001), slots=1)
        other = await open_station(at("127.28.1.2"), 0, PortRange(1, 1), slots=1, media_of=home)
        assert other.engine is home.engine
        assert other.ports is home.ports
        other.close()
        assert home.engine.scheduling  # it runs still
        home.close()

    asyncio.run(scene())
