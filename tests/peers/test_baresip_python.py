"""Calls with the `baresip-python` package over UDP, TCP and TLS: hold, transfer and digits from either side."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from cmw.net.sip_flows import FlowSettings
from cmw.net.sip_tls import TlsSettings
from cmw.sip.call_options import CallOptions
from cmw.sip.dtmf_info import make_dtmf_info, read_dtmf_info
from cmw.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallModified,
    CallOffered,
    CallReoffered,
    CallReplaced,
    Ending,
    InfoReceived,
    RequestSucceeded,
    TransferAccepted,
    TransferCompleted,
    TransferRequested,
)
from cmw.sip.hop import Transport
from tests.support.baresip_agent import IP, BaresipAgent, baresip_agent
from tests.support.certificates import Authority
from tests.support.desk import Desk, desk, run_scene, sdp
from tests.support.phone import TCP, TLS, UDP

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(find_spec("baresip") is None, reason="not installed: baresip-python (pip install .[dev])"),
]

NewIp = Callable[[], str]
_ports = itertools.count(16100 + os.getpid() % 60 * 100, 2)


class Scene(NamedTuple):
    """Us and one or two agents of the other kind."""

    us: Desk
    agents: list[BaresipAgent]
    way: Transport
    ports: list[int]

    @property
    def our_uri(self) -> str:
        """Return where the agents call us."""
        return f"sip:alice@{self.us.transport.local_of(self.way)};transport={self.way.lower()}"

    def uri(self, number: int = 0) -> str:
        """Return where we, or another agent, call an agent."""
        port = self.ports[number] + (self.way is TLS)
        return f"sip:bob@{IP}:{port};transport={self.way.lower()}"

    async def call_agent(self, number: int = 0) -> tuple[int, int]:
        """Call an agent that answers; return our handle and its own."""
        call = self.us.call(self.uri(number))
        theirs = await self.agents[number].until("NEW_incoming")
        await self.agents[number].ask("answer", call=theirs["call"])
        await self.us.answered(call)
        await self.agents[number].until("CALL_ESTABLISHED", theirs["call"])
        return call, theirs["call"]

    async def be_called(self, number: int = 0) -> tuple[int, int]:
        """Be called by an agent, and answer; return our handle and its own."""
        theirs = await self.agents[number].ask("dial", uri=self.our_uri)
        offered: CallOffered = await asyncio.wait_for(self.us.offered.get(), 20)
        self.us.answer(offered.call)
        await self.us.call_event(offered.call, CallConfirmed)
        await self.agents[number].until("CALL_ESTABLISHED", theirs)
        return offered.call, theirs


@pytest.fixture(params=[UDP, TCP, TLS])
def stage(request: pytest.FixtureRequest, tmp_path: Path, loopback_ip: NewIp) -> Callable[..., object]:
    """Return a context manager that starts agents and us on one transport."""
    way: Transport = request.param
    authority = Authority(tmp_path)

    @asynccontextmanager
    async def start(agents: int = 1) -> AsyncIterator[Scene]:
        ip, ports = loopback_ip(), [next(_ports) for _ in range(agents)]
        server = TlsSettings(certificate=authority.issue(addresses=[ip]))
        settings = FlowSettings(tls=TlsSettings(ca_file=authority.file))
        ways = (UDP, TCP, TLS) if way is TLS else (UDP, TCP)
        async with desk(ip, *ways, server_tls=server, settings=settings) as us:
            us.do(lambda agent, now: agent.set_inbound_options(CallOptions(takes_transfers=True)))
            started = []
            for port in ports:
                certificate = authority.issue(addresses=[IP])
                more = f"sip_certificate {certificate}\nsip_cafile {authority.file}"
                started.append(baresip_agent(port, transport=way.lower(), more=more))
            running = [await each.__aenter__() for each in started]
            try:
                yield Scene(us, running, way, ports)
            finally:
                for each in started:
                    await each.__aexit__(None, None, None)

    return start


def test_calls_both_ways(stage: Callable[..., object]) -> None:
    async def scene() -> None:
        async with stage() as it:
            call, theirs = await it.call_agent()
            assert (await it.us.hang_up(call)).status == 200
            await it.agents[0].until("CALL_CLOSED", theirs)
            call, theirs = await it.be_called()
            await it.agents[0].ask("hangup", call=theirs)
            assert (await it.us.ended(call)).by is Ending.REMOTE

    run_scene(scene)


async def agree(us: Desk, call: int, direction: str) -> CallReoffered:
    """Agree to the next change that an agent asks for."""
    reoffer = await us.call_event(call, CallReoffered)
    body = sdp(us.ip, direction=direction, version=2)
    us.do(lambda agent, now: agent.answer_reoffer(call, body=body, now=now))
    return reoffer


async def agree_until(us: Desk, call: int, offer: str, answer: str) -> None:
    """Agree to what an agent asks for until it asks for `offer`: it may say the same again before it resumes."""
    while f"a={offer}".encode() not in (await agree(us, call, answer)).body:
        pass


@pytest.mark.parametrize("is_ours", [True, False], ids=["our call", "its call"])
def test_hold_and_resume_by_the_agent(stage: Callable[..., object], *, is_ours: bool) -> None:
    async def scene() -> None:
        async with stage() as it:
            us, agent = it.us, it.agents[0]
            call, theirs = await (it.call_agent() if is_ours else it.be_called())
            await asyncio.gather(agree_until(us, call, "sendonly", "recvonly"), agent.ask("hold", call=theirs))
            await asyncio.gather(agree_until(us, call, "sendrecv", "sendrecv"), agent.ask("resume", call=theirs))
            assert (await us.hang_up(call)).status == 200

    run_scene(scene)


@pytest.mark.parametrize("is_ours", [True, False], ids=["our call", "its call"])
def test_hold_and_resume_by_us(stage: Callable[..., object], *, is_ours: bool) -> None:
    async def scene() -> None:
        async with stage() as it:
            us, agent = it.us, it.agents[0]
            call, theirs = await (it.call_agent() if is_ours else it.be_called())
            steps = ((2, "sendonly", b"a=recvonly", "CALL_HOLD"), (3, "sendrecv", b"a=sendrecv", "CALL_RESUME"))
            for version, direction, answer, told in steps:
                body = sdp(us.ip, direction=direction, version=version)
                us.do(lambda ua, now, body=body: ua.reoffer(call, body=body, now=now))
                assert answer in (await us.call_event(call, CallModified)).body
                await agent.until(told, theirs)
            await agent.ask("hangup", call=theirs)
            assert (await us.ended(call)).by is Ending.REMOTE

    run_scene(scene)


def test_digits_by_info_both_ways(stage: Callable[..., object]) -> None:
    """It sends application/dtmf-relay, a body for each digit that is pressed and none when it is let go."""

    async def scene() -> None:
        async with stage() as it:
            us, agent = it.us, it.agents[0]
            call, theirs = await it.call_agent()
            await agent.ask("send_dtmf", call=theirs, digits="5#")
            heard = ""
            while len(heard) < 2:
                info = await us.call_event(call, InfoReceived)
                digit = read_dtmf_info(info.content_type, info.body)
                heard += digit.digit if digit is not None else ""
            assert heard == "5#"
            for key in "9*":
                kind, body = make_dtmf_info(key)
                rows = (("Content-Type", kind),)
                us.do(lambda ua, now, b=body, r=rows: ua.request_in_call(call, "INFO", headers=r, body=b, now=now))
                assert (await us.call_event(call, RequestSucceeded)).status == 200
                assert (await agent.until("DIGIT", theirs))["text"] == key
            assert (await us.hang_up(call)).status == 200

    run_scene(scene)


async def accept(it: Scene, number: int, call: int) -> None:
    """Let an agent carry out the transfer that it is asked for."""
    await it.agents[number].until("CALL_TRANSFER", call)
    await it.agents[number].ask("accept_transfer", call=call)


async def answer_new(it: Scene, number: int) -> int:
    """Let an agent answer the call that comes in; return its handle."""
    handle: int = (await it.agents[number].until("NEW_incoming"))["call"]
    await it.agents[number].ask("answer", call=handle)
    return handle


def test_a_blind_transfer_by_us(stage: Callable[..., object]) -> None:
    async def scene() -> None:
        async with stage(agents=2) as it:
            us = it.us
            call, theirs = await it.call_agent(0)
            us.do(lambda ua, now: ua.transfer(call, it.uri(1), now=now))
            await accept(it, 0, theirs)
            assert (await us.call_event(call, TransferAccepted)).status == 202
            await answer_new(it, 1)
            assert (await us.call_event(call, TransferCompleted)).status == 200
            assert (await us.hang_up(call)).status == 200

    run_scene(scene)


def test_a_blind_transfer_that_the_agent_refuses(stage: Callable[..., object]) -> None:
    """Its REFER handling always says 202 first; the refusal comes by NOTIFY."""

    async def scene() -> None:
        async with stage() as it:
            us = it.us
            call, theirs = await it.be_called()
            us.do(lambda ua, now: ua.transfer(call, "sip:carol@192.0.2.1", now=now))
            await it.agents[0].until("CALL_TRANSFER", theirs)
            await it.agents[0].ask("reject_transfer", call=theirs, status=603)
            assert (await us.call_event(call, TransferCompleted)).status == 603
            assert (await us.hang_up(call)).status == 200

    run_scene(scene)


async def carry_out(it: Scene, call: int) -> int:
    """Carry out the transfer that an agent asks us for; return our new call."""
    us = it.us
    asked = await us.call_event(call, TransferRequested)
    us.do(lambda ua, now: ua.accept_transfer(asked.transfer, now=now))
    new = us.call("", transfer=asked.transfer)
    await us.call_event(new, CallAnswered)
    return new


def test_a_blind_transfer_by_the_agent(stage: Callable[..., object]) -> None:
    """It writes Refer-To without angle brackets, so that ``;transport=tcp`` is the header's by RFC 3261 20."""

    async def scene() -> None:
        async with stage(agents=2) as it:
            us = it.us
            call, theirs = await it.be_called(0)
            asking = it.agents[0].ask("transfer", call=theirs, uri=it.uri(1))
            new, _, _ = await asyncio.gather(carry_out(it, call), answer_new(it, 1), asking)
            assert (await us.ended(call)).by is Ending.REMOTE
            assert (await us.hang_up(new)).status == 200

    run_scene(scene)


