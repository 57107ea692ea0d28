"""A user agent on real sockets whose calls are scripted: each call's events wait until its script asks for them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop

from cmw.net.ids import RandomIds
from cmw.net.sip_bind import Bind
from cmw.net.sip_transport import SipTransport, open_sip_transport
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallEnded,
    CallOffered,
    CallRejected,
    CallTimedOut,
    DatagramDiscarded,
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
)
from cmw.sip.hop import Hop, Transport
from cmw.sip.listener import Listener
from cmw.sip.user_agent import UserAgent
from tests.support.phone import ALL, UDP

PATIENCE_S = 20
LAST = (CallEnded, CallRejected, CallTimedOut, CallCancelled)
REGISTRATION = (
    RegistrationSucceeded,
    RegistrationDelayed,
    RegistrationLost,
    RegistrationFailed,
    RegistrationEnded,
)

EventT = TypeVar("EventT")
Script = Callable[["Desk", CallOffered], Coroutine[Any, Any, None]]


def sdp(ip: str, port: int = 40000, direction: str = "sendrecv", version: int = 1) -> bytes:
    """Return an offer or answer of PCMU and PCMA at `ip`:`port`."""
    return (
        f"v=0\r\no=- 7 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\n"
        f"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na={direction}\r\n"
    ).encode()


class Desk:
    """Keeps every event for the script of its call; `on_offered`, if set, is the script of each call that comes in."""

    transport: SipTransport[UserAgent]

    def __init__(self, ip: str, on_offered: Script | None = None) -> None:
        self.ip = ip
        self.on_offered = on_offered
        self.sent: Counter[str] = Counter()
        self.discarded: list[DatagramDiscarded] = []
        self.scripts: list[asyncio.Task[None]] = []
        self.offered: asyncio.Queue[CallOffered] = asyncio.Queue()
        self.others: asyncio.Queue[Any] = asyncio.Queue()
        self._of_call: defaultdict[int, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self._kept: defaultdict[int, list[Any]] = defaultdict(list)
        self._of_registration: defaultdict[int, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self._of_request: defaultdict[int, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)

    def trace(self, direction: str, data: bytes, other: Hop) -> None:
        """Count what goes out: requests by method, responses by ``SIP/2.0``."""
        if direction == "out":
            self.sent[data.partition(b" ")[0].decode()] += 1

    def take(self, event: Any) -> None:
        """Put an event where its script waits for it."""
        if isinstance(event, DatagramDiscarded):
            self.discarded.append(event)
        elif isinstance(event, REGISTRATION):
            self._of_registration[event.registration].put_nowait(event)
        elif isinstance(event, CallOffered):
            self._offered(event)
        elif getattr(event, "call", 0):
            self._of_call[event.call].put_nowait(event)
        elif getattr(event, "request", None) is not None and isinstance(event.request, int):
            self._of_request[event.request].put_nowait(event)
        else:
            self.others.put_nowait(event)

    def _offered(self, event: CallOffered) -> None:
        if self.on_offered is None:
            self.offered.put_nowait(event)
        else:
            self.scripts.append(asyncio.get_running_loop().create_task(self.on_offered(self, event)))

    async def call_event(self, call: int, kind: type[EventT] | tuple[type[EventT], ...]) -> EventT:
        """Return the next event of a call that is of `kind`, keeping others; fail when the call ends first."""
        kept, queue = self._kept[call], self._of_call[call]
        for event in kept:
            if isinstance(event, kind):
                kept.remove(event)
                return event
        while True:
            event = await asyncio.wait_for(queue.get(), PATIENCE_S)
            if isinstance(event, kind):
                return event
            kept.append(event)
            assert not isinstance(event, LAST), f"expected {kind}, found {event} after {kept}"

    async def registration_event(self, registration: int, kind: type[EventT] | tuple[type[EventT], ...]) -> EventT:
        """Return the next event of a registration that is of `kind`, passing over others."""
        while True:
            event = await asyncio.wait_for(self._of_registration[registration].get(), PATIENCE_S)
            if isinstance(event, kind):
                return event
            assert not isinstance(event, RegistrationFailed), f"expected {kind}, found {event}"

    async def request_event(self, request: int) -> Any:
        """Return how a request outside of any call ended."""
        return await asyncio.wait_for(self._of_request[request].get(), PATIENCE_S)

    async def other(self, kind: type[EventT]) -> EventT:
        """Return the next event of `kind` that belongs to no call."""
        while not isinstance(event := await asyncio.wait_for(self.others.get(), PATIENCE_S), kind):
            pass
        return event

    async def answered(self, call: int) -> CallAnswered:
        return await self.call_event(call, CallAnswered)

    async def ended(self, call: int) -> CallEnded:
        """Return the end of a call that was not lost on the way there."""
        return await self.call_event(call, CallEnded)

    async def hang_up(self, call: int) -> CallEnded:
        """End a call with BYE and return how the peer took it."""
        self.do(lambda agent, now: agent.hang_up(call, now=now))
        return await self.ended(call)

    def do(self, command: Callable[[UserAgent, int], Any]) -> Any:
        """Give the agent a command."""
        return self.transport.run(command)

    def call(self, uri: str, **keywords: Any) -> int:
        """Place a call with an offer of ours, unless `body` says otherwise."""
        body = keywords.pop("body", sdp(self.ip))
        handle: int = self.do(lambda agent, now: agent.invite(uri, body=body, now=now, **keywords))
        return handle

    def answer(self, call: int, body: bytes | None = None) -> None:
        self.do(lambda agent, now: agent.answer(call, body=sdp(self.ip) if body is None else body, now=now))

    async def finish_scripts(self) -> None:
        """Wait for the scripts of all calls that came in; what one raises is raised here."""
        await asyncio.wait_for(asyncio.gather(*self.scripts), PATIENCE_S)


@asynccontextmanager
async def desk(
    ip: str, *transports: Transport, port: int = 5060, on_offered: Script | None = None, **keywords: Any
) -> AsyncIterator[Desk]:
    """Listen on `ip`, on one port for UDP and TCP and on the next for each of the others; send over all transports."""
    it = Desk(ip, on_offered)
    wanted = transports or (UDP, Transport.TCP)
    plain = tuple(each for each in wanted if each in (UDP, Transport.TCP))
    binds = [Bind(plain, port)] if plain else []
    others = [each for each in wanted if each not in plain]
    binds += [Bind((each,), port + number) for number, each in enumerate(others, 1)]
    clients = [each for each in ALL if each not in wanted and each is not UDP]

    def make(listeners: tuple[Listener, ...]) -> UserAgent:
        return UserAgent(listeners=listeners, ids=RandomIds())

    it.transport = await open_sip_transport(make, ip, binds, it.take, clients=clients, trace=it.trace, **keywords)
    try:
        yield it
    finally:
        it.transport.close()
        for script in it.scripts:
            script.cancel()


def run_scene(scene: Callable[[], Coroutine[Any, Any, None]], seconds: float = 60) -> None:
    """Run a scene on the loop that the product runs on, for so long at most."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await scene()

    uvloop.run(bounded())
