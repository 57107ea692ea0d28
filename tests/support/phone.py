"""A user agent on real sockets, with the manners of a telephone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cmw.net.ids import RandomIds
from cmw.net.sip_bind import Bind
from cmw.net.sip_transport import SipTransport, open_sip_transport
from cmw.sip.events import CallAnswered, CallEnded, CallOffered, CallRejected
from cmw.sip.hop import Hop, Transport
from cmw.sip.listener import Listener
from cmw.sip.user_agent import UserAgent
from tests.support.sip_party import SDP

UDP, TCP, TLS, WS, WSS = Transport
ALL = (UDP, TCP, TLS, WS, WSS)
IP = "127.0.0.1"
PATIENCE_S = 20


class Phone:
    """Answers every call, hangs its own up once it is answered, and keeps what it is told."""

    transport: SipTransport[UserAgent]

    def __init__(self) -> None:
        self.seen: asyncio.Queue[Any] = asyncio.Queue()
        self.sources: list[Hop] = []
        self.placed: set[int] = set()

    def trace(self, direction: str, data: bytes, other: Hop) -> None:
        if direction == "in":
            self.sources.append(other)

    def take(self, event: object) -> None:
        run = self.transport.run
        if isinstance(event, CallOffered):
            run(lambda agent, now: agent.answer(event.call, body=SDP, now=now))
        elif isinstance(event, CallAnswered):
            run(lambda agent, now: agent.hang_up(event.call, now=now))
        self.seen.put_nowait(event)

    def call(self, uri: str, destination: Hop | None = None) -> int:
        call = self.transport.run(lambda agent, now: agent.invite(uri, body=SDP, destination=destination, now=now))
        self.placed.add(call)
        return call

    async def until(self, kind: type[Any] | tuple[type[Any], ...]) -> Any:
        while not isinstance(event := await asyncio.wait_for(self.seen.get(), PATIENCE_S), kind):
            pass
        return event

    async def outcome(self) -> Any:
        """Return the end of the next call of ours that ends."""
        while (event := await self.until((CallEnded, CallRejected))).call not in self.placed:
            pass
        return event

    def uri(self, transport: Transport) -> str:
        local = self.transport.local_of(transport)
        if transport.is_secure:
            return f"sips:bob@{local};transport={'ws' if transport is WSS else 'tcp'}"
        return f"sip:bob@{local};transport={transport.lower()}"


@asynccontextmanager
async def phone(*transports: Transport, **keywords: Any) -> AsyncIterator[Phone]:
    it = Phone()

    def make(listeners: tuple[Listener, ...]) -> UserAgent:
        return UserAgent(listeners=listeners, ids=RandomIds())

    binds = [Bind((each,), 0) for each in transports or (UDP, TCP)]
    clients = [each for each in ALL if each not in transports and each is not UDP]
    it.transport = await open_sip_transport(make, IP, binds, it.take, trace=it.trace, clients=clients, **keywords)
    try:
        yield it
    finally:
        it.transport.close()
