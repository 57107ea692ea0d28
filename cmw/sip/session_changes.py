"""Changes of a session that stands: re-INVITE and UPDATE, ours and the peer's, and what happens when they cross.

Source: RFC 3261 14, RFC 3311, RFC 6337.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.call_events import Ending
from cmw.sip.call_state import CallState, CallTimer
from cmw.sip.client_request import ClientRequest
from cmw.sip.dialog_request import DialogRequest
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, Response
from cmw.sip.methods import ALLOW
from cmw.sip.offer_state import Move, crossing_retry_after_s, glare_delay_ns
from cmw.sip.request_checks import Refusal, offer_in, refuse_accept, refuse_body
from cmw.sip.retry_after import parse_retry_after
from cmw.sip.session_events import CallModified, CallRefreshed, CallReoffered, CallReofferRejected, CallReofferWithdrawn
from cmw.sip.transaction import Transaction

if TYPE_CHECKING:
    from cmw.sip.call import Call

MAX_TRIES = 5
"""How often one change of ours is tried again after 491, 500 or 422."""

MAX_RETRY_AFTER_S = 10
"""A 500 that asks for more is told at once: a crossing request asks for 0 to 10 s. Source: RFC 3261 14.2."""


@dataclass(slots=True, eq=False)
class Change:
    """A change that we ask for, until it is agreed to or refused for good."""

    method: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    is_refresh: bool = False
    tries: int = 0


class Changes:
    """The re-INVITEs and UPDATEs of one call: at most one of ours and one of the peer's at a time.

    Args:
        call: the call.

    Attributes:
        ack: the ACK of the last 2xx that was answered here; it is sent again when that 2xx comes again.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._ours: Change | None = None
        self._is_out = False
        self._theirs: Transaction | None = None
        self._leg: Leg | None = None
        self._answer_to: tuple[Leg, ClientRequest] | None = None
        self._invite: ClientRequest | None = None
        self._is_refreshed = False
        self.ack: ClientRequest | None = None

    @property
    def is_asked(self) -> bool:
        """Tell whether a change of the peer waits for our user."""
        return self._theirs is not None

    # commands

    def offer(self, method: str, body: bytes, headers: tuple[tuple[str, str], ...], *, now: Nanos) -> None:
        """Ask for a change; without a body a re-INVITE leaves the offer to the peer."""
        if method not in ("INVITE", "UPDATE"):
            raise LocalProtocolError(f"expected INVITE or UPDATE to change a call with, found {method!a}")
        call = self._call
        leg = call.require_leg()
        self._require_idle(leg, method, bool(body))
        self._begin(leg, Change(method, body, headers), now)

    def refresh(self, method: str, body: bytes, *, now: Nanos) -> bool:
        """Wind the session timer up; return False when something else is going on."""
        leg = self._call.leg
        if leg is None or self._why_busy(leg, method, bool(body)):
            return False
        self._begin(leg, Change(method, body, (), is_refresh=True), now)
        return True

    def answer(self, body: bytes, *, now: Nanos) -> None:
        """Agree to what the peer asked for, by whatever message it waits for."""
        if self._answer_to is not None:
            self.answer_by_ack(body, now=now)
            return
        transaction, leg = self._require_theirs()
        self._theirs = self._leg = None
        method = transaction.request.method
        has_offer = bool(offer_in(transaction.request))
        leg.offers.take(Move.SEND_ANSWER if has_offer else Move.SEND_OFFER)
        leg.body = offer_in(transaction.request) or leg.body
        self._accept(leg, transaction, body, now)
        if method != "INVITE":
            self._call.counts.changes_received += 1
            self._call.instants.modified_at = now
            self._call.emit(CallModified(self._call.handle, b"", now, Ending.REMOTE, method))

    def reject(self, status: int, headers: tuple[tuple[str, str], ...] = (), *, now: Nanos) -> None:
        """Refuse what the peer asked for."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"expected a status of 300 to 699 to refuse a change with, found {status}")
        if self._answer_to is not None:
            raise LocalProtocolError("expected an offer that can be refused, found one in a 2xx: answer it or hang up")
        transaction, leg = self._require_theirs()
        self._theirs = self._leg = None
        leg.offers.take(Move.SEND_ANSWER)
        self._call.stack.respond(transaction, status, headers=headers, now=now)

    # inputs

    def request_received(self, leg: Leg, transaction: Transaction, *, now: Nanos) -> None:
        """Take a re-INVITE or UPDATE of the peer."""
        call, request = self._call, transaction.request
        if call.state is CallState.DISCONNECTING:
            call.stack.respond(transaction, 481, now=now)
            return
        status = self._crossing_status(leg, request)
        if status == 500:
            retry_after = str(crossing_retry_after_s(call.stack.ids))
            call.stack.respond(transaction, 500, headers=(("Retry-After", retry_after),), now=now)
        elif status:
            call.counts.glares += 1
            call.stack.respond(transaction, status, now=now)
        elif (refusal := self._refuse(request)) is not None:
            call.stack.respond(transaction, refusal.status, refusal.reason, headers=refusal.headers, now=now)
        else:
            if request.method == "INVITE":
                call.imply_ack(now=now)
            self._take(leg, transaction, now)

    def prack_received(self, leg: Leg, transaction: Transaction, *, now: Nanos) -> None:
        """Take a PRACK that carries an offer. Source: RFC 6337 table 1, pattern 5."""
        self._theirs, self._leg = transaction, leg
        leg.offers.take(Move.RECEIVE_OFFER)
        request = transaction.request
        self._call.emit(CallReoffered(self._call.handle, "PRACK", offer_in(request), now, request))

    def withdraw(self, transaction: Transaction, *, now: Nanos) -> None:
        """Take a CANCEL of the peer's re-INVITE."""
        if transaction is self._theirs:
            self._drop_theirs(now)

    def acknowledged(self, body: bytes, *, now: Nanos) -> None:
        """Take the ACK of our 2xx to a re-INVITE."""
        call = self._call
        if self._is_refreshed:
            self._is_refreshed = False
            self._tell_refresh("INVITE", now)
            return
        if call.leg is not None:
            call.leg.offers.take(Move.RECEIVE_ANSWER)
            call.leg.body = body or call.leg.body
        call.counts.changes_received += 1
        call.instants.modified_at = now
        call.emit(CallModified(call.handle, body, now))

    def note_invite(self, sent: ClientRequest) -> None:
        """Remember our re-INVITE, for its 2xx may come again."""
        self._invite = sent

    def response_again(self, sent: ClientRequest, response: Response, *, now: Nanos) -> None:
        """Take a 2xx to our re-INVITE that came again: its ACK was lost."""
        if sent is self._invite and 200 <= response.status < 300:
            self._call.counts.retransmissions_received += 1
            if self.ack is not None:
                self._call.stack.sender.repeat(self.ack, now=now)

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take the answer to our change."""
        self._is_out = False
        if response.status < 300:
            self._succeed(asked, response, now)
        else:
            asked.leg.offers.take(Move.RECEIVE_ANSWER)
            self._fail(asked, response, now)

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of our change without an answer."""
        self._is_out = False
        asked.leg.offers.take(Move.RECEIVE_ANSWER)
        self._give_up(status, reason, now)

    def try_again(self, *, now: Nanos) -> None:
        """Send a change again that crossed another one."""
        change, leg = self._ours, self._call.leg
        if change is None or leg is None or self._is_out:
            return
        if self._why_busy(leg, change.method, bool(change.body), is_again=True):
            self._wait(change, glare_delay_ns(self._call.stack.ids, owns_call_id=self._call.is_outbound), now)
        else:
            self._send(leg, change, now)

    def close(self, *, now: Nanos) -> None:
        """Answer what the peer still waits for: the call ends."""
        self._ours = None
        if self._theirs is not None:
            self._drop_theirs(now)
        if self._answer_to is not None:
            leg, invite = self._answer_to
            self._answer_to = None
            self.ack = self._call.send_ack(leg.dialog, invite, now=now)

    # private: ours

    def _require_idle(self, leg: Leg, method: str, has_offer: bool) -> None:
        reason = self._why_busy(leg, method, has_offer)
        if reason:
            raise LocalProtocolError(f"expected call {self._call.handle} to be ready for a change, found {reason}")

    def _why_busy(self, leg: Leg, method: str, has_offer: bool, *, is_again: bool = False) -> str:
        """Return why nothing may be asked for now, "" when it may. Source: RFC 3261 14.1, RFC 3311 5.1."""
        call = self._call
        if self._is_out or (self._ours is not None and not is_again):
            return "a change of ours open"
        if self._theirs is not None or self._answer_to is not None:
            return "a change of the peer open"
        if method == "INVITE" and (call.state is not CallState.CONFIRMED or call.awaits_ack):
            return "an INVITE not completed"
        if (has_offer or method == "INVITE") and not leg.offers.allows(Move.SEND_OFFER):
            return "an offer open"
        return ""

    def _begin(self, leg: Leg, change: Change, now: Nanos) -> None:
        if self._call.has_keeper:
            self._call.keeper.timer.begin()
        self._ours = change
        self._send(leg, change, now)

    def _send(self, leg: Leg, change: Change, now: Nanos) -> None:
        call = self._call
        headers = [("Contact", call.contact), ("Allow", ALLOW), ("Supported", call.options.supported)]
        if call.has_keeper:
            headers += call.keeper.timer.request_rows()
        self._is_out = True
        if change.body:
            leg.offers.take(Move.SEND_OFFER)
        asked = DialogRequest(change.method, leg, self, (*headers, *change.headers), change.body)
        call.ask(asked, now=now)

    def _succeed(self, asked: DialogRequest, response: Response, now: Nanos) -> None:
        call, change = self._call, self._ours
        self._ours = None
        body, before = offer_in(response), asked.leg.body
        asked.leg.body = body or before
        asked.leg.dialog.refresh_target(response)
        if call.has_keeper or "Session-Expires" in response.headers:
            call.keeper.take_success(response.headers, now=now)
        if asked.body:
            asked.leg.offers.take(Move.RECEIVE_ANSWER)
            call.local_body = asked.body
        if asked.method == "INVITE":
            invite = self._invite
            assert invite is not None
            if not asked.body and body and call.state is CallState.CONFIRMED:
                self.await_answer(asked.leg, invite, now=now)
                call.emit(CallReoffered(call.handle, "2xx", body, now))
                return
            self.ack = call.send_ack(asked.leg.dialog, invite, now=now)
        is_refresh = change is not None and change.is_refresh
        if is_refresh:
            call.counts.refreshes_sent += 1
            call.instants.refreshed_at = now
            call.emit(CallRefreshed(call.handle, Ending.LOCAL, asked.method, now))
        if not is_refresh or body not in (b"", before):
            self._tell_change(asked.method, body, now)

    def await_answer(self, leg: Leg, invite: ClientRequest, *, now: Nanos) -> None:
        """Let the user answer the offer in a 2xx; the ACK waits for it."""
        call = self._call
        leg.offers.take(Move.RECEIVE_OFFER)
        self._answer_to = leg, invite
        self.ack = None
        call.timers.set(CallTimer.ANSWER_DUE, now + call.stack.timing.timeout_ns)

    def answer_by_ack(self, body: bytes, *, now: Nanos) -> None:
        """Answer the offer in a 2xx to an INVITE of ours."""
        if self._answer_to is None:
            raise LocalProtocolError(f"expected call {self._call.handle} to wait for an answer, found it answered")
        leg, invite = self._answer_to
        self._answer_to = None
        leg.offers.take(Move.SEND_ANSWER)
        call = self._call
        call.timers.stop(CallTimer.ANSWER_DUE)
        call.local_body = body or call.local_body
        self.ack = call.send_ack(leg.dialog, invite, body, now=now)

    def _tell_change(self, method: str, body: bytes, now: Nanos) -> None:
        """Tell the answer to our offer; that to a refresh too, where the peer took the occasion to change its mind."""
        call = self._call
        call.counts.changes_sent += 1
        call.instants.modified_at = now
        if not call.is_over:
            call.emit(CallModified(call.handle, body, now, Ending.LOCAL, method))

    def _fail(self, asked: DialogRequest, response: Response, now: Nanos) -> None:
        """Try a change again where the answer says when, or otherwise how. Source: RFC 3261 14.1, RFC 4028 7.3."""
        change, call, status = self._ours, self._call, response.status
        if change is None:
            return
        if status == 491:
            call.counts.glares += 1
        if change.tries < MAX_TRIES and not call.is_over:
            change.tries += 1
            if status == 422 and call.has_keeper and call.keeper.timer.raise_interval(response.headers):
                self._send(asked.leg, change, now)
                return
            delay_ns = self._retry_delay_ns(response)
            if delay_ns is not None and call.state is CallState.CONFIRMED:
                self._wait(change, delay_ns, now)
                return
            if change.is_refresh and change.method == "UPDATE" and status in (405, 501):
                change.method, change.body = "INVITE", call.local_body
                self._send(asked.leg, change, now)
                return
        self._give_up(status, response.reason, now, response)

    def _retry_delay_ns(self, response: Response) -> Nanos | None:
        if response.status == 491:
            return glare_delay_ns(self._call.stack.ids, owns_call_id=self._call.is_outbound)
        after = parse_retry_after(response.headers) if response.status in (500, 503) else None
        return after.after_s * SECOND if after is not None and after.after_s <= MAX_RETRY_AFTER_S else None

    def _wait(self, change: Change, delay_ns: Nanos, now: Nanos) -> None:
        self._ours = change
        self._call.timers.set(CallTimer.CHANGE_AGAIN, now + delay_ns)

    def _give_up(self, status: int, reason: str, now: Nanos, response: Response | None = None) -> None:
        change, call = self._ours, self._call
        self._ours = None
        if change is None:
            return
        if change.is_refresh:
            call.keeper.refresh_failed(now=now)
        else:
            call.emit(CallReofferRejected(call.handle, change.method, status, reason, now, response))

    # private: theirs

    def _crossing_status(self, leg: Leg, request: Request) -> int:
        """Return what refuses a request that crosses another one, 0 when none does. RFC 3261 14.2, RFC 3311 5.2."""
        call = self._call
        theirs = self._theirs
        if theirs is not None and (request.method in (theirs.request.method, "INVITE") or offer_in(request)):
            return 500
        if request.method == "INVITE":
            if not leg.is_confirmed:
                # "before it sends the final response to a first INVITE ... MUST return a 500" RFC 3261 14.2
                return 491 if call.is_outbound else 500
            if self._is_out or self._answer_to is not None:
                return 491
            return leg.offers.refusal
        if not offer_in(request):
            return 0
        # nobody has anything to change before the first offer has its answer. RFC 3311 5.1
        return leg.offers.refusal or (0 if leg.is_confirmed or leg.is_answered else 500)

    def _refuse(self, request: Request) -> Refusal | None:
        """Refuse what could not be answered, or not be understood."""
        call = self._call
        if (refused := refuse_accept(request) or refuse_body(request)) is not None:
            return refused
        if call.has_keeper or "Session-Expires" in request.headers:
            refusal = call.keeper.timer.refuse(request.headers)
            return None if refusal is None else Refusal(*refusal)
        return None

    def _take(self, leg: Leg, transaction: Transaction, now: Nanos) -> None:
        call, request = self._call, transaction.request
        offer = offer_in(request)
        transaction.owner = call
        if request.method == "UPDATE" and not offer:
            self._accept(leg, transaction, b"", now)
            self._tell_refresh("UPDATE", now)
            return
        if offer and offer == leg.body and call.local_body and call.state is CallState.CONFIRMED:
            # what is in force once more, word for word, has an answer: what we said last. RFC 4028 7.4, RFC 3264 8
            self._accept(leg, transaction, call.local_body, now)
            self._is_refreshed = request.method == "INVITE"  # that is told with its ACK
            if not self._is_refreshed:
                self._tell_refresh("UPDATE", now)
            return
        if request.method == "INVITE":
            call.stack.respond(transaction, 100, now=now)
        if offer:
            leg.offers.take(Move.RECEIVE_OFFER)
        self._theirs, self._leg = transaction, leg
        call.emit(CallReoffered(call.handle, request.method, offer, now, request))

    def _tell_refresh(self, method: str, now: Nanos) -> None:
        call = self._call
        call.counts.refreshes_received += 1
        call.instants.refreshed_at = now
        call.emit(CallRefreshed(call.handle, Ending.REMOTE, method, now))

    def _accept(self, leg: Leg, transaction: Transaction, body: bytes, now: Nanos) -> None:
        """Answer 200, with all that a target refresh and the session timer ask for."""
        call, request = self._call, transaction.request
        method = request.method
        headers: list[tuple[str, str]] = []
        if method != "PRACK":
            headers += [("Contact", call.contact), ("Allow", ALLOW), ("Supported", call.options.supported)]
            if call.has_keeper or "Session-Expires" in request.headers:
                headers += call.keeper.success_rows(request.headers, now=now)
            leg.dialog.refresh_target(request)
        if method == "INVITE":
            headers += [("Record-Route", value) for value in request.headers.get_all("Record-Route")]
        if body:
            headers.append(("Content-Type", SDP_TYPE))
            call.local_body = body
        call.stack.respond(transaction, 200, headers=headers, body=body, now=now)
        if method == "INVITE":
            call.await_ack(transaction, now=now)

    def _require_theirs(self) -> tuple[Transaction, Leg]:
        if self._theirs is None or self._leg is None:
            raise LocalProtocolError(f"expected call {self._call.handle} to have an offer open, found none")
        return self._theirs, self._leg

    def _drop_theirs(self, now: Nanos) -> None:
        transaction, leg = self._require_theirs()
        self._theirs = self._leg = None
        leg.offers.take(Move.SEND_ANSWER)
        self._call.stack.respond(transaction, 487, now=now)
        self._call.emit(CallReofferWithdrawn(self._call.handle, now))
