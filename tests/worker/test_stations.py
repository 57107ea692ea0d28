"""Which local address a run has: the one that the route to its destinations leaves from, unless SIP_IP is set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from cmw.core.address import Address, PortRange
from cmw.errors import CapacityError, CommandError
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare
from cmw.load.split import whole_run
from cmw.sip import Hop
from cmw.worker.settings import Addresses
from cmw.worker.station import Station, open_station
from cmw.worker.stations import Stations, destinations
from tests.worker.stage import Stage

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

    def choose(self, *uris: str, **more: Any) -> str:
        return asyncio.run(self.stations.for_run(share(*uris, **more))).addresses.sip


def test_destinations_are_registrars_and_whom_is_called() -> None:
    assert destinations(share("sip:1@10.1.0.9", "sip:2@10.1.0.9", registrar="10.2.0.9")) == [
        "sip:10.2.0.9",
        "sip:1@10.1.0.9",
        "sip:2@10.1.0.9",
    ]
    assert destinations(share()) == []


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


def test_the_first_destination_decides_and_the_others_are_told() -> None:
    structlog.reset_defaults()
    with capture_logs() as lines:
        assert Scene().choose("sip:1@10.1.0.9", "sip:1@10.0.0.9") == "10.1.0.1"
    [line] = [line for line in lines if "set SIP_IP to choose" in line["event"]]
    assert line["reached_from"] == {"10.1.0.1": "sip:1@10.1.0.9", "10.0.0.1": "sip:1@10.0.0.9"}


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
