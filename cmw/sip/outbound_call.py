"""A call that we place. Source: RFC 3261 9.1, 13.2."""

from __future__ import annotations

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.authentication import Authentication
from cmw.sip.call import Call
from cmw.sip.call_events import (
    CallAnswered,
    CallEnded,
    CallProceeding,
    CallRedirected,
    CallRejected,
    CallTimedOut,
    Ending,
    TimeoutStage,
)
from cmw.sip.call_options import PLAIN, CallOptions
from cmw.sip.call_state import CallState, CallTimer
from cmw.sip.call_transfers import Transfers
from cmw.sip.client_request import ClientRequest
from cmw.sip.dialog_request import SILENT, DialogRequest
from cmw.sip.early_dialogs import MAX_LEGS, EarlyDialogs
from cmw.sip.events import CallEvent
from cmw.sip.grammar import read_seconds
from cmw.sip.headers import Headers
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.lookup import literal_hop, uri_over
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, Response
from cmw.sip.methods import ALLOW, CHANGING_METHODS
from cmw.sip.mid_call import serve_mid_call
from cmw.sip.name_addr import NameAddr
from cmw.sip.offer_state import Move, Offer
from cmw.sip.redirect import Follow, Redirects
from cmw.sip.reliable_provisional import Arrival
from cmw.sip.request_checks import offer_in
from cmw.sip.route_set import make_path
from cmw.sip.session_timer import SMALLEST_MIN_SE_S
from cmw.sip.stack import Stack
from cmw.sip.target import Target
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_tables import State

INVITE_TRIES = 2
"""How often an INVITE is tried, 64*T1 each, where nothing came back but its hop answered others of late."""

_SESSION_PROGRESS = 183
_UNANSWERED = (CallState.CALLING, CallState.PROCEEDING, CallState.CANCELLING)
_EXPIRED = 'SIP;cause=487;text="Expires"'

_ANSWERED = frozenset((State.ACCEPTED, State.COMPLETED, State.TERMINATED))

MAX_FORKS = MAX_LEGS
"""Further callees of one INVITE whose 2xx is acknowledged and released; beyond that somebody makes them up."""

_REDIRECTIONS = frozenset(range(300, 400)) - {305, 380}
"""Statuses whose Contacts are called instead: that of a 305 is a proxy, what a 380 offers is no call. RFC 3261 21.3."""


