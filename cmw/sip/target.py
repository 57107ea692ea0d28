"""Whom a request outside of any dialog goes to. Source: RFC 3261 8.1.1."""

from __future__ import annotations

from cmw.core.facts import fact
from cmw.sip.hop import Hop, Transport


@fact
class Target:
    """Whom to call or to ask, as whom, and with what.

    Args:
        uri: Request-URI and To.
        local_uri: From.
        contact: our Contact URI, as far as it is known which transport the request takes.
        contact_user: user part of it.
        destination: where the request goes; None for the way that routes and `uri` tell.
        body: of an INVITE the offer; empty leaves it to the peer.
        headers: further rows, among them the Content-Type of a body that is not the offer of an INVITE.
        routes: Route values that it begins with.
        transport: how it goes to a URI that does not say; None for the usual way.
    """

    uri: str
    local_uri: str
    contact: str
    contact_user: str
    destination: Hop | None
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    routes: tuple[str, ...] = ()
    transport: Transport | None = None
