"""The user agent under its real driver against programs that others wrote."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from cmw.net.ids import RandomIds
from cmw.net.sip_transport import SipTransport, open_sip_transport
from cmw.sip.account import Account
from cmw.sip.credentials import Credentials
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallRejected,
    CallTimedOut,
    RegistrationEnded,
    RegistrationFailed,
    RegistrationSucceeded,
)
from cmw.sip.listener import Listener
from cmw.sip.user_agent import UserAgent
from tests.support.peers import kamailio, sipp, sipp_counters
from tests.support.sip_party import SDP

IP = "127.0.0.1"
CALLS = 200
PATIENCE_S = 60
LAST = (CallEnded, CallRejected, CallTimedOut, CallCancelled)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((IP, 0))
        return int(sock.getsockname()[1])


async def until_bound(port: int) -> None:
    """Return once somebody has the port; sipp takes a probe for a failed call."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                try:
                    sock.bind((IP, port))
                except OSError:
                    return
            await asyncio.sleep(0.05)


class Endpoint:
    """A listener that rings and answers every call, hangs up its own once answered, and counts what happens."""

    def __init__(self) -> None:
        self.listener: SipTransport[UserAgent]
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self._changed = asyncio.Event()

    async def open(self) -> None:
        def make(listeners: tuple[Listener, ...]) -> UserAgent:
            return UserAgent(listeners=listeners, ids=RandomIds())

        self.listener = await open_sip_transport(make, IP, 0, self._take)

    async def until(self, name: str, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.counts[name] < count:
                self._changed.clear()
                await self._changed.wait()

    def _take(self, event: object) -> None:
        self.counts[type(event).__name__] += 1
        self._changed.set()
        if isinstance(event, CallOffered):
            self.listener.run(lambda agent, now: agent.ring(event.call, now=now))
            self.listener.run(lambda agent, now: agent.answer(event.call, body=SDP, now=now))
        elif isinstance(event, CallAnswered):
            self.listener.run(lambda agent, now: agent.hang_up(event.call, now=now))
        elif isinstance(event, (CallEnded, CallRejected)):
            self.statuses[event.status] += 1


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    uvloop.run(main())


@pytest.mark.peers("sipp")
def test_calls_to_sipp(tmp_path: Path) -> None:
    port = free_port()
    peer = sipp(tmp_path, "-sn", "uas", "-i", IP, "-p", str(port), "-m", str(CALLS))

    async def scene() -> None:
        endpoint = Endpoint()
        await endpoint.open()
        await until_bound(port)
        for number in range(CALLS):
            target = f"sip:service@{IP}:{port}"
            endpoint.listener.run(lambda agent, now, uri=target: agent.invite(uri, body=SDP, now=now))  # type: ignore[misc]
            if number % 10 == 0:
                await asyncio.sleep(0.02)
        await endpoint.until("CallEnded", CALLS)
        assert endpoint.statuses == {200: CALLS}
        endpoint.listener.close()

    try:
        play(scene)
        assert peer.wait() == 0
    finally:
        peer.stop()
    counters = sipp_counters(tmp_path)
    assert (counters["SuccessfulCall(C)"], counters["FailedCall(C)"]) == (str(CALLS), "0")


@pytest.mark.peers("sipp")
def test_calls_from_sipp(tmp_path: Path) -> None:
    async def scene() -> None:
        endpoint = Endpoint()
        await endpoint.open()
        words = ["-sn", "uac", str(endpoint.listener.local), "-i", IP, "-p", str(free_port())]
        peer = sipp(tmp_path, *words, "-r", "100", "-m", str(CALLS))
        try:
            await endpoint.until("CallEnded", CALLS)
            assert await asyncio.to_thread(peer.wait) == 0
        finally:
            peer.stop()
        assert endpoint.counts[CallConfirmed.__name__] == CALLS
        endpoint.listener.close()

    play(scene)
    counters = sipp_counters(tmp_path)
    assert (counters["SuccessfulCall(C)"], counters["FailedCall(C)"]) == (str(CALLS), "0")


@pytest.mark.peers("kamailio")
@pytest.mark.parametrize("sha256", [False, True], ids=["md5", "sha256"])
def test_calls_through_a_registrar_that_asks_for_passwords(tmp_path: Path, *, sha256: bool) -> None:
    port = free_port()
    peer = kamailio(tmp_path / "kamailio", port, sha256=sha256)
    users = 10

    def account(user: str, password: str = "") -> Account:
        credentials = Credentials(user, password or f"pw-{user}")
        return Account(f"sip:{user}@{IP}:{port}", f"sip:{IP}:{port}", credentials, user)

    async def scene() -> None:
        endpoint = Endpoint()
        await endpoint.open()
        run = endpoint.listener.run
        accounts = [account(f"u{number}") for number in range(users)]
        handles = [run(lambda agent, now, who=each: agent.register(who, now=now)) for each in accounts]  # type: ignore[misc]
        await endpoint.until(RegistrationSucceeded.__name__, users)
        run(lambda agent, now: agent.register(account("u99", "wrong"), now=now))
        await endpoint.until(RegistrationFailed.__name__, 1)
        for number, each in enumerate(accounts):
            target = accounts[number - 1].aor
            run(lambda agent, now, who=each, uri=target: agent.invite(uri, account=who, body=SDP, now=now))  # type: ignore[misc]
        await endpoint.until(CallEnded.__name__, 2 * users)
        assert endpoint.counts[CallAnswered.__name__] == users, "the BYE may overtake the ACK on its way"
        assert endpoint.statuses == {200: 2 * users}
        for handle in handles:
            run(lambda agent, now, handle=handle: agent.unregister(handle, now=now))  # type: ignore[misc]
        await endpoint.until(RegistrationEnded.__name__, users)
        endpoint.listener.close()

    try:
        play(scene)
    finally:
        peer.stop()
