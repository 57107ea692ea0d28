"""Our reliable provisional responses to an INVITE: sent until PRACK comes, one after the other. Source: RFC 3262 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.call_events import Ending
from cmw.sip.call_state import CallTimer
from cmw.sip.leg import Leg
from cmw.sip.message import Response
from cmw.sip.offer_state import Move
from cmw.sip.reliable_provisional import RELIABLE, ReliableSender, Repeat, parse_rack
from cmw.sip.request_checks import offer_in, refuse_body
from cmw.sip.session_events import CallModified
from cmw.sip.transaction import Transaction

if TYPE_CHECKING:
    from cmw.sip.inbound_call import InboundCall


class ReliableRinging:
    """The reliable provisional responses of one inbound call.

    Args:
        call: the call.
        invite: the transaction of its INVITE.
    """

    def __init__(self, call: InboundCall, invite: Transaction) -> None:
        self._call = call
        self._invite = invite
        stack = call.stack
        self._sender: ReliableSender[Response] = ReliableSender(
            stack.ids.cseq(), invite.request.cseq.number, stack.timing
        )

    def require_room(self) -> None:
        """Raise `LocalProtocolError` if too many responses wait for their turn."""
        if self._sender.is_full:
            raise LocalProtocolError(f"expected few unacknowledged responses of call {self._call.handle}, found many")

    def send(self, response: Response, *, now: Nanos) -> None:
        """Send a provisional response, now or when those before it are acknowledged."""
        response.headers.add("Require", RELIABLE)
        self._send(self._sender.submit(response, now=now), now)

    @property
    def holds_answer(self) -> bool:
        """Tell whether a 2xx has to wait: an unacknowledged response carries a session description. RFC 3262 3.

        One that waits for its turn counts too: its description is in no other message.
        """
        return any(response.body for response in self._sender.unacknowledged)

    def prack_received(self, leg: Leg, transaction: Transaction, *, now: Nanos) -> bool:
        """Take a PRACK; return whether it acknowledged something."""
        call, request = self._call, transaction.request
        try:
            rack = parse_rack(request.headers.get("RAck") or "")
        except RemoteProtocolError as error:
            call.stack.respond(transaction, error.hint, now=now)
            return False
        if not self._sender.matches(rack):
            call.stack.respond(transaction, 481, now=now)
            return False
        if (refusal := refuse_body(request)) is not None:
            call.stack.respond(transaction, refusal.status, refusal.reason, headers=refusal.headers, now=now)
            return False
        call.counts.pracks += 1
        call.instants.prack_at = call.instants.prack_at or now
        following = self._sender.acknowledge(now=now)
        self._negotiate(leg, transaction, now)
        self._send(following, now)
        return True

    def fire(self, *, now: Nanos) -> bool:
        """Send again what is due; return False when PRACK did not come for 64*T1."""
        due = self._sender.take_due(now=now)
        if due is Repeat.GIVE_UP:
            return False
        if due is Repeat.AGAIN and self._sender.current is not None:
            self._call.count_repetition()
            self._call.stack.layer.respond(self._invite, self._sender.current, now=now)
        self._arm()
        return True

    def stop(self) -> None:
        """Send nothing more: there is a final response."""
        self._sender.stop()
        self._call.timers.stop(CallTimer.PROVISIONAL)

    def _negotiate(self, leg: Leg, transaction: Transaction, now: Nanos) -> None:
        """Take the answer in a PRACK, or leave an offer in it to our user, once the first is answered. RFC 6337 2."""
        call, body = self._call, offer_in(transaction.request)
        if body and leg.is_answered and leg.offers.allows(Move.RECEIVE_OFFER) and not call.changes.is_asked:
            call.changes.prack_received(leg, transaction, now=now)
            return
        call.stack.respond(transaction, 200, now=now)
        if body and leg.offers.take(Move.RECEIVE_ANSWER):
            leg.is_answered, leg.body = True, body
            call.emit(CallModified(call.handle, body, now, Ending.LOCAL, "PRACK"))

    def _send(self, response: Response | None, now: Nanos) -> None:
        if response is not None:
            response.headers.set("RSeq", str(self._sender.rseq))
            self._call.stack.layer.respond(self._invite, response, now=now)
        self._arm()

    def _arm(self) -> None:
        at = self._sender.next_at()
        if at is None:
            self._call.timers.stop(CallTimer.PROVISIONAL)
        else:
            self._call.timers.set(CallTimer.PROVISIONAL, at)
