"""All SIP connections of one driver: dialled when something is to be sent, taken when somebody connects.

A connection is found by its number (`Hop.flow` above 0: answers, requests to who registered over it) or by the hop that
asks for it. Hops with the flow 0 share one connection to an address; a negative flow is a connection of its own that
its sender chose the number of, so that each endpoint can have one as a telephone has (RFC 5626). In either case the
`server_name` counts: who was checked for one domain is not trusted for another.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from cmw.core.address import Address
from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.net.driver import Driver
from cmw.net.sip_flow import Flow, FlowEnd, Framing
from cmw.net.sip_liveness import FlowLimits, Liveness
from cmw.net.sip_tls import TlsSettings, check_identity, client_context, tls_fault
from cmw.net.sip_websocket import WebSocketStream
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.stream import MessageStream

ACCEPT_BATCH: Final = 64
"""Connections taken before the loop gets its turn again."""

DESCRIPTORS_PAUSE_S: Final = 0.2
"""How long nothing is accepted after the process ran out of descriptors."""

FAREWELL_S: Final = 5.0
"""How long what was written may take to go out after the end, and TLS to say goodbye."""

_WEB = (Transport.WS, Transport.WSS)
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # linux/in.h: the port is chosen with the destination, so there are more of them


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """How connections are opened and bounded.

    Args:
        tls: of connections that we open.
        limits: times and sizes.
        websocket_path: what a WebSocket server is asked for.
        websocket_origin: value of Origin, "" for none.
    """

    tls: TlsSettings = field(default_factory=TlsSettings)
    limits: FlowLimits = field(default_factory=FlowLimits)
    websocket_path: str = "/"
    websocket_origin: str = ""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How one server is connected to that is not as all others are.

    Args:
        tls: authorities, our certificate, whether it is checked.
        name: name that its certificate has to show, and that is asked for in SNI; its own when "".
        websocket_path: what it is asked for as a WebSocket server.
    """

    tls: TlsSettings = field(default_factory=TlsSettings)
    name: str = ""
    websocket_path: str = "/"


