"""A request of ours outside of any dialog, such as OPTIONS or MESSAGE: sent, authenticated, answered. RFC 3261 8.1."""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.sip.authentication import Authentication
from cmw.sip.call_options import PLAIN
from cmw.sip.client_request import ClientRequest
from cmw.sip.hop import Hop
from cmw.sip.lookup import uri_over
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, Response
from cmw.sip.methods import ALLOW
from cmw.sip.request_events import RequestFailed, RequestSucceeded
from cmw.sip.route_set import make_path
from cmw.sip.stack import Stack
from cmw.sip.target import Target

NOT_PLAIN = frozenset(("INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE"))
"""Methods that have a command of their own, or mean nothing outside of a dialog."""

WITHOUT_CONTACT = frozenset(("MESSAGE", "REGISTER"))
"""Methods that would mean something else with one. Source: RFC 3428 4, RFC 3261 10.2.3."""


class PlainRequest:
    """One request; `start` sends it, `RequestSucceeded` or `RequestFailed` is told in the end.

    Args:
        stack: what the machines of the user agent share.
        handle: the number that the user knows it by.
        method: a token.
        target: whom to ask; its headers have the Content-Type of a body.
        authentication: answers challenges.
    """

    def __init__(self, stack: Stack, handle: int, method: str, target: Target, authentication: Authentication) -> None:
        self.handle = handle
        self._method = method
        self._stack = stack
        self._target = target
        self._authentication = authentication
        self._call_id = stack.ids.call_id()
        self._tag = stack.ids.tag()
        self._seq = stack.ids.cseq()
        self._sent: ClientRequest | None = None

    def start(self, *, now: Nanos) -> None:
        """Send the request."""
        self._authentication.begin()
        self._send(now)

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response."""
        if sent is not self._sent or response.status < 200:
            return
        if self._authentication.absorb(response):
            self._seq += 1
            self._send(now)
            return
        self._sent = None
        method, status = self._method, response.status
        if status < 300:
            self._authentication.take_info(response)
            self._stack.events.append(RequestSucceeded(self.handle, 0, method, status, now, response))
        else:
            self._stack.events.append(RequestFailed(self.handle, 0, method, status, response.reason, now, response))

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end without a response."""
        if sent is self._sent:
            self._sent = None
            self._stack.events.append(RequestFailed(self.handle, 0, self._method, status, reason, now))

    def _send(self, now: Nanos) -> None:
        method, target = self._method, self._target
        path = make_path(target.uri, target.routes)
        request = Request(method, path.request_uri, body=target.body)
        add = request.headers.add
        for route in path.routes:
            add("Route", route)
        add("Max-Forwards", "70")
        add("From", f"<{target.local_uri}>;tag={self._tag}")
        add("To", f"<{target.local_uri if method == 'REGISTER' else target.uri}>")
        add("Call-ID", self._call_id)
        add("CSeq", f"{self._seq} {method}")
        shows_contact = method not in WITHOUT_CONTACT
        if shows_contact:
            add("Contact", f"<{target.contact}>")
        add("Allow", ALLOW)
        add("User-Agent", self._stack.user_agent)
        if method == "OPTIONS":
            add("Accept", SDP_TYPE)
            add("Supported", PLAIN.supported)
        for name, value in self._authentication.headers(method, path.request_uri, target.body):
            add(name, value)
        for name, value in target.headers:
            add(name, value)
        self._sent = self._stack.sender.send(
            request,
            self,
            next_uri=uri_over(path.next_uri, target.transport),
            destination=target.destination,
            contact=target.contact if shows_contact else "",
            contact_user=target.contact_user,
            follows=self._sent,
            now=now,
        )
