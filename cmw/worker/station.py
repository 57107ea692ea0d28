"""What all endpoints of one process share: a SIP listener, the media engine, the ports and the prepared sounds."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from cmw import __version__
from cmw.core.address import Address, PortRange
from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.errors import CommandError, LocalProtocolError, SettingsError
from cmw.net.dns import DnsClient
from cmw.net.driver import Locate, Trace
from cmw.net.hep_exporter import HepExporter
from cmw.net.ids import RandomIds
from cmw.net.media_engines import MediaEngines
from cmw.net.sip_bind import Bind
from cmw.net.sip_flows import FlowSettings, ServerSettings
from cmw.net.sip_locator import SipLocator
from cmw.net.sip_tls import TlsSettings
from cmw.net.sip_transport import UDP_AND_TCP, SipTransport, open_sip_transport
from cmw.net.udp import bind_udp
from cmw.rtp.ports import PortPool
from cmw.sip import (
    Account,
    CallCancelled,
    CallEnded,
    CallEvent,
    CallOffered,
    CallOptions,
    CallRejected,
    CallTimedOut,
    Event,
    Hop,
    Listener,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationSucceeded,
    Transport,
    UserAgent,
    parse_uri,
)
from cmw.sip.lookup import Lookup, literal_hop, question
from cmw.sip.registrar import Registrar
from cmw.sip.registrar_events import RegistrarEvent
from cmw.sip.shared_socket import SharedSocket
from cmw.worker.alarm import Alarm
from cmw.worker.digit_events import DigitEvents
from cmw.worker.garbage import relax_garbage_collection
from cmw.worker.pem_files import PemFiles
from cmw.worker.rtcp_export import RtcpExport
from cmw.worker.settings import Addresses
from cmw.worker.sip_recorder import SipRecorder
from cmw.worker.sip_traffic import SipTraffic
from cmw.worker.sounds import Sounds

ResultT = TypeVar("ResultT")

LAST_CALL_EVENTS = (CallRejected, CallTimedOut, CallCancelled, CallEnded)
LAST_REGISTRATION_EVENTS = (RegistrationFailed, RegistrationEnded)


class CallOwner(Protocol):
    """Whoever a call belongs to."""

    def receive_call_event(self, event: CallEvent) -> None:
        """Take a fact about a call that this owner placed or took.

        An offer that replaces such a call (RFC 3891) is for it to answer or refuse, by `Station.adopt` first.
        """
        ...


class RegistrationOwner(Protocol):
    """Whoever a registration belongs to."""

    def receive_registration_event(self, event: RegistrationEvent) -> None:
        """Take a fact about a registration that this owner began."""
        ...


CallTaker = Callable[[CallOffered], CallOwner | int | None]
"""Returns the owner of an inbound call, a status to refuse it with, or None to let the next taker look at it."""


class Station:
    """Hand the events of the one user agent to the endpoint that each belongs to; made by `open_station`.

    Endpoints give their commands here. Takers are asked in order for each inbound call; what nobody takes is
    answered 404.
    """

    def __init__(self, addresses: Addresses, engine: MediaEngines, rtp_ports: PortRange) -> None:
        self.addresses = addresses
        self.engine = engine
        self.ports = PortPool(rtp_ports)
        self.sounds = Sounds(engine)
        self.digits = DigitEvents(engine)
        self._owns_engine = True
        self.pem_files = PemFiles()
        self.ids = RandomIds()
        self.takers: list[CallTaker] = []
        self.registrar_watcher: Callable[[RegistrarEvent], None] | None = None
        self.unclaimed_calls_total = 0
        self.cname = f"{self.ids.uuid()[:16]}@cmw.invalid".encode()
        self.locate: Locate | None = None
        self.recorder = SipRecorder()
        self._recording_runs = 0
        self._trace: Trace | None = None
        self._exporter: HepExporter | None = None
        self.rtcp_export: RtcpExport | None = None
        self._users: set[str] = set()
        self._servers: dict[str, tuple[ServerSettings, list[object]]] = {}
        self._last_flow = 0
        self._last_traffic = SipTraffic()
        self._registered_users: set[str] = set()
        self._calls: dict[int, CallOwner] = {}
        self._registrations: dict[int, tuple[RegistrationOwner, str]] = {}
        self._agent: UserAgent | None = None
        self._listener: SipTransport[Any] | None = None

    def uri_of(self, user: str) -> str:
        """Return the URI under which `user` is reached at this listener."""
        return f"sip:{user}@{Address(self.addresses.external, self.port)}"

    def claim_user(self, name: str) -> str:
        """Return a user part that nobody else here has: `name`, or else with a number behind it; for `release_user`.

        Two runs at once may have groups of the same names.
        """
        user = name
        for number in itertools.count(2):
            if user not in self._users and user not in self._registered_users:
                break
            user = f"{name}.{number}"
        self._users.add(user)
        return user

    def release_user(self, user: str) -> None:
        """Let others have a user part; while it is registered, nobody gets it."""
        self._users.discard(user)

    @property
    def port(self) -> int:
        """Return the port that SIP is bound to, UDP and TCP."""
        return self._bound.local.port

    def address_of(self, transport: Transport) -> Address:
        """Return where we listen over `transport`. Raises `KeyError` when we do not."""
        return self._bound.local_of(transport)

    def local_of(self, transport: Transport) -> Address:
        """Return where we listen over `transport`, our address alone when we do not."""
        try:
            return self.address_of(transport)
        except KeyError:
            return Address(self.addresses.sip, 0)

    @property
    def sip_traffic(self) -> SipTraffic:
        """Return what has passed so far, and what was lost here."""
        listener = self._listener
        if listener is None:
            return self._last_traffic
        counts = listener.counts
        return SipTraffic(
            counts.datagrams_received, counts.datagrams_sent, listener.kernel_drops, counts.unsent_datagrams
        )

    def new_flow(self) -> int:
        """Return the number of a connection of somebody's own, for `Hop.flow`."""
        self._last_flow -= 1
        return self._last_flow

    async def find(self, uri: str, *, families: tuple[int, ...] = ()) -> tuple[tuple[Hop, ...], str]:
        """Return the hops that a URI leads to, none with the reason; none and no reason when nobody knows here.

        Args:
            families: 4 and 6; that of our own address when empty.
        """
        if self.locate is None:
            return (), ""
        if literal_hop(uri) is None and question(uri) is None:
            return (), "it does not exist"
        families = families or ((6,) if ":" in self.addresses.sip else (4,))
        hops, reason = await self.locate(Lookup(0, parse_uri(uri), tuple(Transport), families))
        return tuple(hops), "" if hops else reason or "it leads nowhere"

    def use_servers(self, holder: object, servers: Mapping[str, ServerSettings]) -> None:
        """Connect to these hosts as told, until `release_servers`; connections to them are opened anew.

        Raises:
            CommandError: somebody else is connected to one of them in another way.
            SettingsError: a certificate cannot be used.
        """
        for host, settings in servers.items():
            known = self._servers.get(host)
            if known is not None and known[0] != settings:
                raise CommandError("TLS_CONFLICT", f"another run reaches {host} with other TLS settings")
        flows = self._bound.flows
        for settings in servers.values():
            flows.client_context(Transport.TLS, settings.tls)
        for host, settings in servers.items():
            if host not in self._servers:
                flows.set_server(host, settings)
            _, holders = self._servers.setdefault(host, (settings, []))
            holders.append(holder)

    def release_servers(self, holder: object) -> None:
        """Connect as usual to what nobody but this holder asked for."""
        for host, (_, holders) in list(self._servers.items()):
            holders[:] = [each for each in holders if each is not holder]
            if not holders:
                del self._servers[host]
                if self._listener is not None:
                    self._listener.flows.set_server(host, None)

    def set_inbound_options(self, user: str | None, options: CallOptions | None) -> None:
        """Say what calls to a user, or to all others, may use; None once it is gone."""
        if self._listener is not None:
            self.command(lambda agent, _: agent.set_inbound_options(options, user=user))

    def close(self) -> None:
        """Stop listening and end the media thread."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._owns_engine:
            if self.rtcp_export is not None:
                self.rtcp_export.close()
            self.digits.detach()
            self.engine.stop()

    def share_media_of(self, other: Station) -> None:
        """Take engine, RTP ports and sounds of another station, which has to be closed after this one."""
        self.engine, self.ports, self.sounds, self.digits = other.engine, other.ports, other.sounds, other.digits
        self.rtcp_export = other.rtcp_export
        self._owns_engine = False

    def command(self, order: Callable[[UserAgent, Nanos], ResultT]) -> ResultT:
        """Give the user agent a command, such as ``lambda agent, now: agent.hang_up(call, now=now)``."""
        agent = self._agent
        assert agent is not None
        return self._bound.run(lambda _, now: order(agent, now))

    def invite(self, owner: CallOwner, order: Callable[[UserAgent, Nanos], int]) -> int:
        """Place a call whose events go to `owner`; return its handle."""

        def place(agent: UserAgent, now: Nanos) -> int:
            call = order(agent, now)
            self._calls[call] = owner  # before the driver drains: an event may come with the command
            return call

        return self.command(place)

    def adopt(self, owner: CallOwner, call: int) -> None:
        """Give the events of a call to `owner` from now on."""
        self._calls[call] = owner

    def register(self, owner: RegistrationOwner, account: Account, *, expires_s: int) -> int:
        """Register an account whose events go to `owner`; return the registration's handle."""

        def begin(agent: UserAgent, now: Nanos) -> int:
            registration = agent.register(account, expires_s=expires_s, now=now)
            self._registrations[registration] = (owner, account.contact_user)
            self._registered_users.add(account.contact_user)
            return registration

        return self.command(begin)

    def attach(self, listener: SipTransport[Any], agent: UserAgent) -> None:
        """Give commands to `agent`, which lives on `listener`, from now on."""
        self._listener = listener
        self._agent = agent

    def set_trace(self, trace: Trace | None) -> None:
        """Show every SIP message from now on, or none any more."""
        self._trace = trace
        self._choose_trace()

    def export_sip(self, exporter: HepExporter) -> None:
        """Tell a capture server of every SIP message from now on; it is for the caller to close."""
        self._exporter = exporter
        self._choose_trace()

    def export_rtcp(self, exporter: HepExporter, alarm: Alarm) -> None:
        """Tell a capture server of the RTCP of calls that begin from now on, until the station is closed."""
        self.rtcp_export = RtcpExport(self.engine, exporter, alarm)

    def record_sip(self, on: bool) -> None:
        """Keep SIP messages in `recorder` for one run more, or one less."""
        self._recording_runs += 1 if on else -1
        if not self._recording_runs:
            self.recorder.clear()
        self._choose_trace()

    @property
    def is_recording(self) -> bool:
        """Tell whether SIP messages are kept."""
        return self._recording_runs > 0

    def _choose_trace(self) -> None:
        if self._listener is None:
            return
        sinks = [self._trace] if self._trace is not None else []
        if self.is_recording:
            sinks.append(self.recorder.note)
        if self._exporter is not None:
            sinks.append(partial(self._export, self._exporter))
        self._listener.trace = sinks[0] if len(sinks) == 1 else partial(_tell_all, sinks) if sinks else None

    def _export(self, exporter: HepExporter, direction: str, data: bytes, peer: Hop) -> None:
        exporter.send(data, is_sent=direction == "out", local=self.local_of(peer.transport), peer=peer)

    @property
    def _bound(self) -> SipTransport[Any]:
        if self._listener is None:
            raise LocalProtocolError("the station is closed")
        return self._listener

    def receive_event(self, event: Event | RegistrarEvent) -> None:
        """Hand a fact from the user agent to its owner, and one from the registrar to whoever watches it."""
        if isinstance(event, CallOffered):
            self._offer(event)
        elif isinstance(event, RegistrationEvent):
            self._receive_registration_event(event)
        elif isinstance(event, CallEvent):
            self._receive_call_event(event)
        elif isinstance(event, RegistrarEvent) and self.registrar_watcher is not None:
            self.registrar_watcher(event)

    def _offer(self, offer: CallOffered) -> None:
        replaced = self._calls.get(offer.replaces) if offer.replaces is not None else None
        if replaced is not None:
            replaced.receive_call_event(offer)
            return
        for taker in tuple(self.takers):
            taken = taker(offer)
            if isinstance(taken, int):
                self._refuse(offer.call, taken)
                return
            if taken is not None:
                self._calls[offer.call] = taken
                taken.receive_call_event(offer)
                return
        self.unclaimed_calls_total += 1
        self._refuse(offer.call, 404)

    def _refuse(self, call: int, status: int) -> None:
        self.command(lambda agent, now: agent.reject(call, status=status, now=now))

    def _receive_call_event(self, event: CallEvent) -> None:
        owner = self._calls.get(event.call)
        if isinstance(event, LAST_CALL_EVENTS):
            self._calls.pop(event.call, None)
        if owner is not None:
            owner.receive_call_event(event)

    def _receive_registration_event(self, event: RegistrationEvent) -> None:
        known = self._registrations.get(event.registration)
        if known is None:
            return
        owner, user = known
        if isinstance(event, LAST_REGISTRATION_EVENTS):
            del self._registrations[event.registration]
            self._registered_users.discard(user)
        elif isinstance(event, RegistrationSucceeded) and event.flow_timer_s is not None:
            flow = self.command(lambda agent, _: agent.registration_snapshot(event.registration)).flow
            if flow is not None:
                self._bound.flows.keep_alive(flow.flow, event.flow_timer_s * SECOND)
        owner.receive_registration_event(event)


