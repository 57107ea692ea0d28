"""The early dialogs of a call that we place: one for each callee that a forked INVITE rings, and their PRACKs.

Source: RFC 3261 12.1.2, 13.2.2.1; RFC 3262 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.call_events import Ending
from cmw.sip.dialog_request import DialogRequest
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, Response
from cmw.sip.offer_state import Move, Offer
from cmw.sip.option_tags import Support, has_option
from cmw.sip.reliable_provisional import RELIABLE, Arrival, RAck, ReliableReceiver, parse_rseq
from cmw.sip.request_checks import offer_in
from cmw.sip.session_events import CallModified

if TYPE_CHECKING:
    from cmw.sip.outbound_call import OutboundCall

MAX_LEGS = 16
"""Callees of one INVITE that are listened to; beyond that somebody makes them up."""


class EarlyDialogs:
    """The dialogs that provisional responses to our INVITE open.

    Args:
        call: the call.
        offer: whose offer the INVITE leaves open.
    """

    __slots__ = ("_call", "_lost", "_offer", "_unacknowledged", "legs")

    def __init__(self, call: OutboundCall, offer: Offer) -> None:
        self._call = call
        self._offer = offer
        self.legs: dict[str, Leg] = {}
        self._unacknowledged: dict[str, RAck] = {}
        self._lost: dict[str, RAck] = {}

    def take(self, invite: Request, response: Response, source: Hop) -> Leg | None:
        """Return the dialog of a response with a tag, None when there are too many."""
        tag = response.to_tag
        leg = self.legs.get(tag)
        if leg is None:
            if len(self.legs) >= MAX_LEGS:
                return None
            leg = self.legs[tag] = Leg(tag, self._offer)
            self._call.counts.early_dialogs += 1
        leg.remember(invite, response, source)
        return leg

    def receive_reliable(self, leg: Leg, invite: Request, response: Response, *, now: Nanos) -> Arrival | None:
        """Take a provisional response that may be reliable; None when it is not."""
        rseq = parse_rseq(response.headers)
        if rseq is None or not has_option(response.headers, "Require", RELIABLE):
            return None
        if self._call.options.reliable is Support.OFF:
            return None
        if leg.receiver is None:
            leg.receiver = ReliableReceiver()
        arrival = leg.receiver.receive(rseq)
        if arrival is Arrival.NEW:
            self._unacknowledged[leg.remote_tag] = RAck(rseq, invite.seq)
        elif arrival is Arrival.REPEATED and leg.remote_tag in self._lost:
            self._send_prack(leg, self._lost.pop(leg.remote_tag), b"", now)
        return arrival

    def negotiate(self, leg: Leg, body: bytes) -> bool:
        """Take the body of a reliable response: answer or offer; return whether its PRACK waits for our user.

        A further description, after the answer, changes nothing. Source: RFC 6337 3.1.1.
        """
        if not body or leg.is_answered:
            return self._call.options.defers_prack
        if self._offer is Offer.NONE:
            return leg.offers.take(Move.RECEIVE_OFFER)
        leg.is_answered = leg.offers.take(Move.RECEIVE_ANSWER)
        return self._call.options.defers_prack

    def acknowledge(self, leg: Leg, body: bytes, *, now: Nanos) -> None:
        """Send the PRACK of the last reliable response, with an answer or an offer of our user."""
        rack = self._unacknowledged.get(leg.remote_tag)
        if rack is None:
            raise LocalProtocolError(f"expected call {self._call.handle} to have a PRACK to send, found none")
        if leg.offers.offer is Offer.REMOTE and not leg.is_answered:
            leg.is_answered = leg.offers.take(Move.SEND_ANSWER)
        elif body and not leg.offers.take(Move.SEND_OFFER):
            raise LocalProtocolError(f"expected call {self._call.handle} to be ready for an offer, found one open")
        del self._unacknowledged[leg.remote_tag]
        self._call.local_body = body or self._call.local_body
        self._send_prack(leg, rack, body, now)

    def close(self) -> None:
        """Let go of the call, which is over: nothing but `legs` is asked for any more, by a 2xx that comes late."""
        del self._call

    @property
    def waiting_leg(self) -> Leg | None:
        """Return a dialog whose reliable response waits for `acknowledge`."""
        return next((self.legs[tag] for tag in self._unacknowledged if tag in self.legs), None)

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take the answer to a PRACK; of one with an offer it brings the answer."""
        if response.status >= 300:
            asked.leg.offers.take(Move.RECEIVE_ANSWER)
        elif asked.body and asked.leg.offers.take(Move.RECEIVE_ANSWER):
            body = offer_in(response)
            asked.leg.body = body or asked.leg.body
            self._call.emit(CallModified(self._call.handle, body, now, Ending.LOCAL, "PRACK"))

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence to a PRACK; it is sent again should its response still come again."""
        asked.leg.offers.take(Move.RECEIVE_ANSWER)
        rack = next((value for name, value in asked.headers if name == "RAck"), "")
        if status and rack:
            rseq, cseq, method = rack.split(" ")
            self._lost[asked.leg.remote_tag] = RAck(int(rseq), int(cseq), method)

    def _send_prack(self, leg: Leg, rack: RAck, body: bytes, now: Nanos) -> None:
        call = self._call
        headers = [("RAck", str(rack))]
        if body:
            headers.append(("Content-Type", SDP_TYPE))
        call.counts.pracks += 1
        call.instants.prack_at = call.instants.prack_at or now
        call.ask(DialogRequest("PRACK", leg, self, tuple(headers), body), now=now)
