"""The station: who gets a call, who gets an event, and which user parts are free."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import CapacityError, CommandError, LocalProtocolError, SettingsError
from cmw.net.sip_flows import ServerSettings
from cmw.net.sip_tls import TlsSettings
from cmw.sip import Account, CallEvent, CallOffered, Hop, Transport
from cmw.worker.endpoint import Endpoint
from cmw.worker.settings import Addresses
from cmw.worker.station import open_station
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, THERE, Stage


class Owner:
    """Keeps the facts about its call."""

    def __init__(self) -> None:
        self.facts: list[str] = []

    def receive_call_event(self, event: CallEvent) -> None:
        self.facts.append(type(event).__name__)


def call(stage: Stage, number: int = 1) -> None:
    request = stage.party.request("INVITE", f"sip:600@{HERE}", call_id=f"c{number}", body=SDP)
    stage.party.send(request, HERE)


def test_takers_are_asked_in_order_until_one_decides() -> None:
    stage, owner = Stage(), Owner()
    asked: list[str] = []

    def pass_on(offer: CallOffered) -> None:
        asked.append("first")

    def take(offer: CallOffered) -> Owner:
        asked.append("second")
        return owner

    def never(offer: CallOffered) -> int:
        asked.append("third")
        return 486

    stage.station.takers += [pass_on, take, never]
    call(stage)
    assert asked == ["first", "second"]
    assert owner.facts == ["CallOffered"]


def test_what_nobody_takes_is_not_found_and_what_is_refused_is_refused() -> None:
    stage = Stage()
    call(stage, 1)
    stage.station.takers.append(lambda offer: 486)
    call(stage, 2)
    assert [r.status for r in stage.party.responses("INVITE") if r.status > 100] == [404, 486]
    assert stage.station.unclaimed_calls_total == 1
    stage.station.takers.clear()
    stage.quiet()
    assert stage.leaves_nothing()


def test_a_taker_may_leave_while_it_is_asked() -> None:
    stage = Stage()

    def leave(offer: CallOffered) -> None:
        stage.station.takers.remove(leave)

    stage.station.takers += [leave, lambda offer: 486]
    call(stage)
    assert stage.party.statuses("INVITE")[-1] == 486


def test_user_parts_are_given_out_once() -> None:
    station = Stage().station
    assert [station.claim_user("a") for _ in range(3)] == ["a", "a.2", "a.3"]
    station.release_user("a.2")
    assert station.claim_user("a") == "a.2"
    station.release_user("nobody")
    station.release_user("a")
    assert station.claim_user("a") == "a"


def test_a_user_part_is_not_free_while_it_is_registered() -> None:
    stage = Stage()
    account = Account(f"sip:bob@{THERE}", f"sip:{THERE}", None, "a", THERE)
    assert stage.station.claim_user("a") == "a"
    endpoint: Endpoint = stage.make(Endpoint, user="a", account=account)
    endpoint.prepare()
    endpoint.close_now()
    stage.station.release_user("a")
    assert stage.station.claim_user("a") == "a.2"  # its REGISTER is still on the way
    stage.station.release_user("a.2")
    stage.after(10 * MILLISECOND)
    stage.party.respond(stage.party.requests("REGISTER")[0], 403, destination=HERE)
    assert stage.station.claim_user("a") == "a"


def test_closed_it_takes_no_orders() -> None:
    stage = Stage()
    stage.station.close()
    stage.station.close()
    with pytest.raises(LocalProtocolError, match="the station is closed"):
        stage.station.command(lambda agent, now: None)


def test_the_uri_of_a_user_names_where_it_is_reached() -> None:
    stage = Stage()
    stage.station.addresses = Addresses("10.0.0.1", "10.0.0.1", "203.0.113.1", "203.0.113.2")
    assert stage.station.uri_of("callees-0001") == "sip:callees-0001@203.0.113.2:5060"
    stage.station.addresses = Addresses("::1", "::1", "::1", "2001:db8::1")
    assert stage.station.uri_of("x") == "sip:x@[2001:db8::1]:5060"


def open_on(sip: str, media: str, ports: int | PortRange = 0) -> int:
    async def scene() -> int:
        station = await open_station(Addresses(sip, media, media, sip), ports, PortRange(30000, 30001), slots=1)
        port = station.port
        station.close()
        return port

    return asyncio.run(scene())


@pytest.mark.loopback
def test_addresses_that_are_not_ours_are_told_at_the_start() -> None:
    assert open_on("127.0.0.1", "127.0.0.1") > 0
    with pytest.raises(SettingsError, match=r"SIP: cannot bind UDP 192\.0\.2\.1:0: Cannot assign requested address"):
        open_on("192.0.2.1", "127.0.0.1")
    with pytest.raises(SettingsError, match=r"RTP: cannot bind UDP 192\.0\.2\.1: Cannot assign requested address"):
        open_on("127.0.0.1", "192.0.2.1")


@pytest.mark.loopback
def test_a_port_that_is_taken() -> None:
    async def scene() -> None:
        addresses = Addresses("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1")
        first = await open_station(addresses, 0, PortRange(30000, 30001), slots=1)
        with pytest.raises(CapacityError, match="is in use"):
            await open_station(addresses, first.port, PortRange(30000, 30001), slots=1)
        first.close()

    asyncio.run(scene())


@pytest.mark.loopback
def test_servers_are_connected_to_as_one_run_says_at_a_time() -> None:
    skip, path = ServerSettings(TlsSettings(is_verified=False)), ServerSettings(websocket_path="/ws")

    async def scene() -> None:
        addresses = Addresses("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1")
        station = await open_station(addresses, 0, PortRange(30000, 30001), slots=1)
        one, other = object(), object()
        station.use_servers(one, {"pbx.example": skip})
        station.use_servers(other, {"pbx.example": skip, "web.example": path})  # the same is no conflict
        with pytest.raises(CommandError, match=r"another run reaches pbx\.example with other TLS settings"):
            station.use_servers(other, {"pbx.example": path})
        station.release_servers(one)
        with pytest.raises(CommandError):  # the other is there still
            station.use_servers(one, {"pbx.example": path})
        station.release_servers(other)
        station.use_servers(one, {"pbx.example": path})
        with pytest.raises(SettingsError, match="TLS CA file"):
            station.use_servers(one, {"new.example": ServerSettings(TlsSettings(ca_file="/nonexistent"))})
        station.close()
        station.release_servers(other)

    asyncio.run(scene())


@pytest.mark.loopback
def test_uris_are_looked_up_for_the_addresses_that_we_have() -> None:
    async def scene() -> None:
        addresses = Addresses("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1")
        station = await open_station(addresses, 0, PortRange(30000, 30001), slots=1)
        assert await station.find("sip:a@127.0.0.9;transport=tcp") == ((Hop("127.0.0.9", 5060, Transport.TCP),), "")
        assert await station.find("sip:a@localhost") == ((Hop("127.0.0.1", 5060),), "")
        assert await station.find("sip:a@nowhere.invalid") == ((), "it does not exist")
        hops, reason = await station.find("sip:a@[::1]")
        assert (hops, reason) == ((), "::1 cannot be reached from here: expected an IPv4 address")
        station.close()

    asyncio.run(scene())


def test_a_connection_is_kept_alive_as_often_as_its_registrar_asks_for() -> None:
    class Flows:
        def __init__(self) -> None:
            self.asked: list[tuple[int, int]] = []

        def keep_alive(self, number: int, span_ns: int) -> None:
            self.asked.append((number, span_ns))

    class Registered:
        def receive_registration_event(self, event: object) -> None: ...

    stage, flows = Stage(), Flows()
    listener: Any = stage.station._listener
    listener.flows = flows
    account = Account("sip:alice@10.0.0.2", "sip:10.0.0.2", None, "alice", destination=THERE)
    stage.station.register(Registered(), account, expires_s=300)
    stage.after(10 * MILLISECOND)
    (request,) = stage.party.requests("REGISTER")
    rows = [("Contact", f"{request.headers.get('Contact')};expires=300"), ("Flow-Timer", "25")]
    stage.party.respond(request, 200, headers=rows, destination=HERE)
    assert flows.asked == [(0, 25 * SECOND)]


class Exporter:
    """Stands for the one to Homer."""

    def __init__(self) -> None:
        self.told: list[tuple[bool, str, str]] = []

    def send(self, data: bytes, *, is_sent: bool, local: object, peer: Hop) -> None:
        self.told.append((is_sent, str(local), str(peer)))


def test_log_recorder_and_capture_server_see_each_message_while_they_are_there() -> None:
    stage, logged, exporter = Stage(), list[str](), Exporter()
    station = stage.station
    listener: Any = station._listener
    listener.local_of = lambda transport: HERE
    message = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: c1\r\n\r\n"
    station.set_trace(lambda direction, data, peer: logged.append(direction))
    station.record_sip(True)
    station.export_sip(exporter)  # type: ignore[arg-type]
    listener.trace("out", message, THERE)
    station.set_trace(None)
    listener.trace("in", message, THERE)
    assert logged == ["out"]
    assert [each.is_sent for each in station.recorder.look("c1")[0]] == [True, False]
    assert exporter.told == [(True, str(HERE), str(THERE)), (False, str(HERE), str(THERE))]
    station.record_sip(False)
    assert not len(station.recorder)
    listener.trace("in", message, THERE)
    assert not len(station.recorder)