def test_an_attended_transfer_by_us(stage: Callable[..., object]) -> None:
    """One releases our call with it and rings for the one in its place, the other holds its call with us."""

    async def scene() -> None:
        async with stage(agents=2) as it:
            us = it.us
            call, theirs = await it.call_agent(0)
            consult, _ = await it.call_agent(1)
            us.do(lambda ua, now: ua.transfer(call, replaces_call=consult, now=now))
            await asyncio.gather(accept(it, 0, theirs), answer_new(it, 1), agree(us, call, "recvonly"))
            assert (await us.call_event(call, TransferCompleted)).status == 200
            assert (await us.ended(consult)).by is Ending.REMOTE
            assert (await us.hang_up(call)).status == 200

    run_scene(scene)


def test_an_attended_transfer_by_the_agent(stage: Callable[..., object]) -> None:
    """We are told to take the place of its consultation call; it holds both calls first.

    The agent whose call is replaced rings again, although RFC 3891 3 wants it to accept at once.
    """

    async def scene() -> None:
        async with stage(agents=2) as it:
            us = it.us
            call, theirs = await it.be_called(0)
            consult = await it.agents[0].ask("dial", uri=it.uri(1))
            await answer_new(it, 1)
            await it.agents[0].until("CALL_ESTABLISHED", consult)

            async def follow() -> int:
                await agree(us, call, "recvonly")
                return await carry_out(it, call)

            asking = it.agents[0].ask("attended_transfer", call=theirs, consult=consult)
            new, _, _ = await asyncio.gather(follow(), answer_new(it, 1), asking)
            assert (await us.ended(call)).by is Ending.REMOTE
            assert (await us.hang_up(new)).status == 200

    run_scene(scene)


def test_our_call_is_replaced(stage: Callable[..., object]) -> None:
    """We are the consultation call: the other agent takes its place."""

    async def scene() -> None:
        async with stage(agents=2) as it:
            us = it.us
            main = await it.agents[0].ask("dial", uri=it.uri(1))
            at_other = await answer_new(it, 1)
            await it.agents[0].until("CALL_ESTABLISHED", main)
            call, theirs = await it.be_called(0)

            async def follow() -> int:
                await agree(us, call, "recvonly")
                offered: CallOffered = await asyncio.wait_for(us.offered.get(), 20)
                assert offered.replaces == call
                us.answer(offered.call)
                await us.call_event(offered.call, CallConfirmed)
                return offered.call

            asking = it.agents[0].ask("attended_transfer", call=main, consult=theirs)
            new, _, _ = await asyncio.gather(follow(), asking, accept(it, 1, at_other))
            await us.call_event(call, CallReplaced)
            assert (await us.hang_up(new)).status == 200

    run_scene(scene)