def _tell_all(sinks: list[Trace], direction: str, data: bytes, peer: Hop) -> None:
    for sink in sinks:
        sink(direction, data, peer)


CLIENTS = (Transport.TLS, Transport.WS, Transport.WSS)
"""Transports by which a station connects wherever a URI asks for them, whether it listens on them or not."""


@dataclass(frozen=True, slots=True)
class SipReach:
    """What a station listens on beside UDP and TCP, and how it connects.

    Args:
        server_tls: certificate for listening over TLS, and over WSS instead of WS; None for neither.
        websocket_port: port for WebSockets, 0 for any, None for not listening on them.
        flows: how connections are opened, with which authorities, and their bounds.
    """

    server_tls: TlsSettings | None = None
    websocket_port: int | None = None
    flows: FlowSettings = field(default_factory=FlowSettings)

    def binds(self, ports: int | PortRange) -> list[Bind]:
        """Return what to bind: UDP and TCP on one port, TLS on the next that is free.

        Args:
            ports: the port, 0 for any, or the range that all are taken from.
        """
        binds = [Bind(UDP_AND_TCP, ports)]
        if self.server_tls is not None:
            above = PortRange(ports + 1, 65535) if isinstance(ports, int) and 0 < ports < 65535 else ports
            binds.append(Bind((Transport.TLS,), above))
        if self.websocket_port is not None:
            web = Transport.WS if self.server_tls is None else Transport.WSS
            binds.append(Bind((web,), self.websocket_port))
        return binds


