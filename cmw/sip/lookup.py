"""From a URI to the hops that lead there: at once when it names an address, else by a question to the driver."""

from __future__ import annotations

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import is_literal
from cmw.sip.hop import Hop, Transport
from cmw.sip.uri import SipUri, parse_uri

_TRANSPORTS = {
    "": Transport.UDP,
    "udp": Transport.UDP,
    "tcp": Transport.TCP,
    "tls": Transport.TLS,
    "ws": Transport.WS,
    "wss": Transport.WSS,
}
_SECURE_TRANSPORTS = {
    "": Transport.TLS,
    "tcp": Transport.TLS,
    "tls": Transport.TLS,
    "ws": Transport.WSS,
    "wss": Transport.WSS,
}


def transport_of(uri: SipUri) -> Transport | None:
    """Return the transport that a URI without NAPTR records asks for, None when there is no such way.

    A SIPS URI never leads over UDP, nor over TCP or a WebSocket without TLS. Source: RFC 3261 26.2.2, RFC 3263 4.1.
    """
    known = _SECURE_TRANSPORTS if uri.scheme == "sips" else _TRANSPORTS
    return known.get((uri.param("transport") or "").lower())


def literal_hop(uri: str | SipUri) -> Hop | None:
    """Return the hop that a SIP URI names without a look into DNS, None when there is none."""
    if isinstance(uri, str):
        try:
            uri = parse_uri(uri)
        except RemoteProtocolError:
            return None
    host = (uri.param("maddr") or uri.host).strip("[]")
    if not is_literal(host):
        return None
    transport = transport_of(uri)
    return None if transport is None else Hop(host, uri.port or transport.default_port, transport)
