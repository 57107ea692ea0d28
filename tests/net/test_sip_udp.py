"""A user agent on real sockets: UDP, as it always was."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from cmw.net import sip_udp
from cmw.net.ids import RandomIds
from cmw.net.sip_transport import open_sip_transport
from cmw.sip.events import CallAnswered, CallEnded, CallOffered, CallRejected
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import Listener
from cmw.sip.user_agent import UserAgent

RUNNERS = pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])


def make_agent(listeners: tuple[Listener, ...]) -> UserAgent:
    return UserAgent(listeners=listeners, ids=RandomIds())


@pytest.mark.loopback
@RUNNERS
def test_calls_over_real_sockets(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        done = asyncio.Event()
        ended: list[CallEnded] = []

        def callee(event: object) -> None:
            if isinstance(event, CallOffered):
                answering.run(lambda agent, now: agent.answer(event.call, body=b"v=0\r\n", now=now))

        def caller(event: object) -> None:
            if isinstance(event, CallAnswered):
                calling.run(lambda agent, now: agent.hang_up(event.call, now=now))
            elif isinstance(event, CallEnded):
                ended.append(event)
                if len(ended) == 50:
                    done.set()

        answering = await open_sip_transport(make_agent, "127.0.0.1", 0, callee)
        calling = await open_sip_transport(make_agent, "127.0.0.1", 0, caller)
        target = f"sip:bob@{answering.local}"
        for _ in range(50):
            calling.run(lambda agent, now: agent.invite(target, body=b"v=0\r\n", now=now))
        await asyncio.wait_for(done.wait(), 20)
        calling.close()
        answering.close()
        assert [event.status for event in ended] == [200] * 50

    run(scene())


@pytest.mark.loopback
@RUNNERS
def test_a_port_where_nobody_listens_is_known_without_waiting(run: Callable[[Any], None]) -> None:
    async def scene() -> None:
        rejected: asyncio.Queue[object] = asyncio.Queue()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            port = gone.getsockname()[1]
        listener = await open_sip_transport(make_agent, "127.0.0.1", 0, rejected.put_nowait)
        for _ in range(2):
            listener.run(lambda agent, now: agent.invite(f"sip:bob@127.0.0.1:{port}", body=b"v=0\r\n", now=now))
            event = await asyncio.wait_for(rejected.get(), 20)
            assert isinstance(event, CallRejected)
            assert (event.status, event.is_response, event.reason) == (503, False, "Connection refused")
        listener.close()

    run(scene())


@pytest.mark.loopback
@RUNNERS
def test_errors_do_not_make_a_listener_deaf(run: Callable[[Any], None]) -> None:
    """Calls to a port where nobody listens, among calls that are answered."""

    async def scene() -> None:
        ends: asyncio.Queue[object] = asyncio.Queue()

        def callee(event: object) -> None:
            if isinstance(event, CallOffered):
                answering.run(lambda agent, now: agent.reject(event.call, status=486, now=now))

        def caller(event: object) -> None:
            if isinstance(event, CallRejected):
                ends.put_nowait(event.status)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            nobody = gone.getsockname()[1]
        answering = await open_sip_transport(make_agent, "127.0.0.1", 0, callee)
        calling = await open_sip_transport(make_agent, "127.0.0.1", 0, caller)
        for number in range(200):
            port = nobody if number % 2 else answering.local.port
            calling.run(lambda agent, now, port=port: agent.invite(f"sip:b@127.0.0.1:{port}", body=b"", now=now))  # type: ignore[misc]
            if number % 5 == 0:
                await asyncio.sleep(0)
        statuses = [await asyncio.wait_for(ends.get(), 20) for _ in range(200)]
        assert sorted(statuses) == [486] * 100 + [503] * 100  # type: ignore[type-var]
        calling.close()
        answering.close()

    run(scene())


@pytest.mark.loopback
def test_a_machine_that_cannot_be_made_leaves_no_socket() -> None:
    async def scene() -> None:
        def refuse(listeners: tuple[Listener, ...]) -> UserAgent:
            raise ValueError(listeners[0].local.port)

        with pytest.raises(ValueError) as caught:
            await open_sip_transport(refuse, "127.0.0.1", 0, print)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", caught.value.args[0]))

    uvloop.run(scene())


@pytest.mark.loopback
def test_what_waits_for_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A socket whose buffer never has room."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

        def sendto(self, *_: object) -> int:
            raise BlockingIOError

    async def scene() -> None:
        monkeypatch.setattr(sip_udp, "MAX_UNSENT", 3)
        agent = await open_sip_transport(make_agent, "127.0.0.1", 0, lambda event: None)
        (carrier,) = {each for each in agent._carriers.values() if isinstance(each, sip_udp.UdpSocket)}
        carrier._sock = Full(carrier._sock)  # type: ignore[assignment]
        for _ in range(5):
            carrier.send(Datagram(b"x", Hop("127.0.0.1", 9)))
        assert agent.counts.unsent_datagrams == 2
        agent.close()

    asyncio.run(scene())


@pytest.mark.loopback
def test_what_the_kernel_has_no_room_for_is_counted(loopback_ip: Callable[[], str]) -> None:
    async def scene() -> None:
        agent = await open_sip_transport(make_agent, loopback_ip(), 0, lambda event: None)
        (carrier,) = {each for each in agent._carriers.values() if isinstance(each, sip_udp.UdpSocket)}
        carrier._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(200):  # and nobody reads meanwhile: the loop has no turn
                stranger.sendto(b"x" * 1000, tuple(agent.local))
        assert 0 < agent.kernel_drops < 200
        agent.close()

    asyncio.run(scene())
