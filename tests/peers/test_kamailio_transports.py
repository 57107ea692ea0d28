"""Registrations and calls through kamailio over each of its transports, and between any two of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cmw.net.sip_flows import FlowSettings
from cmw.net.sip_tls import TlsSettings
from cmw.sip.account import Account
from cmw.sip.credentials import Credentials
from cmw.sip.events import (
    CallConfirmed,
    CallModified,
    CallOffered,
    CallRejected,
    CallReoffered,
    Ending,
    RegistrationEnded,
    RegistrationLost,
    RegistrationSucceeded,
)
from cmw.sip.hop import Transport
from cmw.sip.retry_policy import RetryPolicy
from tests.support.certificates import Authority
from tests.support.desk import Desk, desk, run_scene, sdp
from tests.support.peers import kamailio, kamailio_registrations
from tests.support.phone import TCP, TLS, UDP, WS

pytestmark = [pytest.mark.peers("kamailio"), pytest.mark.loopback]

NewIp = Callable[[], str]
CALLS = 3
OURS = (UDP, TCP, TLS, WS)
PORTS = {UDP: 5060, TCP: 5060, TLS: 5061, WS: 5080}
_users = itertools.count(1)


class Pbx(NamedTuple):
    """A running kamailio."""

    ip: str
    settings: FlowSettings

    def account(self, transport: Transport, name: str, **keywords: object) -> Account:
        """Return an account that nobody else has, whose requests go over a transport."""
        user = f"{name}{next(_users)}"
        registrar = f"sip:{self.ip}:{PORTS[transport]};transport={transport.lower()}"
        credentials = Credentials(user, f"pw-{user}")
        return Account(f"sip:{user}@{self.ip}", registrar, credentials, user, **keywords)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=[False, True], ids=["md5", "sha256"])
def pbx(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority, loopback_ip: NewIp
) -> Iterator[Pbx]:
    ip = loopback_ip()
    certificate = authority.issue(addresses=[ip])
    directory = tmp_path_factory.mktemp("kamailio")
    with kamailio(directory, 5060, "WSPORT=5080", ip=ip, certificate=certificate, sha256=request.param):
        yield Pbx(ip, FlowSettings(tls=TlsSettings(ca_file=authority.file)))


async def register(us: Desk, account: Account) -> int:
    registration: int = us.do(lambda agent, now: agent.register(account, expires_s=120, now=now))
    await us.registration_event(registration, RegistrationSucceeded)
    return registration


async def unregister(us: Desk, registration: int) -> None:
    us.do(lambda agent, now: agent.unregister(registration, now=now))
    await us.registration_event(registration, RegistrationEnded)


async def take_call(us: Desk, offered: CallOffered) -> None:
    """Ring, answer, agree to be held and resumed, and hang up."""
    us.do(lambda agent, now: agent.ring(offered.call, now=now))
    us.answer(offered.call)
    await us.call_event(offered.call, CallConfirmed)
    for version in (2, 3):
        await us.call_event(offered.call, CallReoffered)
        body = sdp(us.ip, version=version)
        us.do(lambda agent, now, body=body: agent.answer_reoffer(offered.call, body=body, now=now))
        await us.call_event(offered.call, CallModified)
    assert (await us.hang_up(offered.call)).status == 200


async def place_call(us: Desk, account: Account, uri: str) -> None:
    """Call, hold, resume, and wait for the end."""
    call = us.call(uri, account=account)
    await us.answered(call)
    for version, direction in ((2, "sendonly"), (3, "sendrecv")):
        body = sdp(us.ip, direction=direction, version=version)
        us.do(lambda agent, now, body=body: agent.reoffer(call, body=body, now=now))
        assert (await us.call_event(call, CallModified)).by is Ending.LOCAL
    assert (await us.ended(call)).by is Ending.REMOTE


async def talk(caller: Desk, calling: Account, callee: Desk, called: Account, calls: int = CALLS) -> None:
    """Let both register, call, and un-register."""
    registrations = [(callee, await register(callee, called)), (caller, await register(caller, calling))]
    await asyncio.gather(*[place_call(caller, calling, called.aor) for _ in range(calls)])
    await callee.finish_scripts()
    for party, registration in registrations:
        await unregister(party, registration)


@pytest.mark.parametrize("callee_way", OURS)
@pytest.mark.parametrize("caller_way", OURS)
def test_two_accounts_call_each_other(
    pbx: Pbx, loopback_ip: NewIp, caller_way: Transport, callee_way: Transport
) -> None:
    """kamailio writes two Record-Routes where transports differ, and says sip:...;transport=tls in that of TLS."""

    async def scene() -> None:
        async with (
            desk(loopback_ip(), settings=pbx.settings) as caller,
            desk(loopback_ip(), on_offered=take_call, settings=pbx.settings) as callee,
        ):
            await talk(caller, pbx.account(caller_way, "alice"), callee, pbx.account(callee_way, "bob"))

    before = kamailio_registrations(pbx.ip)
    run_scene(scene)
    after = kamailio_registrations(pbx.ip)
    assert (after.now, after.accepted) == (before.now, before.accepted + 4)


@pytest.mark.parametrize("way", OURS)
def test_a_wrong_password_over_every_transport(pbx: Pbx, loopback_ip: NewIp, way: Transport) -> None:
    async def scene() -> None:
        async with desk(loopback_ip(), settings=pbx.settings) as us:
            good = pbx.account(way, "mallory")
            bad = Account(good.aor, good.registrar, Credentials(good.contact_user, "guessed"), good.contact_user)
            rejected = await us.call_event(us.call(f"sip:bob@{pbx.ip}", account=bad), CallRejected)
            assert rejected.status == 407

    run_scene(scene)


@pytest.mark.parametrize("way", [UDP, TCP])
def test_every_request_of_a_call_is_challenged(tmp_path: Path, loopback_ip: NewIp, way: Transport) -> None:
    """Re-INVITE of the caller and BYE of the callee, each by the credentials of who sends it."""
    ip = loopback_ip()
    pbx = Pbx(ip, FlowSettings())

    async def scene() -> None:
        async with desk(loopback_ip()) as caller, desk(loopback_ip(), on_offered=take_call) as callee:
            await talk(caller, pbx.account(way, "alice"), callee, pbx.account(way, "bob"))

    with kamailio(tmp_path / "kamailio", 5060, "CHALLENGEALL", ip=ip):
        run_scene(scene)


@pytest.mark.parametrize("way", [UDP, TCP])
def test_service_route_and_path_through_an_edge_proxy(tmp_path: Path, loopback_ip: NewIp, way: Transport) -> None:
    ip, edge_ip = loopback_ip(), loopback_ip()

    def account(name: str) -> Account:
        user = f"{name}{next(_users)}"
        proxy = f"<sip:{edge_ip}:5060;transport={way.lower()};lr>"
        return Account(f"sip:{user}@{ip}", f"sip:{ip}", Credentials(user, f"pw-{user}"), user, routes=(proxy,))

    async def scene() -> None:
        async with desk(loopback_ip()) as caller, desk(loopback_ip(), on_offered=take_call) as callee:
            await talk(caller, account("alice"), callee, account("bob"))

    edge = f'EDGE="sip:{ip}:5060"'
    with (
        kamailio(tmp_path / "registrar", 5060, "SERVICEROUTE", ip=ip),
        kamailio(tmp_path / "edge", 5060, edge, ip=edge_ip),
    ):
        run_scene(scene)


@pytest.mark.parametrize("way", [TCP, TLS, WS])
def test_registrations_come_back_after_a_restart(
    tmp_path: Path, loopback_ip: NewIp, authority: Authority, way: Transport
) -> None:
    """kamailio forgets every binding with its connections: whoever had one registers again, and is called."""
    ip = loopback_ip()
    certificate = authority.issue(addresses=[ip])
    pbx = Pbx(ip, FlowSettings(tls=TlsSettings(ca_file=authority.file)))
    soon = RetryPolicy(base_s=0.2, base_with_others_s=0.2, maximum_s=1, reconnect_s=0.2)

    async def scene() -> None:
        async with (
            desk(loopback_ip(), settings=pbx.settings) as caller,
            desk(loopback_ip(), on_offered=take_call, settings=pbx.settings) as callee,
        ):
            accounts = [pbx.account(way, "user", retry=soon) for _ in range(5)]

            def start() -> object:
                return kamailio(tmp_path / "kamailio", 5060, "WSPORT=5080", ip=ip, certificate=certificate)

            first = await asyncio.to_thread(start)
            registrations = [await register(callee, account) for account in accounts]
            first.stop()
            for registration in registrations:
                await callee.registration_event(registration, RegistrationLost)
            second = await asyncio.to_thread(start)
            try:
                for registration in registrations:
                    await callee.registration_event(registration, RegistrationSucceeded)
                calling = pbx.account(way, "alice")
                await asyncio.gather(*[place_call(caller, calling, account.aor) for account in accounts])
                await callee.finish_scripts()
            finally:
                second.stop()

    run_scene(scene)
