"""A registrar with a stateless proxy in front of its users. Source: RFC 3261 10.3, 16.11, 22.

It may share a socket with a `UserAgent`: what `claims` says yes to goes to `receive_message`, the rest to the agent.
Requests for users that are not registered here are not claimed, so whoever stands behind can answer them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

from cmw.core.address import Address
from cmw.core.clock import SECOND, Nanos, WallClock
from cmw.core.ids import Ids
from cmw.core.timers import Deadline
from cmw.errors import RemoteProtocolError
from cmw.sip.binding_update import (
    DEFAULT_EXPIRES_S,
    EXTENSIONS,
    BindingRules,
    BindingUpdate,
    RegisterRefusedError,
    plan_update,
)
from cmw.sip.date import format_date
from cmw.sip.digest_verifier import DigestResult, DigestStatus, DigestVerifier
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.location import MAX_CONTACTS, Binding, LocationTable
from cmw.sip.message import (
    MalformedMessageError,
    Request,
    Response,
    make_response,
    parse_message,
    serialize_message,
)
from cmw.sip.option_tags import supports
from cmw.sip.registrar_events import (
    RegistrarDiscarded,
    RegistrarDiscardReason,
    RegistrarEvent,
    UserRegistered,
    UserUnregistered,
)
from cmw.sip.request_checks import answer_malformed
from cmw.sip.stateless_proxy import StatelessProxy
from cmw.sip.uri import SipUri, parse_uri

TIMER_J_NS: Nanos = 32 * SECOND
"""How long an answer is kept for retransmissions of its request. Source: RFC 3261 17.2.2."""

MAX_ANSWERS = 65536
"""Answers kept for retransmissions; the oldest go first."""

MAX_ANSWER_BYTES = 32 << 20
"""What the answers kept may come to: each is as long as its request wants it, and nobody need be known to ask."""


_Reason = RegistrarDiscardReason


class Registrar:
    """Keeps the location table, and sends requests for registered users on to them.

    Args:
        local: address of the socket; a literal.
        ids: source of identifiers and keys.
        advertised: address that we write into our Via when it differs from `local`.
        others: our address for transports that have another one: TLS, WebSockets.
        domains: domains that we are responsible for, besides our own addresses; None for every domain.
        accounts: passwords by user name; None lets everybody in.
        realm: protection space; by default the first domain or our own host.
        algorithms: of the digest, one challenge for each. MD5 comes first because many agents look at the first only;
            those that know more take the strongest, or can be made to by offering nothing else.
        min_expires_s: shortest lifetime granted; shorter ones are refused with 423.
        max_expires_s: longest lifetime granted; longer ones are cut.
        max_contacts: contacts of one user; more is refused with 503.
        service_routes: Service-Route values of every 200: what the users' requests have to begin with. RFC 3608.
        flow_timer_s: how long a kept flow may be silent, told to clients of RFC 5626; None tells nothing.
        clock: the wall clock, for Date; None writes none.
    """

    def __init__(
        self,
        *,
        local: Address,
        ids: Ids,
        advertised: Address | None = None,
        others: Mapping[Transport, Address] | None = None,
        domains: Iterable[str] | None = None,
        accounts: Mapping[str, str] | None = None,
        realm: str | None = None,
        algorithms: Sequence[str] = ("MD5", "SHA-256"),
        min_expires_s: int = 1,
        max_expires_s: int = DEFAULT_EXPIRES_S,
        max_contacts: int = MAX_CONTACTS,
        service_routes: Sequence[str] = (),
        flow_timer_s: int | None = None,
        clock: WallClock | None = None,
    ) -> None:
        domains = None if domains is None else tuple(domains)
        self._own = advertised or local
        self._ports = {None, local.port, self._own.port, *[each.port for each in (others or {}).values()]}
        self._domains = None if domains is None else {name.lower() for name in (*domains, local.host, self._own.host)}
        self._rules = BindingRules(min_expires_s, max_expires_s, max_contacts)
        self._service_routes = tuple(service_routes)
        self._flow_timer_s = flow_timer_s
        self._clock = clock
        self._locations = LocationTable()
        self._events: deque[RegistrarEvent] = deque()
        self._out: list[Datagram] = []
        self._answers: OrderedDict[tuple[str, str, int], tuple[Nanos, bytes]] = OrderedDict()
        self._answer_bytes = 0
        verifier = None
        if accounts is not None:
            realm = realm or next(iter(domains or ()), self._own.host)
            verifier = DigestVerifier(realm, accounts, ids, algorithms=algorithms)
        self._verifier = verifier
        own = dict.fromkeys(Transport, self._own) | dict(others or {})
        self._addresses = frozenset(own.values())
        self._proxy = StatelessProxy(own=own, locations=self._locations, verifier=verifier, key=ids.uuid())

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        """Take a datagram that nobody else looks at; what is not claimed is discarded."""
        try:
            message = parse_message(data)
        except MalformedMessageError as error:
            answer = answer_malformed(error, source)
            if answer is not None:
                self._out.append(Datagram(serialize_message(answer.response), answer.destination))
            self._discard(_Reason.MALFORMED, source, str(error), now)
            return
        self.receive_message(message, source, now=now)

    def receive_message(self, message: Request | Response, source: Hop, *, now: Nanos) -> None:
        """Take a parsed message; `claims` tells beforehand whether it is for us. Its headers may be changed."""
        self.handle_timeout(now=now)
        if isinstance(message, Request) and self._is_register(message):
            self._register(message, source, now)
            return
        if isinstance(message, Response):
            sent = self._proxy.forward_response(message) if self._proxy.is_ours(message.top_via) else None
            reason = _Reason.STRAY_RESPONSE
        else:
            user = self._claimed_user(message)
            sent = self._proxy.forward_request(message, source, user, now=now) if user is not None else None
            reason = _Reason.NOT_CLAIMED if user is None else _Reason.ACK_ABSORBED
        if sent is not None:
            self._out.append(sent)
        else:
            self._discard(reason, source, "nothing to send on", now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let bindings end and kept answers go."""
        for gone in self._locations.expire(now):
            self._events.append(UserUnregistered(gone.user, gone.contact, True, now))
        while self._answers and (self._has_too_many_answers() or next(iter(self._answers.values()))[0] <= now):
            _, (_, answer) = self._answers.popitem(last=False)
            self._answer_bytes -= len(answer)

    def flow_lost(self, flow: int, *, now: Nanos) -> None:
        """Take the end of a connection: the bindings that it led to are gone. Source: RFC 5626 7."""
        for gone in self._locations.lose(flow):
            self._events.append(UserUnregistered(gone.user, gone.contact, False, now, is_lost=True))

    def claims(self, message: Request | Response, source: Hop) -> bool:
        """Tell whether a message is for us: a REGISTER, a request for a registered user, or a response to such a one.

        Args:
            message: a parsed message; it is not changed.
            source: where it came from.
        """
        if isinstance(message, Response):
            return self._proxy.is_ours(message.top_via)
        return self._is_register(message) or self._claimed_user(message) is not None

    def datagrams_to_send(self) -> list[Datagram]:
        """Return what there is to send, and forget it."""
        out, self._out = self._out, []
        return out

    def next_event(self) -> RegistrarEvent | None:
        """Return the next fact, and forget it."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Deadline | None:
        """Return when the next binding ends."""
        return self._locations.next_timeout()

    def bindings(self, user: str) -> list[Binding]:
        """Return the bindings of a user."""
        return self._locations.bindings(user)

    def __len__(self) -> int:
        """Return the number of bindings."""
        return len(self._locations)

    def _is_register(self, request: Request) -> bool:
        if request.method != "REGISTER":
            return False
        try:
            return self._is_own(parse_uri(request.uri))
        except RemoteProtocolError:
            return self._domains is None

    def _is_own(self, uri: SipUri) -> bool:
        """Tell whether a URI is in a domain of ours, or names one of our addresses."""
        if self._domains is None:
            return True
        return uri.host.lower() in self._domains and uri.port in self._ports

    def _claimed_user(self, request: Request) -> str | None:
        """Return the registered user a request is for; "" when its URI is a contact itself, None for nobody of ours."""
        try:
            uri = parse_uri(request.uri)
        except RemoteProtocolError:
            return None
        if self._locations.way_to(uri) is not None or self._proxy.has_own_route(request):
            return ""
        if uri.user is not None and self._is_own(uri) and self._locations.bindings(uri.user):
            return uri.user
        return None

    def _register(self, request: Request, source: Hop, now: Nanos) -> None:
        """Answer a REGISTER, from memory when it is a retransmission. Source: RFC 3261 10.3."""
        via = request.top_via
        key = (f"{via.branch} {via.sent_by}", request.call_id, request.cseq.number)
        kept = self._answers.get(key)
        if kept is not None and via.branch is not None:
            self._out.append(Datagram(kept[1], via.stamped(source).answer_hop(source)))
            return
        try:
            parse_uri(request.uri)
            response = self._answer(request, 200, self._update(request, source, now))
        except RegisterRefusedError as refused:
            response = self._answer(request, refused.status, refused.headers)
        except RemoteProtocolError as error:
            response = self._answer(request, error.hint)
        answer = self._send_answer(request, source, response)
        if via.branch is not None:
            self._answers[key] = (now + TIMER_J_NS, answer)
            self._answer_bytes += len(answer)

    def _has_too_many_answers(self) -> bool:
        return len(self._answers) > MAX_ANSWERS or self._answer_bytes > MAX_ANSWER_BYTES

    def _update(self, request: Request, source: Hop, now: Nanos) -> list[tuple[str, str]]:
        """Check a REGISTER, then change the table, then return the rows to answer with. Source: RFC 3261 10.3."""
        unknown = [token for token in request.headers.get_tokens("Require") if token.lower() not in EXTENSIONS]
        if unknown:
            raise RegisterRefusedError(420, ("Unsupported", ", ".join(unknown)))
        proof = self._authenticate(request, now)
        user = self._registered_user(request)
        if proof is not None and proof.username not in (user, f"{user}@{request.to.sip_uri().host}"):
            raise RegisterRefusedError(403)
        update = plan_update(request, source, user, self._locations, self._rules, now=now)
        if any(binding.destination[:2] in self._addresses for binding in update.added):
            raise RegisterRefusedError(403)
        self._apply(update, now)
        rows = self._told(request, user, update, now)
        if proof is not None and self._verifier is not None:
            rows.append(("Authentication-Info", self._verifier.info(proof, now=now)))
        return rows

    def _told(self, request: Request, user: str, update: BindingUpdate, now: Nanos) -> list[tuple[str, str]]:
        """Return the rows of a 200. Source: RFC 3261 10.3 step 8, RFC 3327 5.3, RFC 3608 6.3, RFC 5626 6."""
        rows = [("Contact", self._shown(binding, now)) for binding in self._locations.bindings(user)]
        if supports(request.headers, "path"):
            rows += [("Path", path) for path in request.headers.get_all("Path")]
        rows += [("Service-Route", route) for route in self._service_routes]
        if update.is_outbound:
            rows.append(("Require", "outbound"))
            if self._flow_timer_s is not None:
                rows.append(("Flow-Timer", str(self._flow_timer_s)))
        rows.append(("Supported", ", ".join(EXTENSIONS)))
        if self._clock is not None:
            rows.append(("Date", format_date(self._clock.unix_at(now) // SECOND)))
        return rows

    def _authenticate(self, request: Request, now: Nanos) -> DigestResult | None:
        """Return what a REGISTER proved, None when nobody need to."""
        if self._verifier is None:
            return None
        values = request.headers.get_all("Authorization")
        result = self._verifier.verify(values, "REGISTER", body=request.body, now=now)
        if result.status is DigestStatus.ACCEPTED:
            return result
        stale = result.status is DigestStatus.STALE
        rows = [("WWW-Authenticate", value) for value in self._verifier.challenges(now=now, stale=stale)]
        raise RegisterRefusedError(401, *rows)

    def _registered_user(self, request: Request) -> str:
        try:
            uri = request.to.sip_uri()
        except RemoteProtocolError:
            raise RegisterRefusedError(400) from None  # RFC 4475 3.3.4: an address of record is a SIP URI
        if uri.user is None or (self._domains is not None and uri.host.lower() not in self._domains):
            raise RegisterRefusedError(404)
        return uri.user

    def _apply(self, update: BindingUpdate, now: Nanos) -> None:
        for binding in update.removed:
            self._locations.remove(binding)
            self._events.append(UserUnregistered(binding.user, binding.contact, False, now))
        for binding in update.added:
            self._locations.put(binding)
            expires_s = (binding.expires_at - now) // SECOND
            self._events.append(UserRegistered(binding.user, binding.contact, expires_s, now))

    def _shown(self, binding: Binding, now: Nanos) -> str:
        left_s = -((now - binding.expires_at) // SECOND)
        return f"<{binding.contact}>{binding.params};expires={max(left_s, 1)}"

    def _answer(self, request: Request, status: int, headers: Iterable[tuple[str, str]] = ()) -> Response:
        return make_response(request, status, to_tag=self._proxy.own_tag(request), headers=headers)

    def _send_answer(self, request: Request, source: Hop, response: Response) -> bytes:
        """Queue a response by the top Via as the request came; return its bytes."""
        via = request.top_via.stamped(source)
        response.headers.replace_first("Via", str(via))
        data = serialize_message(response)
        self._out.append(Datagram(data, via.answer_hop(source)))
        return data

    def _discard(self, reason: _Reason, source: Hop, detail: str, now: Nanos) -> None:
        self._events.append(RegistrarDiscarded(reason, source, detail, now))
