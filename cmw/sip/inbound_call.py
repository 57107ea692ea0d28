"""A call that we are offered. Source: RFC 3261 9.2, 13.3."""

from __future__ import annotations

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.authentication import Authentication
from cmw.sip.call import Call
from cmw.sip.call_events import CallCancelled, CallConfirmed, CallEnded, CallOffered, CallTimedOut, Ending, TimeoutStage
from cmw.sip.call_options import PLAIN, CallOptions
from cmw.sip.call_state import CallState, CallTimer
from cmw.sip.dialog import Dialog
from cmw.sip.events import CallEvent
from cmw.sip.grammar import read_seconds
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.lookup import literal_hop
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, make_response
from cmw.sip.methods import ALLOW
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.offer_state import Move, Offer
from cmw.sip.option_tags import Support, has_option, supports
from cmw.sip.reliable_provisional import RELIABLE
from cmw.sip.reliable_ringing import ReliableRinging
from cmw.sip.request_checks import offer_in
from cmw.sip.session_timer import SMALLEST_MIN_SE_S
from cmw.sip.stack import Stack
from cmw.sip.status import reason_phrase
from cmw.sip.transaction import Transaction
from cmw.sip.uri import is_sips

Rows = tuple[tuple[str, str], ...]

RING_AGAIN_NS: Nanos = 60 * SECOND
"""How often a call that still rings says so, lest a proxy cancels it. Source: RFC 3261 13.3.1.1."""

RING_AGAIN_RELIABLY_NS: Nanos = 150 * SECOND
"""The same where PRACK has shown that it was heard. Source: RFC 3262 3."""


