"""How the servers of a run are reached: where they are, over what, with which certificates, through which proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cmw.core.clock import SECOND
from cmw.errors import CmwError, CommandError, SettingsError
from cmw.load.share import EndpointShare, GroupShare, RegistrarShare, RunShare
from cmw.load.share_sip import TlsShare, WayShare
from cmw.net.sip_flows import ServerSettings
from cmw.net.sip_tls import SKIP_WARNING, TlsSettings
from cmw.sip import Account, Credentials, Hop, RetryPolicy, Transport, parse_uri
from cmw.sip.grammar import is_literal
from cmw.sip.lookup import literal_hop
from cmw.worker.logs import get_logger
from cmw.worker.station import Station

TRANSPORTS = {name: Transport(name.upper()) for name in ("udp", "tcp", "tls", "ws", "wss")}
"""By the words of a plan; ``auto`` is none of them."""


class Ways:
    """The ways of one share; `prepare` finds out where they lead, `close` lets connections be as usual again.

    Args:
        share: the share.
        station: whose SIP transports are used.
    """

    def __init__(self, share: RunShare, station: Station) -> None:
        self._share = share
        self._station = station
        self._files: list[str] = []
        self._found: dict[str, tuple[Hop, ...]] = {}
        self._faults: dict[str, str] = {}
        self._uses_servers = False

    async def prepare(self) -> None:
        """Look up every server that the share names, and take its certificates.

        Raises:
            CommandError: another run reaches a server with other TLS settings, or a certificate cannot be used.
        """
        servers: dict[str, ServerSettings] = {}
        for way in [*[r.way for r in self._share.registrars.values()], *[g.way for g in self._share.groups.values()]]:
            if way.tls is not None or way.path:
                servers |= dict.fromkeys(way.hosts, self._server(way))
        if servers:
            self._uses_servers = True
            try:
                self._station.use_servers(self, servers)
            except SettingsError as error:
                raise CommandError("BAD_TLS", str(error)) from None
        if any(not server.tls.is_verified for server in servers.values()):
            get_logger(component="run").warn(SKIP_WARNING, hosts=", ".join(servers))
        wanted = {registrar_uri(registrar) for registrar in self._share.registrars.values()}
        for group in self._share.groups.values():
            for endpoint in group.endpoints if group.registrar is None else ():
                if endpoint.callee is not None and endpoint.callee.uri is not None:
                    wanted.add(next_uri(endpoint.callee.uri, group.way))
        await self._look_up(wanted)

    async def prepare_targets(self, targets: Mapping[str, Mapping[str, str]]) -> None:
        """Look up the hosts of receivers elsewhere, as far as callers of ours go there themselves."""
        wanted = set()
        for group in self._share.groups.values():
            for endpoint in group.endpoints if group.registrar is None else ():
                if endpoint.callee is not None and endpoint.callee.group is not None:
                    uri = targets.get(endpoint.callee.group, {}).get(str(endpoint.callee.position))
                    if uri is not None:
                        wanted.add(next_uri(uri, group.way))
        await self._look_up(wanted)

    def close(self) -> None:
        """Let connections be as usual again."""
        if self._uses_servers:
            self._uses_servers = False
            self._station.release_servers(self)
        for path in self._files:
            self._station.pem_files.release(path)
        self._files.clear()

    def registrar_fault(self, registrar: RegistrarShare) -> str:
        """Return why a registrar cannot be reached, "" when it is not known that it cannot."""
        return self._faults.get(registrar_uri(registrar), "")

    def call_fault(self, group: GroupShare, target: str) -> str:
        """Return why whom a group calls cannot be reached, "" when it is not known that it cannot."""
        if group.registrar is not None:
            return self.registrar_fault(self._share.registrars[group.registrar])
        return self._faults.get(next_uri(target, group.way), "")

    def routes_of(self, group: GroupShare) -> tuple[str, ...]:
        """Return the Route values that the calls of a group without a registrar begin with."""
        return route_values(group.way) if group.registrar is None else ()

    def destination(self, group: GroupShare, target: str, flow: Hop | None) -> Hop | None:
        """Return where an INVITE goes; None where routes, the URI and DNS decide.

        Args:
            group: the caller's.
            target: whom it calls.
            flow: where the caller's registration stands.
        """
        if group.registrar is not None:
            registrar = self._share.registrars[group.registrar]
            if registrar.way.routes or registrar.transport == "auto":
                return None
            if flow is not None:
                return flow if registrar.own_connections else flow._replace(flow=0)
            return self._first(registrar_uri(registrar))
        if group.way.routes:
            return None
        return literal_hop(next_uri(target, group.way))  # a name's servers are tried one after another

    def account(self, share: EndpointShare, user: str, registrar: RegistrarShare) -> Account:
        """Return the account of an endpoint.

        Args:
            user: user part of its Contact.
        """
        account = share.account
        assert account is not None
        uri = registrar_uri(registrar)
        hops = self._found.get(uri, ())
        is_named = not is_literal(registrar.domain.strip("[]"))
        destination = self._first(uri) if registrar.own_connections else None
        retry = registrar.retry
        return Account(
            aor=share.target or f"sip:{account.username}@{registrar.domain}",
            registrar=registrar.uri if is_named else with_transport(registrar.uri, registrar.transport),
            credentials=Credentials(
                account.auth_username or account.username,
                account.password.get_secret_value(),
                account.realm,
                hosts=tuple(dict.fromkeys(hop.host for hop in hops)),
            ),
            contact_user=user,
            destination=None if destination is None else destination._replace(flow=self._station.new_flow()),
            transport=TRANSPORTS.get(registrar.transport) if is_named else None,
            routes=route_values(registrar.way),
            instance=f"urn:uuid:{self._station.ids.uuid()}" if registrar.outbound else "",
            reg_id=int(registrar.outbound),
            retry=RetryPolicy()
            if retry is None
            else RetryPolicy(
                first_tries=retry.tries,
                base_s=retry.base_ns / SECOND,
                base_with_others_s=max(90.0, retry.base_ns / SECOND),
                maximum_s=retry.max_ns / SECOND,
            ),
        )

    # private

    def _first(self, uri: str) -> Hop | None:
        found = self._found.get(uri)
        return found[0] if found else literal_hop(uri)

    async def _look_up(self, uris: set[str]) -> None:
        await asyncio.gather(*(self._find(uri) for uri in uris - self._found.keys() - self._faults.keys()))

    async def _find(self, uri: str) -> None:
        try:
            hops, reason = await self._station.find(uri)
        except CmwError as error:
            hops, reason = (), str(error)
        if reason:
            self._faults[uri] = f"host {parse_uri(uri).host!r} cannot be resolved: {reason}"
        else:
            self._found[uri] = hops

    def _server(self, way: WayShare) -> ServerSettings:
        tls = way.tls or TlsShare()
        settings = TlsSettings(
            ca_file=self._file(tls.ca),
            certificate=self._file(tls.certificate),
            key=self._file(tls.key.get_secret_value() if tls.key is not None else None),
            is_verified=tls.verified,
        )
        return ServerSettings(settings, tls.server_name, way.path or "/")

    def _file(self, text: str | None) -> str | None:
        if text is None:
            return None
        self._files.append(self._station.pem_files.take(text))
        return self._files[-1]


def registrar_uri(registrar: RegistrarShare) -> str:
    """Return the URI whose server takes the requests of a registrar's endpoints."""
    return next_uri(registrar.uri, registrar.way)


def next_uri(target: str, way: WayShare) -> str:
    """Return the URI whose server a request to `target` goes to."""
    return with_transport(way.routes[0] if way.routes else target, way.transport)


def route_values(way: WayShare) -> tuple[str, ...]:
    """Return the Route values that requests begin with."""
    uris = [with_transport(uri, way.transport) if k == 0 else uri for k, uri in enumerate(way.routes)]
    return tuple([f"<{uri}>" for uri in uris])


def with_transport(uri: str, transport: str | None) -> str:
    """Return a URI that asks for a transport, unless it does already or is a SIPS URI, or for UDP at an address."""
    if transport in (None, "auto"):
        return uri
    parsed = parse_uri(uri)
    is_usual = transport == "udp" and (is_literal(parsed.host.strip("[]")) or parsed.port is not None)
    if is_usual or parsed.scheme == "sips" or parsed.param("transport") is not None:
        return uri
    return str(parsed._replace(params=(("transport", transport), *parsed.params)))
