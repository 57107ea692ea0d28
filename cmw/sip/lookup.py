"""From a URI to the hops that lead there: at once when it names an address, else by a question to the driver."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import CACHE_VALUES, is_literal
from cmw.sip.hop import BY_PARAMETER, SECURED, Hop, Transport
from cmw.sip.uri import SipUri, parse_uri


class Lookup(NamedTuple):
    """A question to whoever can ask DNS: which hops lead to a URI. `UserAgent.receive_lookup` takes the answer.

    Args:
        number: names the question in its answer.
        uri: of a name; only what decides on the way is left of it: scheme, host, port, ``transport``, ``maddr``.
        transports: what we can send over.
        families: 4, 6 or both: the IP versions that we can send from.
    """

    number: int
    uri: SipUri
    transports: tuple[Transport, ...]
    families: tuple[int, ...]


def transport_of(uri: SipUri) -> Transport | None:
    """Return the transport that a URI without NAPTR records asks for, None when there is no such way.

    Source: RFC 3263 4.1.
    """
    name = (uri.param("transport") or "").lower()
    if uri.scheme != "sips":
        return BY_PARAMETER.get(name) if name else Transport.UDP
    transport = BY_PARAMETER.get(name) if name else Transport.TLS
    return None if transport is None else SECURED.get(transport)


def literal_hop(uri: str | SipUri) -> Hop | None:
    """Return the hop that a SIP URI names without a look into DNS, None when there is none."""
    if isinstance(uri, str):
        return _literal_hop(uri)
    host = (uri.param("maddr") or uri.host).strip("[]")
    if not is_literal(host):
        return None
    transport = transport_of(uri)
    return None if transport is None else Hop(host, uri.port or transport.default_port, transport)


@lru_cache(maxsize=CACHE_VALUES)
def _literal_hop(text: str) -> Hop | None:
    try:
        return literal_hop(parse_uri(text))
    except RemoteProtocolError:
        return None


def uri_over(uri: str, transport: Transport | None) -> str:
    """Return the URI that says where a request to `uri` goes, over a transport that is wished for where it names none.

    A SIPS URI goes over TLS whatever is wished. Source: RFC 3263 4.1.
    """
    return uri if transport is None else _uri_over(uri, transport)


@lru_cache(maxsize=CACHE_VALUES)
def _uri_over(text: str, transport: Transport) -> str:
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return text
    if uri.scheme == "sips" or uri.param("transport") is not None:
        return text
    return str(uri._replace(params=(*uri.params, ("transport", transport.lower()))))


_WAY = frozenset(("transport", "maddr"))


def question(text: str) -> SipUri | None:
    """Return what DNS has to be asked for the way to a URI, None when it cannot know one.

    Names below ``.invalid`` stand for clients that nobody can connect to. Source: RFC 7118 5.2, RFC 6761 6.4.
    """
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return None
    host = (uri.param("maddr") or uri.host).rstrip(".").lower()
    if host == "invalid" or host.endswith(".invalid") or transport_of(uri) is None:
        return None
    params = tuple([(name, value and value.lower()) for name, value in uri.params if name in _WAY])
    return uri._replace(user=None, password=None, host=uri.host.lower(), params=params, headers=())