class InboundCall(Call):
    """A call to here; `start` queues 100 and offers it to the user.

    Args:
        stack: what the calls of the user agent share.
        handle: the number that the user knows it by.
        invite: the transaction of the INVITE.
        source: where the INVITE came from.
        user: user part of the Request-URI, "" when there is none; our Contact has it too, and the account registered
            with it answers challenges to our requests.
        options: what the call may use.
        replaced: the call that this one takes the place of.
    """

    __slots__ = ("_bye_wanted", "_held", "_invite", "_replaced", "_ringing", "_rung", "_source", "_user")

    def __init__(
        self,
        stack: Stack,
        handle: int,
        invite: Transaction,
        source: Hop,
        user: str,
        options: CallOptions = PLAIN,
        replaced: Call | None = None,
    ) -> None:
        account = stack.accounts.get(user)
        contact = stack.contact(user, source, is_secure=_is_secure(invite.request))
        credentials = account.credentials if account is not None else None
        authentication = Authentication(credentials, stack.ids, stack.realms.get(user))
        super().__init__(stack, handle, contact, authentication, options)
        if account is not None:
            self._home = stack.homes.get(user) or account.destination or literal_hop(account.registrar)
            if self._home is not None and self._home[:3] == source[:3]:
                self._own_flow = min(self._home.flow, 0)
        request = invite.request
        self._invite = invite
        self._user = user
        self._source = source
        self._replaced = replaced
        self._bye_wanted = False
        self._held: tuple[bytes, Rows] | None = None
        self._rung: tuple[int, bytes, Rows, bool | None] = (180, b"", (), None)
        self._ringing: ReliableRinging | None = None
        self.state = CallState.PROCEEDING
        self.call_id = request.call_id
        self.local_tag = stack.ids.tag()
        self.local_uri = request.to.uri
        self.remote_uri = request.from_.uri
        dialog = Dialog.of_callee(request, self.local_tag, stack.ids.cseq(), source)
        body = offer_in(request)
        self.leg = Leg(dialog.remote_tag, Offer.REMOTE if body else Offer.NONE, dialog)
        self.leg.body = body
        timer = options.session_timer
        if timer.expires_s or timer.min_se_s > SMALLEST_MIN_SE_S or timer.mode is Support.REQUIRED:
            self.keeper.timer.begin()

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Answer 100 and tell the user."""
        self.stack.dialogs[self.call_id, self.local_tag] = self
        self.instants.invite_at = self.instants.trying_at = now
        self.stack.respond(self._invite, 100, now=now)
        if not self.options.rings_on:
            self.timers.set(CallTimer.FINAL_DUE, now + self.stack.timing.timer_c_ns)
        request = self._invite.request
        expires_s = read_seconds(request.headers.get("Expires"))
        if expires_s is not None and not request.to_tag:
            self.timers.set(CallTimer.EXPIRY, now + expires_s * SECOND)
        self.rearm()
        self.emit(
            CallOffered(
                call=self.handle,
                request_user=self._user,
                request_uri=request.uri,
                from_uri=self.remote_uri,
                call_id=self.call_id,
                body=offer_in(request),
                source=self._source,
                at=now,
                replaces=self._replaced.handle if self._replaced is not None else None,
                request=request,
            )
        )

    def cancel_received(self, transaction: Transaction, reason: str, *, now: Nanos) -> None:
        """Take a CANCEL of the INVITE; it has no effect after a final response. Source: RFC 3261 9.2."""
        if transaction is not self._invite:
            super().cancel_received(transaction, reason, now=now)
        elif self._is_open:
            self._refuse(487, "", (), now)
            self._end(CallCancelled(self.handle, now, reason), now)

    # commands

    def ring(self, status: int, body: bytes, headers: Rows, reliable: bool | None, *, now: Nanos) -> None:
        """Send a provisional response, 101 to 199.

        Args:
            reliable: None leaves it to what the caller requires and to our options.
        """
        if not 101 <= status <= 199:
            raise LocalProtocolError(f"expected a status of 101 to 199 to ring with, found {status}")
        self._require_proceeding()
        is_reliable = self._rings_reliably(reliable)
        if is_reliable:
            self._reliably.require_room()
        if status == 180:
            self.instants.ringing_at = self.instants.ringing_at or now
        if status == 183 and body:
            self.instants.progress_at = self.instants.progress_at or now
        if is_reliable:
            self._ring_reliably(status, body, headers, now)
        else:
            rows = self._response_rows(headers, body)
            self.stack.respond(self._invite, status, to_tag=self.local_tag, headers=rows, body=body, now=now)
        self._rung = status, body, headers, reliable
        self.timers.set(CallTimer.RING_AGAIN, now + (RING_AGAIN_RELIABLY_NS if is_reliable else RING_AGAIN_NS))
        self.rearm()

    def answer(self, body: bytes, headers: Rows, *, now: Nanos) -> None:
        """Send 200 and repeat it until the ACK; not before a description in a reliable response is acknowledged."""
        self._require_proceeding()
        self.state = CallState.ACCEPTED
        if self._ringing is not None and self._ringing.holds_answer:
            self._held = body, headers
        else:
            self._accept(body, headers, now)
        self.rearm()

    def reject(self, status: int, reason: str, headers: Rows, *, now: Nanos) -> None:
        """Send a final response of 300 to 699; the call is over."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"expected a status of 300 to 699 to reject with, found {status}")
        self._require_proceeding()
        self._refuse(status, reason, headers, now)
        self._end(CallEnded(self.handle, Ending.LOCAL, self.reason, status, now), now)

    def hang_up(self, reason: str, *, now: Nanos) -> None:
        """Answer 480 before our 200, send BYE after its ACK; in between wait for the ACK. Source: RFC 3261 15."""
        if self._is_open:
            self._refuse(480, "", (("Reason", reason),) if reason else (), now)
            self._end(CallEnded(self.handle, Ending.LOCAL, self.reason, 480, now), now)
        elif self.state is CallState.ACCEPTED:
            self._bye_wanted, self._bye_reason = True, reason
        else:
            super().hang_up(reason, now=now)

    def count_repetition(self) -> None:
        """Count a reliable response that was sent again."""
        self._retransmissions_sent += 1

    # private

    @property
    def _is_open(self) -> bool:
        """Tell whether no final response went out yet."""
        return self.state is CallState.PROCEEDING or self._held is not None

    @property
    def _reliably(self) -> ReliableRinging:
        if self._ringing is None:
            self._ringing = ReliableRinging(self, self._invite)
        return self._ringing

    def _rings_reliably(self, wanted: bool | None) -> bool:
        headers = self._invite.request.headers
        is_required = has_option(headers, "Require", RELIABLE)
        if wanted is None:
            wanted = self.options.reliable is Support.REQUIRED or is_required
        elif is_required and not wanted:
            raise LocalProtocolError(f"expected call {self.handle} to ring reliably, as its caller requires")
        elif wanted and not supports(headers, RELIABLE):
            raise LocalProtocolError(f"expected the caller of call {self.handle} to support 100rel, found it does not")
        return wanted and self.options.reliable is not Support.OFF

    def _ring_reliably(self, status: int, body: bytes, headers: Rows, now: Nanos) -> None:
        """Send a reliable response; a description in it is the answer to the offer, or an offer. RFC 6337 table 1."""
        leg = self.leg
        assert leg is not None
        if body and not leg.is_answered and leg.offers.take(Move.SEND_ANSWER):
            leg.is_answered = True
        elif body and (leg.is_answered or not leg.offers.take(Move.SEND_OFFER)):
            body = b""  # it was sent already. RFC 6337 3.1.1
        self.local_body = body or self.local_body
        rows = self._response_rows(headers, body)
        response = make_response(self._invite.request, status, to_tag=self.local_tag, headers=rows, body=body)
        response.headers.add("Server", self.stack.user_agent)
        self._reliably.send(response, now=now)

    def _response_rows(self, headers: Rows, body: bytes) -> list[tuple[str, str]]:
        rows = [("Record-Route", value) for value in self._invite.request.headers.get_all("Record-Route")]
        rows.append(("Contact", self.contact))
        rows.append(("Allow", ALLOW))
        rows += headers
        if body:
            rows.append(("Content-Type", SDP_TYPE))
        return rows

    def _accept(self, body: bytes, headers: Rows, now: Nanos) -> None:
        leg = self.leg
        assert leg is not None
        self._held = None
        if leg.is_answered:
            body = b""  # "the 2xx ... MUST NOT contain a session description" other than the one agreed. RFC 6337
        elif leg.offers.offer is Offer.REMOTE:
            leg.is_answered = leg.offers.take(Move.SEND_ANSWER)
        elif body:
            leg.offers.take(Move.SEND_OFFER)
        leg.is_confirmed = True
        self.local_body = body or self.local_body
        self.status, self.reason = 200, reason_phrase(200)
        self.instants.answered_at = now
        if self._ringing is not None:
            self._ringing.stop()
        self.timers.clear()
        request = self._invite.request
        rows = [*self._response_rows((), b""), ("Supported", self.options.supported), *headers]
        if self.has_keeper or "Session-Expires" in request.headers:
            rows += self.keeper.success_rows(request.headers, now=now)
        if body:
            rows.append(("Content-Type", SDP_TYPE))
        self.await_ack(self._invite, now=now)
        self.stack.respond(self._invite, 200, to_tag=self.local_tag, headers=rows, body=body, now=now)
        if self._replaced is not None:
            self._replaced.replace(self.handle, now=now)

    def _refuse(self, status: int, reason: str, headers: Rows, now: Nanos) -> None:
        self._held = None
        if self._ringing is not None:
            self._ringing.stop()
        if self._changes is not None:
            self._changes.close(now=now)
        self.status, self.reason = status, reason or reason_phrase(status)
        self.stack.respond(self._invite, status, reason, to_tag=self.local_tag, headers=headers, now=now)

    def _require_proceeding(self) -> None:
        if self.state is not CallState.PROCEEDING:
            raise LocalProtocolError(f"expected call {self.handle} to be unanswered, found it {self.state}")

    def _acknowledged(self, body: bytes, now: Nanos) -> None:
        if self.state is not CallState.ACCEPTED:
            super()._acknowledged(body, now)
            return
        assert self.leg is not None
        self.leg.body = body or self.leg.body
        self.leg.is_answered = self.leg.offers.take(Move.RECEIVE_ANSWER) or self.leg.is_answered
        self.state = CallState.CONFIRMED
        self.instants.acked_at = now
        self.emit(CallConfirmed(self.handle, body, now))
        if self._keeper is not None:
            self._keeper.arm()
        if self._bye_wanted:
            self.send_bye(self._bye_reason, now=now)

    def _prack_received(self, leg: Leg, transaction: Transaction, now: Nanos) -> None:
        if self._ringing is None:
            super()._prack_received(leg, transaction, now)
            return
        is_taken = self._ringing.prack_received(leg, transaction, now=now)
        if is_taken and self._held is not None and not self._ringing.holds_answer:
            self._accept(*self._held, now)

    def _bye_received(self, transaction: Transaction, now: Nanos) -> None:
        """Take a BYE; before our answer it is as good as a CANCEL. Source: RFC 3261 15.1.2."""
        if not self._is_open:
            super()._bye_received(transaction, now)
            return
        reason = transaction.request.headers.get("Reason") or ""
        self.stack.respond(transaction, 200, now=now)
        self.instants.bye_at = now
        self.cancel_received(self._invite, reason, now=now)

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.FINAL_DUE:
            self._refuse(480, "", (), now)
            self._end(CallTimedOut(self.handle, TimeoutStage.RINGING, now), now)
        elif timer is CallTimer.EXPIRY:
            # "If the invitation expires before the UAS has generated a final response, a 487 ... SHOULD be generated."
            self._refuse(487, "", (), now)
            self._end(CallTimedOut(self.handle, TimeoutStage.EXPIRED, now), now)
        elif timer is CallTimer.RING_AGAIN:
            if self.state is CallState.PROCEEDING:
                self.ring(*self._rung, now=now)
        elif timer is CallTimer.PROVISIONAL and self._ringing is not None:
            if not self._ringing.fire(now=now):
                self._refuse(504, "No PRACK", (), now)
                self._end(CallTimedOut(self.handle, TimeoutStage.PRACK, now), now)
        else:
            super()._fire(timer, now)

    def _end(self, event: CallEvent, now: Nanos) -> None:
        """End the call; nothing but its tag stays behind."""
        super()._end(event, now)
        self.stack.layer.settle(self._invite, self.local_tag)

    def _invite_retransmissions(self) -> int:
        return self._invite.retransmissions


def _is_secure(invite: Request) -> bool:
    """Tell whether our Contact has to be a SIPS URI: by the Request-URI and the top Record-Route, or else the Contact.

    Source: RFC 3261 12.1.1.
    """
    if is_sips(invite.uri):
        return True
    value = invite.headers.get("Record-Route") or invite.headers.get("Contact")
    try:
        return value is not None and is_sips(parse_name_addr(value).uri)
    except RemoteProtocolError:
        return False
