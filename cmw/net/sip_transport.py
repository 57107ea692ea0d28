"""One SIP machine on all its transports: a UDP socket, listeners, connections opened as needed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cmw.core.address import Address, PortRange
from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.net.clock import monotonic_ns
from cmw.net.driver import Driver, Locate, MachineT, Trace
from cmw.net.ids import RandomIds
from cmw.net.sip_bind import Bind, bind_sip
from cmw.net.sip_flows import FlowSettings, SipFlows
from cmw.net.sip_tls import TlsSettings, server_context
from cmw.net.sip_udp import UdpSocket
from cmw.net.udp import local_address
from cmw.sip.hop import Transport
from cmw.sip.listener import Listener

STREAMS = (Transport.TCP, Transport.TLS, Transport.WS, Transport.WSS)
UDP_AND_TCP = (Transport.UDP, Transport.TCP)

MakeMachine = Callable[[tuple[Listener, ...]], MachineT]
"""Makes the machine for the listeners that were bound."""


class SipTransport(Driver[MachineT]):
    """Run a machine on its transports; made by `open_sip_transport`.

    Args:
        loop: the event loop.
        machine: the machine.
        on_event: takes each event, in order.
        listeners: what the machine was made with.
        settings: of connections.
        ids: source of randomness.
        trace: sees every message.
        locate: answers the lookups of the machine.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: MachineT,
        on_event: Callable[[Any], None],
        *,
        listeners: Sequence[Listener] = (),
        settings: FlowSettings | None = None,
        ids: Ids | None = None,
        trace: Trace | None = None,
        locate: Locate | None = None,
        clock: Callable[[], Nanos] = monotonic_ns,
    ) -> None:
        super().__init__(loop, machine, on_event, trace=trace, locate=locate, clock=clock)
        self.listeners = tuple(listeners)
        hosts = dict.fromkeys(each.local.host for each in listeners if not _is_any(each.local.host))
        self.flows = SipFlows(loop, self, settings or FlowSettings(), ids or RandomIds(), tuple(hosts))
        self.add_carrier(self.flows, STREAMS)
        self._sockets: list[UdpSocket] = []

    @property
    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped because we were too slow to read them."""
        return sum(each.kernel_drops for each in self._sockets)

    @property
    def local(self) -> Address:
        """Return where the first listener is."""
        return self.listeners[0].local

    def local_of(self, transport: Transport) -> Address:
        """Return where we listen over `transport`. Raises `KeyError` when we do not."""
        return {each.transport: each.local for each in self.listeners}[transport]

    def use(self, transport: Transport, sock: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Take messages from a bound socket, which is closed with the rest."""
        if transport is Transport.UDP:
            self._sockets.append(UdpSocket(self._loop, sock, self))
            self.add_carrier(self._sockets[-1], (transport,))
        else:
            self.flows.listen(sock, transport, context)


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104


async def open_sip_transport(
    make_machine: MakeMachine[MachineT],
    ip: str,
    binds: int | PortRange | Iterable[Bind],
    on_event: Callable[[Any], None],
    *,
    advertised: str = "",
    clients: Iterable[Transport] = (),
    server_tls: TlsSettings | None = None,
    settings: FlowSettings | None = None,
    ids: Ids | None = None,
    trace: Trace | None = None,
    locate: Locate | None = None,
) -> SipTransport[MachineT]:
    """Bind the sockets, make the machine for their addresses, and run it on the running loop.

    Args:
        make_machine: called with the listeners, those of `clients` among them.
        ip: literal address to bind, and to connect from.
        binds: what to listen on; ports alone stand for UDP and TCP on the same one.
        on_event: takes each event of the machine.
        advertised: host that peers reach us at, when that is another one.
        clients: transports that we connect by and do not listen on.
        server_tls: certificate of the listeners for TLS and WSS.
        settings: of connections, those that we open by TLS among them.
        ids: source of randomness.
        trace: sees every message.
        locate: answers the lookups of the machine.

    Raises:
        CapacityError: no port is free.
        OSError: the address or port may not be used.
        SettingsError: the certificate cannot be used.
    """
    wanted = [Bind(UDP_AND_TCP, binds)] if isinstance(binds, (int, PortRange)) else list(binds)
    is_secure = any(transport.is_secure for bind in wanted for transport in bind.transports)
    context = server_context(server_tls or TlsSettings()) if is_secure else None
    sockets: dict[Transport, socket.socket] = {}
    try:
        for bind in wanted:
            sockets |= bind_sip(ip, bind)
        listeners = _listeners(ip, sockets, clients, advertised)
        transport = SipTransport(
            asyncio.get_running_loop(),
            make_machine(listeners),
            on_event,
            listeners=listeners,
            settings=settings,
            ids=ids,
            trace=trace,
            locate=locate,
        )
    except BaseException:
        for sock in sockets.values():
            sock.close()
        raise
    for kind, sock in sockets.items():
        transport.use(kind, sock, context if kind.is_secure else None)
    return transport


def _listeners(
    ip: str, sockets: dict[Transport, socket.socket], clients: Iterable[Transport], advertised: str
) -> tuple[Listener, ...]:
    """Return what the machine has to know; a TCP or TLS client shows a port that is bound, a WebSocket none."""
    bound = {transport: local_address(sock) for transport, sock in sockets.items()}
    fallback = bound.get(Transport.TCP) or next(iter(bound.values()), Address(ip, 0))
    for transport in clients:
        is_web = transport in (Transport.WS, Transport.WSS)
        bound.setdefault(transport, Address(ip, 0) if is_web else fallback)
    return tuple(
        Listener(transport, local, Address(advertised, local.port) if advertised and local.port else None)
        for transport, local in bound.items()
    )
