"""Calls with Debian's baresip 1.0 over UDP, TCP and TLS: hold and blind transfer from either side, digits from us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from cmw.net.sip_flows import FlowSettings
from cmw.net.sip_tls import TlsSettings
from cmw.sip.call_options import CallOptions
from cmw.sip.dtmf_info import make_dtmf_info
from cmw.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallModified,
    CallOffered,
    CallReoffered,
    Ending,
    RequestAnswered,
    RequestSucceeded,
    TransferAccepted,
    TransferCompleted,
    TransferRequested,
)
from cmw.sip.hop import Transport
from tests.support.baresip_control import BaresipControl, baresip_control
from tests.support.certificates import Authority
from tests.support.desk import Desk, desk, run_scene, sdp
from tests.support.peers import baresip, own_baresip_ports
from tests.support.phone import TCP, TLS, UDP

pytestmark = [pytest.mark.peers("baresip"), pytest.mark.loopback]

NewIp = Callable[[], str]
IP = "127.0.0.1"


class Peer(NamedTuple):
    """A running baresip."""

    way: Transport
    port: int
    control_port: int
    authority: Authority

    @property
    def uri(self) -> str:
        return f"sip:bob@{IP}:{self.port + (self.way is TLS)};transport={self.way.lower()}"


@pytest.fixture(scope="module", params=[UDP, TCP, TLS])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    way: Transport = request.param
    directory = tmp_path_factory.mktemp("baresip")
    authority = Authority(directory)
    number, rtp = own_baresip_ports()
    port = 16000 + 3 * (number - 15060)
    lines = ["module_app ctrl_tcp.so", f"ctrl_tcp_listen {IP}:{port + 2}", f"sip_cafile {authority.file}"]
    lines.append(f"sip_certificate {authority.issue(addresses=[IP])}")
    params = ";answermode=auto;call_transfer=yes"
    with baresip(directory, port, rtp, transport=way.lower(), params=params, more="\n".join(lines)):
        yield Peer(way, port, port + 2, authority)


class Scene(NamedTuple):
    """Us, and the orders for baresip."""

    us: Desk
    peer: Peer
    control: BaresipControl

    async def call_peer(self) -> int:
        """Call baresip, which answers at once; return our handle."""
        call = self.us.call(self.peer.uri)
        await self.us.answered(call)
        await self.control.until("CALL_ESTABLISHED")
        return call

    async def be_called(self) -> int:
        """Be called by baresip, and answer; return our handle."""
        local = self.us.transport.local_of(self.peer.way)
        await self.control.order("dial", f"sip:alice@{local};transport={self.peer.way.lower()}")
        offered: CallOffered = await asyncio.wait_for(self.us.offered.get(), 20)
        self.us.answer(offered.call)
        await self.us.call_event(offered.call, CallConfirmed)
        await self.control.until("CALL_ESTABLISHED")
        return offered.call

    async def agree(self, call: int, offer: str, answer: str) -> None:
        """Agree to the next change that baresip asks for."""
        reoffer = await self.us.call_event(call, CallReoffered)
        assert f"a={offer}".encode() in reoffer.body
        body = sdp(self.us.ip, direction=answer, version=2)
        self.us.do(lambda agent, now: agent.answer_reoffer(call, body=body, now=now))
        assert (await self.us.call_event(call, CallModified)).by is Ending.REMOTE

    async def hang_up(self, call: int) -> None:
        assert (await self.us.hang_up(call)).status == 200
        await self.control.until("CALL_CLOSED")


@asynccontextmanager
async def stage(peer: Peer, ip: str, other: str = "") -> AsyncIterator[Scene]:
    server = TlsSettings(certificate=peer.authority.issue(addresses=[ip]))
    settings = FlowSettings(tls=TlsSettings(ca_file=peer.authority.file))
    ways = (UDP, TCP, TLS) if peer.way is TLS else (UDP, TCP)
    async with (
        desk(ip, *ways, server_tls=server, settings=settings) as us,
        baresip_control(IP, peer.control_port) as control,
    ):
        us.do(lambda agent, now: agent.set_inbound_options(CallOptions(takes_transfers=True)))
        yield Scene(us, peer, control)


def test_calls_both_ways(peer: Peer, loopback_ip: NewIp) -> None:
    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it:
            await it.hang_up(await it.call_peer())
            call = await it.be_called()
            await it.control.order("hangup")
            assert (await it.us.ended(call)).by is Ending.REMOTE

    run_scene(scene)


@pytest.mark.parametrize("is_ours", [True, False], ids=["our call", "its call"])
def test_hold_and_resume_by_baresip(peer: Peer, loopback_ip: NewIp, *, is_ours: bool) -> None:
    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it:
            call = await (it.call_peer() if is_ours else it.be_called())
            for order, offer, answer in (("hold", "sendonly", "recvonly"), ("resume", "sendrecv", "sendrecv")):
                await it.control.order(order)
                await it.agree(call, offer, answer)
            await it.hang_up(call)

    run_scene(scene)


@pytest.mark.parametrize("is_ours", [True, False], ids=["our call", "its call"])
def test_hold_and_resume_by_us(peer: Peer, loopback_ip: NewIp, *, is_ours: bool) -> None:
    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it:
            call = await (it.call_peer() if is_ours else it.be_called())
            for version, direction, answer in ((2, "sendonly", b"a=recvonly"), (3, "sendrecv", b"a=sendrecv")):
                body = sdp(it.us.ip, direction=direction, version=version)
                it.us.do(lambda agent, now, body=body: agent.reoffer(call, body=body, now=now))
                assert answer in (await it.us.call_event(call, CallModified)).body
            await it.hang_up(call)

    run_scene(scene)


def test_digits_by_info(peer: Peer, loopback_ip: NewIp) -> None:
    """It takes them; its own go as telephone events in RTP, for this version has no other way."""

    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it:
            call = await it.call_peer()
            for key in "59":
                kind, body = make_dtmf_info(key)
                rows = (("Content-Type", kind),)
                it.us.do(lambda ua, now, b=body, r=rows: ua.request_in_call(call, "INFO", headers=r, body=b, now=now))
                assert (await it.us.call_event(call, RequestSucceeded)).status == 200
                assert (await it.control.until("CALL_DTMF_START"))["param"] == key
            await it.hang_up(call)

    run_scene(scene)


def test_a_blind_transfer_by_us(peer: Peer, loopback_ip: NewIp) -> None:
    """We ask baresip to call another of us; it tells by NOTIFY how that goes."""

    async def answer(us: Desk, offered: CallOffered) -> None:
        us.answer(offered.call)
        assert (await us.ended(offered.call)).by is Ending.REMOTE

    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it, desk(loopback_ip(), on_offered=answer) as other:
            call = await it.call_peer()
            target = f"sip:carol@{other.transport.local_of(TCP)};transport=tcp"
            it.us.do(lambda agent, now: agent.transfer(call, target, now=now))
            assert (await it.us.call_event(call, TransferAccepted)).status == 202
            assert (await it.us.call_event(call, TransferCompleted)).status == 200
            await it.us.hang_up(call)
            await it.control.order("hangup")
            await other.finish_scripts()

    run_scene(scene)


def test_a_blind_transfer_by_baresip(peer: Peer, loopback_ip: NewIp) -> None:
    async def answer(us: Desk, offered: CallOffered) -> None:
        us.answer(offered.call)
        assert (await us.ended(offered.call)).by is Ending.REMOTE

    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it, desk(loopback_ip(), on_offered=answer) as other:
            call = await it.be_called()
            local = other.transport.local_of(TCP)
            await it.control.order("transfer", f"sip:carol@{local};transport=tcp")
            asked = await it.us.call_event(call, TransferRequested)
            it.us.do(lambda agent, now: agent.accept_transfer(asked.transfer, now=now))
            new = it.us.call("", transfer=asked.transfer)
            await it.us.call_event(new, CallAnswered)
            assert (await it.us.ended(call)).by is Ending.REMOTE
            assert (await it.us.hang_up(new)).status == 200
            await other.finish_scripts()

    run_scene(scene)


def test_options_and_message(peer: Peer, loopback_ip: NewIp) -> None:
    async def scene() -> None:
        async with stage(peer, loopback_ip()) as it:
            rows = (("Content-Type", "text/plain"),)
            for method, headers, body in (("OPTIONS", (), b""), ("MESSAGE", rows, b"hello")):
                request = it.us.do(
                    lambda ua, now, m=method, h=headers, b=body: ua.request(m, peer.uri, headers=h, body=b, now=now)
                )
                ended = await it.us.request_event(request)
                assert (ended.method, ended.status) == (method, 200)
            local = it.us.transport.local_of(peer.way)
            await it.control.order("options", f"sip:alice@{local};transport={peer.way.lower()}")
            assert (await it.us.other(RequestAnswered)).method == "OPTIONS"

    run_scene(scene)
