"""From what a plan says of SIP to what a worker is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.plan import Group, Registrar
from cmw.load.plan_scenario import Action, Step
from cmw.load.plan_sip import Identity, Sip, Tls
from cmw.load.plan_sip_checks import hosts_of
from cmw.load.plan_sound import source_name
from cmw.load.share import RegistrarShare, RetryShare
from cmw.load.share_sip import IdentityShare, SipShare, StepShare, TimerShare, TlsShare, WayShare
from cmw.sip import parse_uri
from cmw.sip.tel_uri import parse_tel_uri


def registrar_share(name: str, registrar: Registrar) -> RegistrarShare:
    """Return what a worker has to know of a registrar."""
    registration = registrar.registration
    retry = registration.retry
    return RegistrarShare(
        name=name,
        domain=registrar.domain,
        port=registrar.port,
        transport=registrar.transport,
        expires_s=-(-registration.expires // SECOND),
        way=way_share(registrar),
        retry=RetryShare(tries=retry.tries, base_ns=retry.base, max_ns=retry.max),
        outbound=registration.outbound,
        own_connections=registration.connection == "own",
    )


def way_share(part: Registrar | Group) -> WayShare:
    """Return how the servers of a registrar, or of a group without one, are reached."""
    return WayShare(
        transport=part.transport,
        routes=list(part.outbound_proxy or []),
        tls=_tls_share(part.tls) if part.tls is not None else None,
        path=part.path or "",
        hosts=hosts_of(part) if part.tls is not None or part.path else [],
    )


def _tls_share(tls: Tls) -> TlsShare:
    return TlsShare(
        verified=tls.verify != "skip",
        ca=tls.ca,
        certificate=tls.certificate,
        key=tls.key,
        server_name=(tls.server_name or "").strip("[]"),
    )


def call_uri(group: Group, registrar: Registrar | None) -> str | None:
    """Return the SIP URI that a group calls; a number is looked for at the registrar, or at the outbound proxy."""
    uri = group.call.uri if group.call is not None else None
    return None if uri is None else sip_uri(uri, group, registrar)


def sip_uri(uri: str, group: Group, registrar: Registrar | None) -> str:
    """Return a URI as a SIP URI. Source: RFC 3261 19.1.6 for numbers."""
    if not uri.lower().startswith("tel:"):
        return uri
    if registrar is not None:
        return str(parse_tel_uri(uri).to_sip(registrar.domain.strip("[]"))._replace(port=registrar.port))
    proxy = parse_uri((group.outbound_proxy or [""])[0])
    return str(parse_tel_uri(uri).to_sip(proxy.host)._replace(port=proxy.port))


def identity_share(identity: Identity) -> IdentityShare:
    """Return who calls."""
    return IdentityShare(
        display_name=identity.display_name or "",
        user=identity.user,
        domain=identity.domain,
        asserted=_party(identity.asserted),
        preferred=_party(identity.preferred),
        privacy=list(identity.privacy),
    )


def _party(party: Any) -> list[str] | None:
    return [] if party is True else party


def sip_share(sip: Sip) -> SipShare:
    """Return what calls use."""
    timer = sip.session_timer
    return SipShare(
        reliable=sip.reliable_provisional,
        timer=None
        if timer is None
        else TimerShare(
            mode=timer.mode,
            expires_s=-(-timer.expires // SECOND),
            min_s=timer.min // SECOND,
            refresher=timer.refresher,
            soft=timer.soft,
        ),
        takes_transfers=sip.transfers == "accept",
    )


def step_share(step: Step, group: Group, registrar: Registrar | None, sounds: Mapping[str, str]) -> StepShare:
    """Return one step."""
    [action] = step.do.names
    return StepShare(
        at_ns=step.at,
        on=step.on,
        digit=step.digit,
        action=action,  # type: ignore[arg-type]
        via=step.do.via or ("negotiated" if action == "send_dtmf" else "invite"),
        **_details(step.do, group, registrar, sounds),
    )


def _details(do: Action, group: Group, registrar: Registrar | None, sounds: Mapping[str, str]) -> dict[str, Any]:
    if do.play is not None:
        return {"source": source_name(do.play, sounds)}
    if do.update is not None:
        return {"codecs": list(do.update.codecs or ()), "new_ports": do.update.ports is not None}
    if do.transfer is not None:
        uri = do.transfer.uri
        return {
            "uri": None if uri is None else sip_uri(uri, group, registrar),
            "attended": do.transfer.attended,
        }
    said = do.send_info or do.send_message
    if said is not None:
        return {"type": said.type, "body": said.body}
    if do.send_dtmf is not None:
        return {"body": do.send_dtmf.upper(), "digit_ms": do.length // MILLISECOND if do.length is not None else None}
    return {}
