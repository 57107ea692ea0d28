"""Forwarding without memory: what a request's copy and its response's way back look like follows from the message.

A connection that a request came by is written into our Via, and those of both sides of a dialog into our
Record-Routes, signed: so answers and later requests find their way back over them. Source: RFC 3261 16.6, 16.7, 16.11,
RFC 5626 5.3, RFC 5658.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from cmw.core.address import Address
from cmw.core.clock import Nanos
from cmw.errors import RemoteProtocolError
from cmw.sip.digest_verifier import DigestStatus, DigestVerifier
from cmw.sip.grammar import fail, parse_number
from cmw.sip.hop import URI_PARAMS, Datagram, Hop, Transport
from cmw.sip.location import Binding, LocationTable
from cmw.sip.lookup import literal_hop, transport_of
from cmw.sip.message import Request, Response, make_response, serialize_message
from cmw.sip.methods import MAKES_DIALOG
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.via import DEFAULT_PORT, MAGIC_COOKIE, Via, parse_via

BRANCH_PREFIX = f"{MAGIC_COOKIE}-cmw-proxy-"
"""Start of every branch that we push, so that its responses are known from those of a user agent on the same socket."""

MAX_FORWARDS = 70
"""What a request gets that has no Max-Forwards. Source: RFC 3261 16.6 step 3."""

FLOW_PARAM = "cmw-flow"
"""Parameter of our Via that says which connection a request came by."""


class StatelessProxy:
    """Sends requests on to where a user is registered, and their responses back.

    Args:
        own: what we write into Via and Record-Route, by transport.
        locations: where users are.
        verifier: asks for a password before an INVITE is let through; None for nobody.
        key: secret of the branches, so that no forged response is sent on.
    """

    def __init__(
        self,
        *,
        own: Mapping[Transport, Address],
        locations: LocationTable,
        verifier: DigestVerifier | None,
        key: str,
    ) -> None:
        self._own = own
        self._addresses = frozenset(own.values())
        self._locations = locations
        self._verifier = verifier
        self._key = key.encode("ascii")

    def is_ours(self, via: Via) -> bool:
        """Tell whether we pushed this Via, as far as its looks go; `forward_response` checks the rest."""
        return (via.branch or "").startswith(BRANCH_PREFIX) and via.sent_by in self._addresses

    def own_tag(self, request: Request) -> str:
        """Return the To tag of our answer to a request; an INVITE and its ACK get the same. Source: RFC 3261 8.2.7."""
        return self._sign("tag", request.top_via, request)

    def forward_response(self, response: Response) -> Datagram | None:
        """Return a response on its way back, None when it answers nothing that we sent. Its top Via is removed."""
        ours = response.top_via
        response.headers.remove_first("Via")
        try:
            via = parse_via(response.headers.get("Via") or "")
        except RemoteProtocolError:
            return None
        flow = ours.param(FLOW_PARAM) or ""
        branch = self._branch(via, response, flow)
        if not hmac.compare_digest((ours.branch or "").encode("ascii"), branch.encode("ascii")):
            return None
        return Datagram(serialize_message(response), _hop_of(flow) or via.reply_hop())

    def has_own_route(self, request: Request) -> bool:
        """Tell whether a request begins with a route that we gave to its dialog."""
        route = request.headers.get("Route")
        try:
            return route is not None and self._side_of(request, parse_name_addr(route).sip_uri()) is not None
        except RemoteProtocolError:
            return False

    def forward_request(self, request: Request, source: Hop, user: str, *, now: Nanos) -> Datagram | None:
        """Return a request on its way to a user, or our answer to it; None when there is nothing to send.

        Args:
            request: its headers are changed.
            source: where it came from.
            user: a registered user; "" when the Request-URI is a contact already.
            now: instant of the monotonic clock, nanoseconds.
        """
        via = request.top_via.stamped(source)
        request.headers.replace_first("Via", str(via))
        if request.method == "ACK" and request.to.tag == self.own_tag(request):
            return None
        try:
            refusal = self._refusal(request, now)
            if refusal is None:
                return self._send_on(request, via, source, user)
        except RemoteProtocolError as error:
            refusal = error.hint, []
        if request.method == "ACK":
            return None
        status, rows = refusal
        response = make_response(request, status, to_tag=self.own_tag(request), headers=rows)
        return Datagram(serialize_message(response), via.answer_hop(source))

    def _refusal(self, request: Request, now: Nanos) -> tuple[int, list[tuple[str, str]]] | None:
        """Return why a request is not sent on: a status and header rows. Source: RFC 3261 16.3."""
        left = request.headers.get("Max-Forwards")
        if left is not None and parse_number(left, "the Max-Forwards", maximum=255) == 0:
            return 483, []
        if any(self.is_ours(parse_via(row)) for row in request.headers.get_all("Via")):
            return 482, []
        required = request.headers.get_tokens("Proxy-Require")
        if required:
            return 420, [("Unsupported", ", ".join(required))]
        if self._verifier is None or request.method != "INVITE" or request.to.tag is not None:
            return None
        via = request.top_via
        request_id = f"{via.branch} {via.sent_by} {request.call_id} {request.cseq.number} {request.uri}"
        rows = request.headers.get_all("Proxy-Authorization")
        result = self._verifier.verify(rows, request.method, request_id=request_id, now=now)
        if result.status is DigestStatus.ACCEPTED:
            return None
        stale = result.status is DigestStatus.STALE
        return 407, [("Proxy-Authenticate", value) for value in self._verifier.challenges(now=now, stale=stale)]

    def _send_on(self, request: Request, via: Via, source: Hop, user: str) -> Datagram:
        headers = request.headers
        left = headers.get("Max-Forwards")
        hops = MAX_FORWARDS if left is None else parse_number(left, "the Max-Forwards", maximum=255) - 1
        side = self._take_own_routes(request)
        binding = self._locations.best(user) if user else None
        uri = request.uri
        if binding is not None:
            uri = str(binding.uri._replace(headers=())) if binding.uri.headers else binding.contact
        destination = self._destination(request, parse_uri(uri), binding, side)
        for path in reversed(binding.paths if binding is not None else ()):
            headers.add_first("Route", path)  # RFC 3327 5.4
        headers.set("Max-Forwards", str(hops))
        makes_dialog = request.method in MAKES_DIALOG and request.to.tag is None
        if makes_dialog and (source.transport.is_reliable or destination.transport.is_reliable):
            headers.add_first("Record-Route", self._record_route(request, source))
            headers.add_first("Record-Route", self._record_route(request, destination))
        flow = _text_of(source)
        params = (("branch", self._branch(via, request, flow)), *([(FLOW_PARAM, flow)] if flow else []))
        headers.add_first("Via", str(Via(destination.transport, *self._own[destination.transport], params)))
        return Datagram(serialize_message(Request(request.method, uri, headers, request.body)), destination)

    def _destination(self, request: Request, uri: SipUri, binding: Binding | None, side: Hop | None) -> Hop:
        """Return where a request goes that has no route of ours left. Source: RFC 3261 16.5, 16.6 step 6."""
        route = request.headers.get("Route")
        if route is not None:
            destination = _literal(parse_name_addr(route).sip_uri())
            if not self._locations.is_destination(destination) and side is None:
                fail("a route to us or to a user", str(destination), hint=403)  # RFC 3261 26.1: no relay for strangers
            return destination
        if binding is not None:
            return binding.destination
        if side is not None and side.flow:
            return side
        return self._locations.way_to(uri) or _literal(uri)

    def _take_own_routes(self, request: Request) -> Hop | None:
        """Remove the routes that lead to us; return the side of the dialog that the last of them stands for, if any."""
        side = None
        while (route := request.headers.get("Route")) is not None:
            uri = parse_name_addr(route).sip_uri()
            if _address(uri) not in self._addresses:
                break
            side = self._side_of(request, uri)
            request.headers.remove_first("Route")
        return side

    def _record_route(self, request: Request, hop: Hop) -> str:
        """Return the route that later requests towards `hop` come by; it is good for this dialog only."""
        text = _text_of(hop)
        token = f"{self._sign_route(request, text)}.{text}" if text else self._sign_route(request, text)
        return f"<sip:{token}@{self._own[hop.transport]}{URI_PARAMS[hop.transport]};lr>"

    def _side_of(self, request: Request, uri: SipUri) -> Hop | None:
        """Return whom a route of ours stands for, the address "" where a connection is not needed; None if not ours."""
        signature, _, text = (uri.user or "").partition(".")
        right = self._sign_route(request, text)
        if not hmac.compare_digest(signature.encode("utf-8", "surrogateescape"), right.encode("ascii")):
            return None
        return _hop_of(text) or Hop("", 0)

    def _sign_route(self, request: Request, text: str) -> str:
        data = f"route\n{request.call_id}\n{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()[:32]

    def _branch(self, via: Via, message: Request | Response, flow: str) -> str:
        """Return the branch to push above `via`: INVITE, CANCEL and ACK of one transaction get the same."""
        return BRANCH_PREFIX + self._sign(f"branch {flow}", via, message)

    def _sign(self, purpose: str, via: Via, message: Request | Response) -> str:
        parts = (
            purpose,
            via.branch or "",
            str(via.sent_by),
            str(via.reply_hop()) if purpose != "tag" else "",
            message.call_id,
            str(message.cseq.number),
            message.from_.tag or "",
        )
        return hmac.new(self._key, "\n".join(parts).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]


_FLOW_TEXT = re.compile(r"(TCP|TLS|WS|WSS)-([0-9]{1,18})-([0-9]{1,5})-((?:[0-9a-f]{2})+)")


def _text_of(hop: Hop) -> str:
    """Return the connection of a hop as a token, "" when it has none."""
    return f"{hop.transport}-{hop.flow}-{hop.port}-{hop.host.encode('ascii').hex()}" if hop.flow else ""


def _hop_of(text: str) -> Hop | None:
    """Return the hop that a token of ours stands for."""
    match = _FLOW_TEXT.fullmatch(text)
    if match is None:
        return None
    host = bytes.fromhex(match[4]).decode("ascii", "replace")
    return Hop(host, int(match[3]), Transport(match[1]), flow=int(match[2]))


def _address(uri: SipUri) -> Address:
    transport = transport_of(uri)
    return Address(uri.host, uri.port or (transport.default_port if transport is not None else DEFAULT_PORT))


def _literal(uri: SipUri) -> Hop:
    return literal_hop(uri) or fail("a literal address to send to", str(uri), hint=503)