class SipFlows:
    """Carry the messages of a driver over connections.

    Args:
        loop: the event loop.
        driver: whose messages.
        settings: how.
        ids: draws the intervals of keep-alives.
        local_hosts: literal addresses to connect from, at most one of each family; any when there is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        driver: Driver[Any],
        settings: FlowSettings,
        ids: Ids,
        local_hosts: tuple[str, ...] = (),
    ) -> None:
        self.clock: Callable[[], Nanos] = driver.clock
        self.ends: Counter[FlowEnd] = Counter()
        """How many connections ended, by why."""
        self.opened_total = 0
        self._loop = loop
        self._driver = driver
        self._settings = settings
        self._ids = ids
        self._local_hosts = local_hosts
        self._usual = ServerSettings(settings.tls, "", settings.websocket_path)
        self._servers: dict[str, ServerSettings] = {}
        self._contexts: dict[tuple[Transport, TlsSettings], ssl.SSLContext] = {}
        self._by_number: dict[int, Flow] = {}
        self._by_key: dict[Hop, Flow] = {}
        self._inbound: Counter[str] = Counter()
        self._last_number = 0
        self._heap: DeadlineHeap[Flow] = DeadlineHeap()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanos = 0
        self._listeners: list[_Listener] = []
        self._accepting: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many connections there are, those being opened among them."""
        return len(self._by_number)

    # the carrier

    def send(self, datagram: Datagram) -> None:
        """Send a message over the connection that it asks for, opening it if need be."""
        hop = datagram.destination
        flow = self._by_number.get(hop.flow) if hop.flow > 0 else self._by_key.get(hop)
        if flow is None:
            flow = self._open(hop)
        if flow is not None and not flow.send(datagram):
            self._driver.failed(hop, "too much waits for the connection to be opened", datagram.data)

    def read_ahead(self) -> None:
        """Leave it to the loop: nothing is sent again over a connection, so nothing is lost by waiting."""

    def close(self) -> None:
        """Close every connection and listener."""
        if self._is_closed:
            return
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        for task in self._accepting:
            task.cancel()
        for flow in list(self._by_number.values()):
            flow.end(FlowEnd.CLOSED_HERE, "closed here")
        if self._timer is not None:
            self._timer.cancel()

    def listen(self, sock: socket.socket, transport: Transport, context: ssl.SSLContext | None = None) -> None:
        """Take connections from a listening, non-blocking socket, which is closed by `close`.

        Args:
            context: of a listener for TLS or WSS.
        """
        self._listeners.append(_Listener(self._loop, sock, partial(self._accept, transport, context)))

    def end(self, number: int, reason: str = "closed here") -> None:
        """Close one connection, if it is there; the machine hears of it."""
        flow = self._by_number.get(number)
        if flow is not None:
            flow.end(FlowEnd.CLOSED_HERE, reason)
            self._driver.drain()

    def keep_alive(self, number: int, span_ns: Nanos) -> None:
        """Ping over one connection that we opened, if it is there, at least so often. Source: RFC 5626 4.4.1."""
        flow = self._by_number.get(number)
        if flow is not None and flow.is_outbound:
            flow.liveness.be_heard_within(span_ns)
            self.flow_changed(flow)

    # servers

    def set_server(self, host: str, settings: ServerSettings | None) -> None:
        """Say how a server is connected to from now on; connections that stand are closed.

        Args:
            host: name or literal address, in lower case; a name counts for all addresses that it leads to.
            settings: None for the same as all others.
        """
        before = self._servers.pop(host, None)
        if settings is not None:
            self._servers[host] = settings
        if before is not None:
            for transport in (Transport.TLS, Transport.WSS):
                self._contexts.pop((transport, before.tls), None)
        for flow in list(self._by_number.values()):
            if (
                flow.is_outbound
                and _host_of(flow.key) == host
                and flow.key.transport not in (Transport.UDP, Transport.TCP)
            ):
                flow.end(FlowEnd.CLOSED_HERE, "how the server is connected to has changed")
        self._driver.drain()

    def client_context(self, transport: Transport, tls: TlsSettings) -> ssl.SSLContext | None:
        """Return the context of connections that we open; made once.

        Raises:
            SettingsError: a file cannot be read or does not hold what it should.
        """
        if not transport.is_secure:
            return None
        context = self._contexts.get((transport, tls))
        if context is None:
            context = client_context(tls, checks_host=transport is Transport.WSS)
            self._contexts[transport, tls] = context
        return context

    def _server_of(self, hop: Hop) -> ServerSettings:
        if not self._servers:
            return self._usual
        return self._servers.get(_host_of(hop), self._usual)

    # what connections tell

    def flow_connected(self, flow: Flow) -> str:
        """Check who answered. Source: RFC 5922 7.3."""
        server = self._server_of(flow.key)
        if flow.key.transport is not Transport.TLS or not flow.is_outbound or not server.tls.is_verified:
            return ""
        fault = check_identity(flow.peer_certificate(), server.name or flow.key.server_name or flow.key.host)
        return f"TLS certificate refused: {fault}" if fault else ""

    def flow_opened(self, flow: Flow) -> None:
        """Count it, and wake it from now on."""
        self.opened_total += 1
        self.flow_changed(flow)

    def flow_received(self, flow: Flow, message: bytes) -> None:
        """Hand a message to the machine."""
        self._driver.receive(message, flow.source)

    def flow_sent(self, datagram: Datagram) -> None:
        """Note what went out."""
        self._driver.sent(datagram)

    def flow_changed(self, flow: Flow) -> None:
        """Wake it when it wants to be."""
        if flow.is_ended:
            return
        at = flow.liveness.next_timeout()
        self._heap.set(flow, None if at is None else Deadline(at, "connection"))
        self._arm()

    def flow_ended(self, flow: Flow, end: FlowEnd, reason: str) -> None:
        """Forget a connection, and let the machine know."""
        del self._by_number[flow.number]
        if self._by_key.get(flow.key) is flow:
            del self._by_key[flow.key]
        if not flow.is_outbound:
            self._release(flow.key.host)
        self._heap.set(flow, None)
        self.ends[end] += 1
        if self._is_closed:
            return
        if flow.was_open:
            self._driver.lost(flow.number, flow.key, reason)
        elif flow.is_outbound:
            self._driver.failed(flow.key, reason)

    def flow_drained(self) -> None:
        """Let the machine go on."""
        self._driver.drain()

    def abort_later(self, transport: asyncio.WriteTransport) -> None:
        """Cut what is being closed if its last bytes are not taken in time."""
        if transport.get_write_buffer_size():
            self._loop.call_later(FAREWELL_S, transport.abort)

    # opening

    def _open(self, hop: Hop) -> Flow | None:
        """Return a connection that is being opened; None, and a failure for the machine, when it cannot be."""
        if hop.flow > 0:
            self._driver.failed(hop, "the connection is gone")
            return None
        try:
            context = self.client_context(hop.transport, self._server_of(hop).tls)
        except Exception as error:
            self._driver.failed(hop, str(error))
            return None
        flow = self._add(hop, self._client_framing(hop), is_outbound=True)
        self._by_key[hop] = flow
        flow.dialled_by(self._loop.create_task(self._dial(flow, context)))
        return flow

    async def _dial(self, flow: Flow, context: ssl.SSLContext | None) -> None:
        hop = flow.key
        sock = socket.socket(socket.AF_INET6 if ":" in hop.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._prepare(sock, hop)
            await self._loop.sock_connect(sock, (hop.host, hop.port))
        except OSError as error:
            sock.close()
            self._end_dial(flow, FlowEnd.CONNECT_FAILED, os.strerror(error.errno) if error.errno else str(error))
            return
        except BaseException:
            sock.close()
            raise
        if context is None:
            await self._loop.create_connection(lambda: flow, sock=sock)
            return
        asked = self._server_of(hop).name or hop.server_name
        name = asked or hop.host
        sni = name if hop.transport is Transport.WSS else asked
        try:
            await self._loop.create_connection(
                lambda: flow, sock=sock, ssl=context, server_hostname=sni, ssl_shutdown_timeout=FAREWELL_S
            )
        except OSError as error:
            self._end_dial(flow, FlowEnd.TLS_FAILED, tls_fault(error, name))

    def _end_dial(self, flow: Flow, end: FlowEnd, reason: str) -> None:
        flow.end(end, reason)
        self._driver.drain()

    def _prepare(self, sock: socket.socket, hop: Hop) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _bound_silence(sock, self._settings.limits)
        for host in self._local_hosts:
            if (":" in host) == (":" in hop.host):
                if ":" not in host:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((host, 0))

    def _client_framing(self, hop: Hop) -> Framing:
        if hop.transport not in _WEB:
            return MessageStream()
        name = hop.server_name or (f"[{hop.host}]" if ":" in hop.host else hop.host)
        host = name if hop.port == hop.transport.default_port else f"{name}:{hop.port}"
        path = self._server_of(hop).websocket_path
        return WebSocketStream.client(host=host, path=path, origin=self._settings.websocket_origin)

    def _add(self, key: Hop, framing: Framing, *, is_outbound: bool) -> Flow:
        limits = self._settings.limits
        self._last_number += 1
        liveness = Liveness(
            limits,
            is_outbound=is_outbound,
            must_pong=key.transport in _WEB,
            unit=self._ids.unit(),
            now=self.clock(),
        )
        flow = Flow(
            self,
            self._last_number,
            key,
            is_outbound=is_outbound,
            framing=framing,
            liveness=liveness,
            waiting_bytes=limits.waiting_bytes,
            unsent_bytes=limits.unsent_bytes,
        )
        self._by_number[flow.number] = flow
        self.flow_changed(flow)
        return flow

    # taking

    def _accept(self, transport: Transport, context: ssl.SSLContext | None, sock: socket.socket, peer: Address) -> None:
        refusal = self._refusal(peer.host)
        if refusal is not None:
            self.ends[refusal] += 1
            sock.close()
            return
        self._inbound[peer.host] += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _bound_silence(sock, self._settings.limits)
        task = self._loop.create_task(self._take(Hop(peer.host, peer.port, transport), context, sock))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _refusal(self, host: str) -> FlowEnd | None:
        limits = self._settings.limits
        if self._inbound.total() >= limits.inbound:
            return FlowEnd.TOO_MANY
        return FlowEnd.TOO_MANY_FROM_ADDRESS if self._inbound[host] >= limits.inbound_per_address else None

    async def _take(self, key: Hop, context: ssl.SSLContext | None, sock: socket.socket) -> None:
        """Shake hands with whoever connected; a failure counts, and concerns nobody else."""
        made: list[Flow] = []

        def make() -> Flow:
            framing = WebSocketStream.server() if key.transport in _WEB else MessageStream()
            made.append(self._add(key, framing, is_outbound=False))
            if not key.transport.is_secure:  # RFC 3261 18: a connection is known by its other end
                self._by_key.setdefault(key, made[0])
            return made[0]

        handshake = {} if context is None else {"ssl_handshake_timeout": self._settings.limits.connect_ns / SECOND}
        shutdown = {} if context is None else {"ssl_shutdown_timeout": FAREWELL_S}
        try:
            await self._loop.connect_accepted_socket(make, sock, ssl=context, **handshake, **shutdown)
        except (OSError, asyncio.CancelledError) as error:
            sock.close()
            if not made:
                self._release(key.host)
            elif not made[0].is_ended:
                made[0].end(FlowEnd.TLS_FAILED, str(error))
                return
            self.ends[FlowEnd.TLS_FAILED] += not made

    def _release(self, host: str) -> None:
        self._inbound[host] -= 1
        if self._inbound[host] <= 0:
            del self._inbound[host]

    # timers

    def _arm(self) -> None:
        soonest = self._heap.soonest()
        if soonest is None or self._is_closed:
            return
        if self._timer is not None:
            if self._timer_at <= soonest.at:
                return
            self._timer.cancel()
        self._timer_at = soonest.at
        self._timer = self._loop.call_later(max(0, soonest.at - self.clock()) / SECOND, self._wake)

    def _wake(self) -> None:
        self._timer = None
        for flow in list(self._heap.expired(self.clock())):
            flow.wake()
            self.flow_changed(flow)
        self._driver.drain()
        self._arm()


def _host_of(hop: Hop) -> str:
    return (hop.server_name or hop.host).lower()


class _Listener:
    """One listening socket.

    Connections are accepted by hand, and not by the loop, so that a bound counts before a TLS handshake is paid for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        take: Callable[[socket.socket, Address], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._take = take
        self._pause: asyncio.TimerHandle | None = None
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Take nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(self._sock)
                    self._pause = self._loop.call_later(DESCRIPTORS_PAUSE_S, self._resume)
                    return
                continue  # it was gone before it was taken
            sock.setblocking(False)
            self._take(sock, Address(*address[:2]))

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._readable)


def _bound_silence(sock: socket.socket, limits: FlowLimits) -> None:
    """Let the kernel give up on a peer that acknowledges nothing. Source: RFC 5482."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.stall_ns // 1_000_000)