class OutboundCall(Call):
    """A call from here; `start` sends its INVITE.

    Args:
        stack: what the calls of the user agent share.
        handle: the number that the user knows it by.
        target: whom to call.
        authentication: answers challenges to our requests.
        options: what the call may use.
    """

    __slots__ = (
        "_ack",
        "_cancel",
        "_destination",
        "_early",
        "_expires_at",
        "_forks",
        "_invite",
        "_offer",
        "_redirects",
        "_seq",
        "_target",
        "_uri",
        "report_to",
    )

    is_outbound = True

    def __init__(
        self,
        stack: Stack,
        handle: int,
        target: Target,
        authentication: Authentication,
        options: CallOptions = PLAIN,
    ) -> None:
        super().__init__(stack, handle, target.contact, authentication, options)
        self.call_id = stack.ids.call_id()
        self.local_tag = stack.ids.tag()
        self.local_uri = target.local_uri
        self.remote_uri = target.uri
        self.local_body = target.body
        self.report_to: tuple[Transfers, int] | None = None
        """The transfer of another call that this one was placed for."""
        self._target = target
        self._uri = target.uri
        self._destination = target.destination
        self._seq = stack.ids.cseq()
        self._expires_at: Nanos | None = None
        self._offer = Offer.LOCAL if target.body else Offer.NONE
        self._early = EarlyDialogs(self, self._offer)
        self._redirects: Redirects | None = None
        self._invite: ClientRequest | None = None
        self._cancel: ClientRequest | None = None
        self._ack: ClientRequest | None = None
        self._forks: dict[str, ClientRequest] = {}
        timer = options.session_timer
        if timer.expires_s or timer.min_se_s > SMALLEST_MIN_SE_S:
            self.keeper.timer.begin()

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Send the INVITE."""
        self.stack.dialogs[self.call_id, self.local_tag] = self
        self.instants.invite_at = now
        if self._target.headers:
            expires = next((value for name, value in self._target.headers if name.lower() == "expires"), None)
            expires_s = read_seconds(expires)
            self._expires_at = None if expires_s is None else now + expires_s * SECOND
        self._send_invite(now)

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to our INVITE, or to a request within a dialog."""
        if sent.method != "INVITE" or sent.request.to_tag:
            super().response_received(sent, response, source, now=now)
            return
        if not self._is_redirected:
            self._home = sent.hop
            self._own_flow = min(sent.hop.flow, 0) if sent.hop is not None else 0
        self.contact = f"<{sent.contact}>"
        if response.status < 200:
            self._proceed(sent, response, source, now)
        elif response.status < 300:
            self._succeed(sent, response, source, now)
        elif sent is self._invite:
            self._fail(response, now)
        self.rearm()

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence of the peer, or an error of the network."""
        if sent is self._cancel:
            if status == 503:
                self._give_up(reason, now)
        elif sent is not self._invite:
            super().transaction_failed(sent, status, reason, now=now)
        elif self.state is CallState.CANCELLING:
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)
        elif self.state not in (CallState.CALLING, CallState.PROCEEDING) or self._try_next_target(status, now):
            return
        elif status == 408:
            self._end(CallTimedOut(self.handle, TimeoutStage.INVITE, now), now)
        else:
            self.status, self.reason = status, reason
            self._end(CallRejected(self.handle, status, reason, now, is_response=False), now)

    # commands

    def hang_up(self, reason: str, *, now: Nanos) -> None:
        """Cancel while there is no final response, send BYE once there is."""
        if self.state not in (CallState.CALLING, CallState.PROCEEDING):
            super().hang_up(reason, now=now)
            return
        assert self._invite is not None
        self.state = CallState.CANCELLING
        self._bye_reason = reason
        self._invite.is_kept = True
        if self._invite.hop is None:
            self.stack.sender.withdraw(self._invite)
            self._end(CallEnded(self.handle, Ending.LOCAL, "cancelled before it was sent", 0, now), now)
        else:
            self._try_cancel(now)

    def acknowledge(self, body: bytes, *, now: Nanos) -> None:
        """Answer the offer in a 2xx by ACK, or that in a reliable provisional response by PRACK."""
        if self.state is CallState.CONFIRMED:
            self.changes.answer_by_ack(body, now=now)
            self.instants.acked_at = self.instants.acked_at or now
            self.rearm()
            return
        leg = self._early.waiting_leg
        if leg is None or self.state is not CallState.PROCEEDING:
            raise LocalProtocolError(f"expected call {self.handle} to wait for an answer, found it {self.state}")
        self._early.acknowledge(leg, body, now=now)

    def emit(self, event: CallEvent) -> None:
        """Tell the user, and whoever asked for the call by a transfer."""
        self.stack.events.append(event)
        if self.report_to is not None:
            self._report(*self.report_to, event)

    # private: the INVITE

    @property
    def _is_redirected(self) -> bool:
        return self._uri is not self.remote_uri

    def _send_invite(self, now: Nanos) -> None:
        target = self._target
        path = make_path(self._uri, target.routes)
        rows = [("Route", route) for route in path.routes] if path.routes else []
        rows += self._invite_rows(path.request_uri, path.next_uri)
        request = Request("INVITE", path.request_uri, Headers(rows), target.body)
        if self._expires_at is not None:
            self.timers.set(CallTimer.EXPIRY, self._expires_at)
            self.rearm()
        if self._invite is not None:
            self._retransmissions_sent += self._invite.retransmissions
        self._invite = self.stack.sender.send(
            request,
            self,
            next_uri=uri_over(path.next_uri, target.transport),
            destination=self._destination,
            contact=self.contact[1:-1],
            contact_user=target.contact_user,
            follows=self._invite,
            tries=INVITE_TRIES,
            now=now,
        )

    def _goes_home(self, next_uri: str) -> bool:
        """Tell whether our INVITE goes where the user sent it, and not where a redirection did that leads elsewhere."""
        if not self._is_redirected:
            return True
        return self._is_home(
            self._invite.hop if self._invite is not None else self._destination or literal_hop(next_uri)
        )

    def _invite_rows(self, uri: str, next_uri: str) -> list[tuple[str, str]]:
        target, options = self._target, self.options
        local = f"<{target.local_uri}>"
        if options.display_name:
            local = str(NameAddr(options.display_name, target.local_uri))
        rows = [
            ("Max-Forwards", "70"),
            ("From", f"{local};tag={self.local_tag}"),
            ("To", f"<{target.uri}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self._seq} INVITE"),
            ("Contact", self.contact),
            ("Allow", ALLOW),
            ("Supported", options.supported),
            ("User-Agent", self.stack.user_agent),
        ]
        if options is not PLAIN:
            rows += options.invite_rows()
        if self.has_keeper:
            rows += self.keeper.timer.request_rows()
        rows += self._authentication.headers("INVITE", uri, target.body, is_home=self._goes_home(next_uri))
        rows += target.headers
        if target.body:
            rows.append(("Content-Type", SDP_TYPE))
        return rows

    def _send_again(self, now: Nanos) -> None:
        """Send the INVITE once more, with credentials, a longer interval, or to another target."""
        self._seq += 1
        self.state = CallState.CALLING
        self.timers.clear()
        self._early = EarlyDialogs(self, self._offer)
        self.leg = None
        self._send_invite(now)

    # private: provisional responses

    def _proceed(self, sent: ClientRequest, response: Response, source: Hop, now: Nanos) -> None:
        if self.state not in _UNANSWERED:
            return
        leg = None
        if response.status > 100 and response.to_tag:
            leg = self._early.take(sent.request, response, source)
            if leg is None:
                self._ignore_fork()
        arrival = None
        if leg is not None and "RSeq" in response.headers:
            arrival = self._early.receive_reliable(leg, sent.request, response, now=now)
            if arrival not in (None, Arrival.NEW):
                return
        self._note_provisional(response, now)
        is_cancelling = self.state is CallState.CANCELLING
        if not is_cancelling:
            self.state = CallState.PROCEEDING
            self.timers.set(CallTimer.FINAL_DUE, now + self.stack.timing.timer_c_ns)
        wants_answer = False
        is_reliable = arrival is not None
        body = offer_in(response)
        if leg is not None:
            self.leg = leg
            if is_reliable:
                wants_answer = self._early.negotiate(leg, body) and not is_cancelling
                if not wants_answer:
                    self._early.acknowledge(leg, b"", now=now)
            leg.body = body or leg.body
        if is_cancelling:
            self._try_cancel(now)
            return
        tag = leg.remote_tag if leg is not None else ""
        status, reason = response.status, response.reason
        self.emit(CallProceeding(self.handle, status, reason, body, now, tag, is_reliable, wants_answer, response))

    def _note_provisional(self, response: Response, now: Nanos) -> None:
        instants = self.instants
        if response.status == 100 and instants.trying_at is None:
            instants.trying_at = now
        elif response.status == 180 and instants.ringing_at is None:
            instants.ringing_at = now
        elif response.status == _SESSION_PROGRESS and response.body and instants.progress_at is None:
            instants.progress_at = now

    # private: CANCEL

    def _try_cancel(self, now: Nanos) -> None:
        """Send CANCEL once a provisional response allows it. Source: RFC 3261 9.1."""
        assert self._invite is not None
        if self._cancel is None and self._invite.state is State.PROCEEDING:
            headers = (("Reason", self._bye_reason),) if self._bye_reason else ()
            self._cancel = self.stack.sender.cancel(self._invite, self, headers, now=now)
            self.timers.clear()
            self.timers.set(CallTimer.CANCEL_DUE, now + self.stack.timing.timeout_ns)
            self.rearm()

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.FINAL_DUE:
            self._try_cancel(now)
            self._end(CallTimedOut(self.handle, TimeoutStage.RINGING, now), now)
            self.timers.set(CallTimer.CANCEL_DUE, now + self.stack.timing.timeout_ns)
        elif timer is CallTimer.EXPIRY:
            # "the UAC core SHOULD generate a CANCEL request for the INVITE" RFC 3261 13.2.1
            self.hang_up(_EXPIRED, now=now)
        elif timer is CallTimer.CANCEL_DUE:
            self._give_up("no final response after CANCEL", now)
        else:
            super()._fire(timer, now)

    def _give_up(self, reason: str, now: Nanos) -> None:
        """Forget an INVITE that was cancelled in vain. Source: RFC 3261 9.1."""
        if self._invite is not None and self._invite.state in (State.CALLING, State.PROCEEDING):
            self.stack.sender.withdraw(self._invite)
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)

    # private: final responses

    def _succeed(self, sent: ClientRequest, response: Response, source: Hop, now: Nanos) -> None:
        """Take a 2xx: the first makes the call, its repetitions are acknowledged again, those of forks released."""
        remote_tag = response.to_tag
        leg = self.leg
        if leg is not None and leg.is_confirmed and leg.remote_tag == remote_tag:
            self.counts.retransmissions_received += 1
            ack = self._ack or (self._changes.ack if self._changes is not None else None)
            if ack is not None:
                self.stack.sender.repeat(ack, now=now)
        elif (leg is not None and leg.is_confirmed) or self.state is CallState.ENDED:
            self._release_fork(sent, response, source, remote_tag, now)
        else:
            self._accept(sent, response, source, remote_tag, now)

    def _accept(self, sent: ClientRequest, response: Response, source: Hop, remote_tag: str, now: Nanos) -> None:
        was_cancelled = self.state is CallState.CANCELLING
        self.status, self.reason = response.status, response.reason
        leg = self._early.legs.get(remote_tag) or Leg(remote_tag, self._offer)
        dialog = leg.confirm(sent.request, response, source)
        self.leg = leg
        self.instants.answered_at = now
        self.timers.clear()
        if self._invite is not None and self._invite is not sent:
            self.stack.sender.settle(self._invite, now=now)  # the 2xx is late, and of one that was given up
        self.state = CallState.CONFIRMED
        body = leg.body = self._settle_offer(leg, offer_in(response))
        wants_answer = leg.offers.offer is Offer.REMOTE and not was_cancelled
        if wants_answer:
            self.changes.await_answer(leg, sent, now=now)
        else:
            self._ack = self.send_ack(dialog, sent, now=now)
            self.instants.acked_at = now
        if was_cancelled:
            # "the client ... SHOULD send a BYE" for a 2xx that crossed the CANCEL. RFC 3261 15, 9.1
            self.send_bye(self._bye_reason, now=now)
            return
        if self.has_keeper or "Session-Expires" in response.headers:
            self.keeper.take_success(response.headers, now=now)
        self.emit(CallAnswered(self.handle, response.status, body, source, now, wants_answer, response))

    def _settle_offer(self, leg: Leg, body: bytes) -> bytes:
        """Return the session description that the 2xx stands for: its own, or an earlier one. RFC 6337 3.1.1."""
        if leg.is_answered:
            return leg.body
        if self._offer is Offer.NONE:
            if body:
                leg.offers.take(Move.RECEIVE_OFFER)
            return body
        leg.is_answered = leg.offers.take(Move.RECEIVE_ANSWER)
        return body or leg.body

    def _release_fork(self, sent: ClientRequest, response: Response, source: Hop, remote_tag: str, now: Nanos) -> None:
        """Acknowledge another callee's 2xx and send it BYE; one call is enough. Source: RFC 3261 13.2.2.4."""
        known = self._forks.get(remote_tag)
        if known is not None:
            self.stack.sender.repeat(known, now=now)
            return
        if len(self._forks) >= MAX_FORKS:
            self._ignore_fork()
            return
        leg = self._early.legs.get(remote_tag) or Leg(remote_tag, self._offer)
        self._forks[remote_tag] = self.send_ack(leg.confirm(sent.request, response, source), sent, now=now)
        self.counts.forks_released += 1
        self.ask(DialogRequest("BYE", leg, SILENT), now=now)

    def _ignore_fork(self) -> None:
        """Count a response of one callee too many: somebody makes them up."""
        self.counts.forks_ignored += 1
        self.stack.forks_ignored += 1

    def _fail(self, response: Response, now: Nanos) -> None:
        if self.state is CallState.ENDED:
            self.timers.clear()
            return
        if self.state is not CallState.CANCELLING and self._is_worth_a_try(response, now):
            self._send_again(now)
            return
        self.status, self.reason = response.status, response.reason
        if self.state is CallState.CANCELLING:
            self._end(CallEnded(self.handle, Ending.LOCAL, response.reason, response.status, now), now)
        else:
            event = CallRejected(self.handle, response.status, response.reason, now, response=response)
            self._end(event, now)

    def _is_worth_a_try(self, response: Response, now: Nanos) -> bool:
        """Tell whether the INVITE goes out once more: with credentials, a longer interval, or to another target."""
        status = response.status
        if status in (401, 407):
            if self._authentication.absorb(response, is_home=self._goes_home("")):
                self.counts.challenges += 1
                return True
        elif status == 422:
            return self.has_keeper and self.keeper.timer.raise_interval(response.headers)
        if status in _REDIRECTIONS and self.options.redirects.follow is not Follow.NONE:
            if self._redirects is None:
                self._redirects = Redirects(self.options.redirects, self._target.uri)
            self._redirects.absorb(response)
        return status < 600 and self._choose_target(status, now)

    def _choose_target(self, status: int, now: Nanos) -> bool:
        """Take the next target of a redirection; return whether there is one."""
        target = self._redirects.next_target() if self._redirects is not None else None
        if target is None:
            return False
        self._uri = target
        if literal_hop(target) is not None:
            self._destination = None
        if self._invite is not None:
            self._retransmissions_sent += self._invite.retransmissions
            self._invite = None
        self.counts.redirections += 1
        self._authentication.begin()
        self.emit(CallRedirected(self.handle, status, target, now))
        return True

    def _try_next_target(self, status: int, now: Nanos) -> bool:
        """Go on to another target of a redirection when one is silent."""
        if not self._choose_target(status, now):
            return False
        self._send_again(now)
        return True

    # private: requests of callees

    def _find_leg(self, remote_tag: str) -> Leg | None:
        leg = self.leg
        if leg is not None and leg.remote_tag == remote_tag:
            return leg
        if leg is not None and leg.is_confirmed:
            return None
        return self._early.legs.get(remote_tag)

    def _stray_request(self, transaction: Transaction, source: Hop, now: Nanos) -> None:
        """Answer a request of a callee whose responses we have not seen, or do not want."""
        request = transaction.request
        if self.leg is not None and self.leg.is_confirmed:
            is_fork = request.method == "BYE" and request.from_tag in self._forks
            self.stack.respond(transaction, 200 if is_fork else 481, now=now)
        elif request.method == "BYE":
            self._bye_received(transaction, now)
        elif request.method in CHANGING_METHODS:
            self.stack.respond(transaction, 491, now=now)
        elif request.method in ("PRACK", "REFER"):
            self.stack.respond(transaction, 481, now=now)
        else:
            serve_mid_call(self.stack, self.handle, transaction, source, self.options, now=now)

    def _bye_received(self, transaction: Transaction, now: Nanos) -> None:
        """Take a BYE; before a 2xx it is that of a callee who gave up on our ACK: the 2xx was lost each time.

        It is acknowledged should it still come.
        """
        super()._bye_received(transaction, now)
        if self._invite is not None and self._invite.state in (State.CALLING, State.PROCEEDING):
            self.timers.set(CallTimer.CANCEL_DUE, now + self.stack.timing.timeout_ns)
            self.rearm()

    def _report(self, transfers: Transfers, transfer: int, event: CallEvent) -> None:
        status, reason = 0, ""
        if isinstance(event, (CallProceeding, CallAnswered, CallRejected)):
            status = event.status
            reason = "" if isinstance(event, CallAnswered) else event.reason
        elif isinstance(event, (CallTimedOut, CallEnded)):
            status = 408 if isinstance(event, CallTimedOut) else 487
        if status:
            transfers.report(transfer, status, reason, now=event.at)
        if status >= 200:
            self.report_to = None

    def _end(self, event: CallEvent, now: Nanos) -> None:
        """End the call; once its INVITE has its final response, it is not held in a circle of references any more.

        The transaction that absorbs repetitions still holds the call; with that it goes, without the garbage collector.
        """
        super()._end(event, now)
        if self._invite is not None and self._invite.state in _ANSWERED:
            self._retransmissions_sent += self._invite.retransmissions
            self._invite = None
            self._early.close()
            if self.leg is not None and self._changes is None and self._transfers is None:
                self.leg.close()
            del self._target

    def _invite_retransmissions(self) -> int:
        return self._invite.retransmissions if self._invite is not None else 0