MakeRegistrar = Callable[[tuple[Listener, ...], Ids], Registrar]
"""Makes the registrar for the addresses that were bound."""


async def open_station(
    addresses: Addresses,
    sip_ports: int | PortRange,
    rtp_ports: PortRange,
    *,
    slots: int,
    threads: int = 1,
    trace: Trace | None = None,
    make_registrar: MakeRegistrar | None = None,
    reach: SipReach | None = None,
    media_of: Station | None = None,
) -> Station:
    """Start a media engine and listen for SIP over UDP and TCP, and what else `reach` says.

    Args:
        sip_ports: the port, 0 for any, or the range whose first free port is taken.
        slots: how many calls can have media at once.
        threads: media threads that their streams are spread over.
        trace: sees every SIP message.
        make_registrar: for a registrar on the same sockets.
        reach: TLS, WebSockets, and how connections are opened.
        media_of: a station whose media engine and RTP ports are used instead of new ones; it has to be closed later.

    Raises:
        CapacityError: no SIP port is free.
        SettingsError: an address cannot be bound, or a certificate cannot be used.
    """
    reach = reach or SipReach()
    engine = MediaEngines(slots=max(1, slots), threads=threads) if media_of is None else media_of.engine
    station = Station(addresses, engine, rtp_ports)
    if media_of is not None:
        station.share_media_of(media_of)

    def make_machine(listeners: tuple[Listener, ...]) -> SharedSocket | UserAgent:
        agent = UserAgent(listeners=listeners, ids=station.ids, user_agent=f"cmw/{__version__}")
        if make_registrar is None:
            return agent
        return SharedSocket(agent, make_registrar(listeners, station.ids))

    locate = SipLocator(DnsClient(), station.ids)
    try:
        listener = await open_sip_transport(
            make_machine,
            addresses.sip,
            reach.binds(sip_ports),
            station.receive_event,
            advertised=addresses.external,
            clients=CLIENTS,
            server_tls=reach.server_tls,
            settings=reach.flows,
            ids=station.ids,
            trace=trace,
            locate=locate,
        )
    except OSError as error:
        raise SettingsError(f"SIP: {error.strerror or error}") from None
    try:
        _check_media_address(addresses.media)
    except SettingsError:
        listener.close()
        raise
    machine = listener.machine
    station.locate = locate
    station.set_trace(trace)
    station.attach(listener, machine.agent if isinstance(machine, SharedSocket) else machine)
    if media_of is None:
        station.engine.start()
        station.digits.attach(asyncio.get_running_loop())
    relax_garbage_collection()
    return station


def _check_media_address(ip: str) -> None:
    """Find out now, and not with the first call, whether RTP can be bound to `ip`."""
    try:
        bind_udp(ip, 0).close()
    except OSError as error:
        raise SettingsError(f"RTP: cannot bind UDP {ip}: {os.strerror(error.errno or 0)}") from None
