"""Forwarding without memory: what a request's copy and its response's way back look like follows from the message.

Source: RFC 3261 16.6, 16.7, 16.11.
"""

from __future__ import annotations

import hashlib
import hmac

from cmw.core.address import Address
from cmw.core.clock import Nanos
from cmw.errors import RemoteProtocolError
from cmw.sip.digest_verifier import DigestStatus, DigestVerifier
from cmw.sip.grammar import fail, parse_number
from cmw.sip.hop import Datagram, Hop
from cmw.sip.location import LocationTable
from cmw.sip.lookup import literal_hop
from cmw.sip.message import Request, Response, make_response, serialize_message
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.via import DEFAULT_PORT, MAGIC_COOKIE, Via, parse_via

BRANCH_PREFIX = f"{MAGIC_COOKIE}-cmw-proxy-"
"""Start of every branch that we push, so that its responses are known from those of a user agent on the same socket."""

MAX_FORWARDS = 70
"""What a request gets that has no Max-Forwards. Source: RFC 3261 16.6 step 3."""


class StatelessProxy:
    """Sends requests on to where a user is registered, and their responses back.

    Args:
        own: what we write into our Via.
        locations: where users are.
        verifier: asks for a password before an INVITE is let through; None for nobody.
        key: secret of the branches, so that no forged response is sent on.
    """

    def __init__(self, *, own: Address, locations: LocationTable, verifier: DigestVerifier | None, key: str) -> None:
        self._own = own
        self._locations = locations
        self._verifier = verifier
        self._key = key.encode("ascii")

    def is_ours(self, via: Via) -> bool:
        """Tell whether we pushed this Via, as far as its looks go; `forward_response` checks the rest."""
        return (via.branch or "").startswith(BRANCH_PREFIX) and via.sent_by == self._own

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
        if not hmac.compare_digest((ours.branch or "").encode("ascii"), self._branch(via, response).encode("ascii")):
            return None
        return Datagram(serialize_message(response), via.reply_hop())

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
                return self._send_on(request, via, user)
        except RemoteProtocolError as error:
            refusal = error.hint, []
        if request.method == "ACK":
            return None
        status, rows = refusal
        response = make_response(request, status, to_tag=self.own_tag(request), headers=rows)
        return Datagram(serialize_message(response), reply_hop(via, source))

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

    def _send_on(self, request: Request, via: Via, user: str) -> Datagram:
        headers = request.headers
        left = headers.get("Max-Forwards")
        hops = MAX_FORWARDS if left is None else parse_number(left, "the Max-Forwards", maximum=255) - 1
        while (route := headers.get("Route")) is not None and _address(parse_name_addr(route).sip_uri()) == self._own:
            headers.remove_first("Route")
        binding = self._locations.bindings(user)[0] if user else None
        uri = request.uri
        if binding is not None:
            uri = str(binding.uri._replace(headers=())) if binding.uri.headers else binding.contact
        if route is not None:
            destination = _literal(parse_name_addr(route).sip_uri())
            if not self._locations.is_destination(destination):
                fail("a route to us or to a user", str(destination), hint=403)  # RFC 3261 26.1: no relay for strangers
        else:
            to = parse_uri(uri)
            destination = binding.destination if binding is not None else self._locations.way_to(to) or _literal(to)
        headers.set("Max-Forwards", str(hops))
        headers.add_first("Via", str(Via(destination.transport, *self._own, (("branch", self._branch(via, request)),))))
        return Datagram(serialize_message(Request(request.method, uri, headers, request.body)), destination)

    def _branch(self, via: Via, message: Request | Response) -> str:
        """Return the branch to push above `via`: INVITE, CANCEL and ACK of one transaction get the same."""
        return BRANCH_PREFIX + self._sign("branch", via, message)

    def _sign(self, purpose: str, via: Via, message: Request | Response) -> str:
        parts = (
            purpose,
            via.branch or "",
            str(via.sent_by),
            str(via.reply_hop()) if purpose == "branch" else "",
            message.call_id,
            str(message.cseq.number),
            message.from_.tag or "",
        )
        return hmac.new(self._key, "\n".join(parts).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]


def _address(uri: SipUri) -> Address:
    return Address(uri.host, uri.port or DEFAULT_PORT)


def _literal(uri: SipUri) -> Hop:
    return literal_hop(uri) or fail("a literal address to send to", str(uri), hint=503)


def reply_hop(via: Via, source: Hop) -> Hop:
    """Return where the answer to a request goes: back over its connection, else where its stamped Via says."""
    return source if source.transport.is_reliable else via.reply_hop(source.transport)
