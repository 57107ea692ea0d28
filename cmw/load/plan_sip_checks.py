"""What must hold between the parts of a plan about how SIP goes: transports, TLS, proxies, identities, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmw.load.faults import Faults, Path
from cmw.load.plan import Answer, Group, Registrar
from cmw.load.plan_sip import Tls
from cmw.sip import parse_uri

SECURE = ("tls", "wss", "auto")
WEB = ("ws", "wss", "auto")
REACHED = (None, "udp", "tcp", "auto")
"""Transports by which endpoints without a registrar are reached at a worker."""


def check_sip(registrars: Mapping[str, Registrar], groups: Mapping[str, Group], faults: Faults) -> None:
    """Note every fault in how servers are reached, who calls, and how calls are answered."""
    for name, registrar in registrars.items():
        _check_registrar(name, registrar, faults)
    for name, group in groups.items():
        path = ("groups", name)
        _check_way(path, group, faults)
        _check_caller(path, group, faults)
        _check_timer(path, group, faults)
        if group.answer is not None:
            _check_answer((*path, "answer"), group.answer, faults)
    _check_same_tls(registrars, groups, faults)


def _check_registrar(name: str, registrar: Registrar, faults: Faults) -> None:
    path = ("registrars", name)
    proxies = registrar.outbound_proxy or []
    if registrar.path is not None and registrar.transport not in WEB:
        faults.add((*path, "path"), f"found {registrar.path!r}, expected none unless the transport is ws or wss")
    if registrar.tls is not None:
        _check_tls((*path, "tls"), registrar.tls, [registrar.transport], proxies, faults)
    if registrar.registration.connection == "own" and registrar.transport == "udp" and not proxies:
        faults.add(
            (*path, "registration", "connection"), "found 'own', expected shared, for there are no connections over udp"
        )


def _check_way(path: Path, group: Group, faults: Faults) -> None:
    """Check that only a group without a registrar says how it reaches whom it calls."""
    ways = {"transport": group.transport, "path": group.path, "outbound_proxy": group.outbound_proxy, "tls": group.tls}
    for field, value in ways.items():
        if value is not None and group.registrar is not None:
            faults.add((*path, field), f"found in a group with a registrar, expected {field} at the registrar")
        elif value is not None and group.call is None:
            faults.add((*path, field), "found in a group that waits for calls, expected only beside call")
    if group.registrar is not None or group.call is None:
        return
    uris = [*(group.outbound_proxy or []), *([group.call.uri] if group.call.uri else [])]
    if group.path is not None and group.transport not in WEB and not any(map(_is_web, uris)):
        faults.add((*path, "path"), f"found {group.path!r}, expected none unless the transport is ws or wss")
    if group.tls is not None:
        _check_tls((*path, "tls"), group.tls, [group.transport or "auto"] if group.call.uri else [], uris, faults)
    if group.call.group is not None and group.transport not in REACHED and not group.outbound_proxy:
        faults.add(
            (*path, "transport"),
            f"found {group.transport!r}, expected udp or tcp, by which a worker is reached, or a registrar",
        )
    if (group.call.uri or "").lower().startswith("tel:") and not group.outbound_proxy:
        faults.add(
            (*path, "call", "uri"),
            f"found {group.call.uri!r}, expected a registrar or an outbound_proxy that knows the way to a number",
        )


def _check_tls(path: Path, tls: Tls, transports: Sequence[str], uris: Sequence[str], faults: Faults) -> None:
    may_be_secure = any(transport in SECURE for transport in transports) or any(map(_is_secure, uris))
    if not may_be_secure:
        faults.add(path, "found where nothing goes over TLS, expected it beside a transport of tls, wss or auto")
    if tls.verify == "custom" and tls.ca is None:
        faults.add((*path, "verify"), "found 'custom', expected ca_file beside it")
    if tls.verify in ("system", "skip") and tls.ca is not None:
        faults.add((*path, "verify"), f"found {tls.verify!r}, expected custom beside ca_file")
    if tls.key is not None and tls.certificate is None:
        faults.add((*path, "key"), "found without a certificate, expected certificate_file beside it")


def _is_web(uri: str) -> bool:
    return ";transport=ws" in uri.lower()  # or wss


def _is_secure(uri: str) -> bool:
    text = uri.lower()
    return text.startswith("sips:") or ";transport=tls" in text or ";transport=wss" in text


def _check_caller(path: Path, group: Group, faults: Faults) -> None:
    if group.call is not None:
        return
    if group.identity is not None:
        faults.add((*path, "identity"), "found in a group that waits for calls, expected only beside call")
    if group.headers:
        faults.add((*path, "headers"), "found in a group that waits for calls, expected answer.headers there")


def _check_timer(path: Path, group: Group, faults: Faults) -> None:
    timer = group.sip.session_timer
    if timer is not None and timer.min > timer.expires:
        faults.add((*path, "sip", "session_timer", "min"), "found more than expires, expected at most that")


def _check_answer(path: Path, answer: Answer, faults: Faults) -> None:
    if answer.redirect is not None and answer.reject is not None:
        faults.add((*path, "redirect"), "found beside reject, expected at most one of them")
    refuses = answer.redirect is not None or answer.reject is not None
    if answer.ring == "forever" and (refuses or answer.after):
        faults.add((*path, "ring"), "found forever beside a final answer, expected none of after, reject and redirect")
    elif answer.early_media and refuses and not answer.after:
        faults.add((*path, "early_media"), "found before a refusal at once, expected answer.after above 0s")
    if not answer.ring and (answer.early_media or answer.progress is not None):
        field = "early_media" if answer.early_media else "progress"
        faults.add((*path, field), "found beside ring: false, expected a provisional response to be sent")


def _check_same_tls(registrars: Mapping[str, Registrar], groups: Mapping[str, Group], faults: Faults) -> None:
    """Check that nobody wants other certificates for the same server: connections to it are shared."""
    seen: dict[str, Tls] = {}
    for part, parts in (("registrars", registrars), ("groups", groups)):
        for name, each in parts.items():
            if each.tls is None:
                continue
            for host in hosts_of(each):
                meant = each.tls.model_copy(update={"hosts": []})
                if seen.setdefault(host, meant) != meant:
                    faults.add(
                        (part, name, "tls"), f"found other settings for {host} than elsewhere, expected the same"
                    )


def hosts_of(part: Registrar | Group) -> list[str]:
    """Return the hosts that a registrar, or a group without one, names as its servers, in lower case."""
    uris = list(part.outbound_proxy or [])
    hosts = [part.domain] if isinstance(part, Registrar) else []
    if isinstance(part, Group) and part.call is not None and (part.call.uri or "").lower().startswith("sip"):
        uris.append(str(part.call.uri))
    hosts += part.tls.hosts if part.tls is not None else []
    return list(dict.fromkeys([host.strip("[]").lower() for host in (*hosts, *(parse_uri(uri).host for uri in uris))]))
