"""A user agent: every registration and every call of all the endpoints that share its listeners.

Feed `receive_datagram` and `handle_timeout`, then send all of `datagrams_to_send`, take every `next_event` until None,
and come back at `next_timeout`. It answers by itself what needs no decision: OPTIONS, unknown methods, requests for
calls that it does not have, retransmissions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline
from cmw.sip.account import Account
from cmw.sip.call_commands import CallCommands
from cmw.sip.call_events import CallCancelled, CallEnded, CallRejected, CallTimedOut
from cmw.sip.discard_reason import DiscardReason
from cmw.sip.events import DatagramDiscarded, Event
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import Listener
from cmw.sip.lookup import Lookup
from cmw.sip.message import MalformedMessageError, Request, Response, parse_message
from cmw.sip.register_pacer import DEFAULT_RETURNS_PER_S
from cmw.sip.registration_events import RegistrationEnded, RegistrationFailed
from cmw.sip.registration_snapshot import RegistrationSnapshot
from cmw.sip.registrations import Registrations
from cmw.sip.request_checks import answer_malformed
from cmw.sip.request_events import RequestFailed, RequestSucceeded
from cmw.sip.sender import MAX_UDP_BYTES
from cmw.sip.stack import Stack
from cmw.sip.timing import Timing
from cmw.sip.transaction_facts import AckReceived, RequestReceived

_LAST_CALL_EVENTS = (CallRejected, CallTimedOut, CallCancelled, CallEnded)
_LAST_REQUEST_EVENTS = (RequestSucceeded, RequestFailed)
_LAST_REGISTRATION_EVENTS = (RegistrationFailed, RegistrationEnded)
_LAST_EVENTS = frozenset((*_LAST_CALL_EVENTS, *_LAST_REGISTRATION_EVENTS, *_LAST_REQUEST_EVENTS))


class UserAgent(CallCommands):
    """All SIP endpoints of one set of listeners.

    Args:
        listeners: where it can be reached: at most one for each transport and family of addresses.
        ids: source of identifiers.
        user_agent: value of User-Agent and Server.
        timing: base values of the timers.
        returns_per_s: how many registrations that failed, or lost their connection, come back to one registrar in a
            second; 0 for no bound. First ones and refreshes go when they are asked for.
        max_udp_bytes: a request longer than this goes over TCP if there is a listener for it and the hop takes it,
            else in fragments over UDP. Source: RFC 3261 18.1.1.
    """

    def __init__(
        self,
        *,
        listeners: Iterable[Listener],
        ids: Ids,
        user_agent: str = "cmw",
        timing: Timing | None = None,
        returns_per_s: int = DEFAULT_RETURNS_PER_S,
        max_udp_bytes: int = MAX_UDP_BYTES,
    ) -> None:
        stack = Stack(
            listeners=listeners,
            ids=ids,
            user_agent=user_agent,
            timing=timing or Timing(),
            max_udp_bytes=max_udp_bytes,
        )
        super().__init__(stack)
        self._registrations = Registrations(self._stack, returns_per_s=returns_per_s)
        self._spent: Event | None = None
        self._now: Nanos = 0
        self._discarded = dict.fromkeys(DiscardReason, 0)

    # inputs

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        """Take a datagram; whatever it holds, nothing is raised."""
        now = self._advance(now)
        if data[:1] in b"\r\n\0" and not data.strip(b"\r\n\0"):
            self._discard(DiscardReason.KEEPALIVE, source, "", now)
            return
        try:
            message = parse_message(data)
        except MalformedMessageError as error:
            self._refuse_malformed(error, source, now)
            return
        self._take(message, source, now)

    def receive_message(self, message: Request | Response, source: Hop, *, now: Nanos) -> None:
        """Take a message that was parsed already, by a program that shares the socket with something else."""
        self._take(message, source, self._advance(now))

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let every timer fire that is due."""
        now = self._advance(now)
        self._stack.layer.handle_timeout(now=now)
        self._absorb(now)
        for machine in self._stack.heap.expired(now):
            machine.handle_timeout(now=now)
        self._absorb(now)

    def transport_failed(self, destination: Hop, reason: str, *, at_fault: bytes | None = None, now: Nanos) -> None:
        """Take the network's word that nobody listens at `destination`. Source: RFC 3261 8.1.3.1, 18.4.

        Args:
            destination: where our datagrams went.
            reason: what the network said, for people.
            at_fault: the one datagram that cannot be sent, when it is not the destination that is at fault.
        """
        now = self._advance(now)
        if at_fault is None:
            self._stack.sender.hop_failed(destination, now=now)
        self._stack.layer.transport_failed(destination, reason, at_fault=at_fault, now=now)
        self._absorb(now)

    def flow_lost(self, flow: int, hop: Hop, reason: str, *, now: Nanos) -> None:
        """Take the end of a connection: what waits for a response over it fails, answers still to come go another way.

        Args:
            flow: number of the connection, as in the source of what came by it.
            hop: the other end; its `server_name` is that of the requests that opened it.
            reason: what the network said, for people.
        """
        now = self._advance(now)
        self._stack.layer.flow_lost(flow, hop, reason, now=now)
        self._registrations.flow_lost(flow, reason, now=now)
        self._absorb(now)

    def receive_lookup(self, number: int, hops: Sequence[Hop], reason: str = "", *, now: Nanos) -> None:
        """Take the answer to a lookup of `lookups_to_make`. Source: RFC 3263 4.

        Args:
            number: of the lookup; one that is not open any more is passed over.
            hops: where the URI leads, the first to be tried first.
            reason: why there are none, for people.
        """
        now = self._advance(now)
        self._stack.sender.receive_lookup(number, hops, reason, now=now)
        self._absorb(now)

    # commands: registrations

    def register(self, account: Account, *, expires_s: int = 300, now: Nanos) -> int:
        """Bind an account to this listener and keep it bound.

        Args:
            account: who registers where.
            expires_s: lifetime to ask for, 1 .. 2^32 - 1 seconds.

        Returns:
            The handle of the registration.
        """
        return self._registrations.register(self._stack.new_handle, account, expires_s, now=self._advance(now))

    def unregister(self, registration: int, *, now: Nanos) -> None:
        """Remove a binding; `RegistrationEnded` or `RegistrationFailed` follows."""
        self._registrations[registration].leave(now=self._advance(now))

    def registration_snapshot(self, registration: int) -> RegistrationSnapshot:
        """Return a registration as it is: its contact, what the registrar said, what it took."""
        return self._registrations[registration].snapshot()

    # outputs

    def datagrams_to_send(self) -> list[Datagram]:
        """Return the datagrams to send, in order; drains."""
        out = self._stack.out
        if not out:
            return []
        datagrams = out[:]
        out.clear()
        return datagrams

    def lookups_to_make(self) -> list[Lookup]:
        """Return the names to look up; drains. Whoever cannot answers with no hops at once: 32 s later we do so."""
        return self._stack.sender.lookups_to_make()

    def next_event(self) -> Event | None:
        """Return the next event, None when all are drained; a handle is good until the call after its last event."""
        if self._spent is not None:
            self._forget(self._spent)
        events = self._stack.events
        if not events:
            return None
        event = events.popleft()
        if type(event) in _LAST_EVENTS:
            self._spent = event
        return event

    def next_timeout(self) -> Deadline | None:
        """Return when to come back."""
        first, second = self._stack.layer.next_timeout(), self._stack.heap.soonest()
        if first is None or (second is not None and second.at < first.at):
            return second
        return first

    # getters

    def knows(self, request: Request) -> bool:
        """Tell whether a request belongs to a call of ours, or to an INVITE that we have answered."""
        if (request.call_id, request.to_tag) in self._stack.dialogs:
            return True
        return self._stack.layer.find_invite(request) is not None

    @property
    def counters(self) -> Mapping[str, int]:
        """Return counts since the start: discards by reason, retransmissions, and what is alive now."""
        layer = self._stack.layer
        return {
            **{f"discarded_{reason}": count for reason, count in self._discarded.items()},
            "retransmissions_sent": layer.retransmissions_sent,
            "retransmissions_received": layer.retransmissions_received,
            "refused_invites_without_room": layer.invites_refused,
            "ignored_responses_of_forks": self._stack.forks_ignored,
            "transactions": len(layer),
            "kept_bytes": layer.kept_bytes,
            "calls": len(self._calls),
            "registrations": len(self._registrations),
            "registrations_standing": self._registrations.standing,
            "registrations_queued": self._registrations.queued,
        }

    # private

    def _advance(self, now: Nanos) -> Nanos:
        """Return the largest `now` seen so far."""
        self._now = max(self._now, now)
        return self._now

    def _routes_of(self, account: Account | None) -> tuple[str, ...]:
        if account is None:
            return ()
        return self._registrations.service_routes(account) or account.routes

    def _forget(self, event: Event) -> None:
        self._spent = None
        if isinstance(event, _LAST_CALL_EVENTS):
            self._calls.pop(event.call, None)
        elif isinstance(event, _LAST_REQUEST_EVENTS):
            self._requests.pop(event.request, None)
        elif isinstance(event, _LAST_REGISTRATION_EVENTS):
            self._registrations.forget(event.registration)

    def _discard(self, reason: DiscardReason, source: Hop, detail: str, now: Nanos) -> None:
        self._discarded[reason] += 1
        self._stack.events.append(DatagramDiscarded(reason, source, detail, now))

    def _refuse_malformed(self, error: MalformedMessageError, source: Hop, now: Nanos) -> None:
        """Answer a request that cannot be read as far as its header rows allow it."""
        self._discard(error.kind, source, str(error), now)
        answer = answer_malformed(error, source)
        if answer is not None:
            self._stack.layer.respond_stateless(answer.response, answer.destination)

    def _take(self, message: Request | Response, source: Hop, now: Nanos) -> None:
        reason = self._stack.layer.receive_message(message, source, now=now)
        if reason is not None:
            self._discard(reason, source, _describe(message), now)
        self._absorb(now)

    def _absorb(self, now: Nanos) -> None:
        """Carry every fact about a transaction to whom it concerns."""
        facts, sender = self._stack.layer.facts, self._stack.sender
        while facts:
            fact = facts.popleft()
            if isinstance(fact, RequestReceived):
                self._request_received(fact, now)
            elif not isinstance(fact, AckReceived):
                sender.take(fact, now=now)
            elif not self._ack_received(fact, now):
                self._discard(DiscardReason.STRAY_ACK, fact.source, _describe(fact.request), now)


def _describe(message: Request | Response) -> str:
    if isinstance(message, Request):
        return message.method
    return f"{message.status} to {message.cseq.method}"
