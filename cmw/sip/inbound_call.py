"""A call that we are offered. Source: RFC 3261 9.2, 13.3."""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.authentication import Authentication
from cmw.sip.call import Call, CallState, CallTimer
from cmw.sip.dialog import Dialog
from cmw.sip.events import (
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallTimedOut,
    Ending,
    TimeoutStage,
)
from cmw.sip.hop import Hop
from cmw.sip.lookup import literal_hop
from cmw.sip.message import Request
from cmw.sip.request_checks import offer_in
from cmw.sip.stack import ALLOW, SDP_TYPE, Stack
from cmw.sip.status import reason_phrase
from cmw.sip.transaction import Transaction


class InboundCall(Call):
    """A call to here; `start` queues 100 and offers it to the user.

    Args:
        stack: what the calls of the listener share.
        handle: the number that the user knows it by.
        invite: the transaction of the INVITE.
        source: where the INVITE came from.
        user: user part of the Request-URI, "" when there is none; our Contact has it too, and the account registered
            with it answers challenges to our requests.
    """

    def __init__(self, stack: Stack, handle: int, invite: Transaction, source: Hop, user: str) -> None:
        account = stack.accounts.get(user)
        contact = stack.contact(user, source, is_secure=invite.request.uri.lower().startswith("sips:"))
        credentials = account.credentials if account is not None else None
        authentication = Authentication(credentials, stack.ids, stack.realms.get(user))
        super().__init__(stack, handle, contact, authentication)
        if account is not None:
            self._home = account.destination or literal_hop(account.registrar)
        request = invite.request
        self._invite = invite
        self._user = user
        self._source = source
        self._bye_wanted = False
        self.state = CallState.PROCEEDING
        self.call_id = request.call_id
        self.local_tag = stack.ids.tag()
        self.local_uri = request.to.uri
        self.remote_uri = request.from_.uri
        self._dialog = Dialog.of_callee(request, self.local_tag, stack.ids.cseq(), source)

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Answer 100 and tell the user."""
        self._stack.dialogs[self.call_id, self.local_tag] = self
        self.instants.invite_at = self.instants.trying_at = now
        self._stack.respond(self._invite, 100, now=now)
        self._timers.set(CallTimer.FINAL_DUE, now + self._stack.timing.timer_c_ns)
        self._rearm()
        request = self._invite.request
        self._emit(
            CallOffered(
                call=self.handle,
                request_user=self._user,
                request_uri=request.uri,
                from_uri=self.remote_uri,
                call_id=self.call_id,
                body=offer_in(request),
                source=self._source,
                at=now,
            )
        )

    def request_received(self, transaction: Transaction, source: Hop, *, now: Nanos) -> None:
        """Take a request of the caller."""
        assert self._dialog is not None
        if (transaction.request.from_.tag or "") != self._dialog.remote_tag:
            self._stack.respond(transaction, 481, now=now)
        else:
            super().request_received(transaction, source, now=now)

    def cancel_received(self, *, now: Nanos) -> None:
        """Take a CANCEL of the INVITE; it has no effect after a final response. Source: RFC 3261 9.2."""
        if self.state is CallState.PROCEEDING:
            self._refuse(487, "", (), now)
            self._end(CallCancelled(self.handle, now), now)

    # commands

    def ring(self, status: int, body: bytes, *, now: Nanos) -> None:
        """Send a provisional response, 101 to 199."""
        if not 101 <= status <= 199:
            raise LocalProtocolError(f"expected a status of 101 to 199 to ring with, found {status}")
        self._require_proceeding()
        if status == 180:
            self.instants.ringing_at = self.instants.ringing_at or now
        if status == 183 and body:
            self.instants.progress_at = self.instants.progress_at or now
        self._respond(status, body, now)

    def answer(self, body: bytes, *, now: Nanos) -> None:
        """Send 200 and repeat it until the ACK."""
        self._require_proceeding()
        self.state = CallState.ACCEPTED
        self.status, self.reason = 200, reason_phrase(200)
        self.instants.answered_at = now
        self._timers.clear()
        self._await_ack(self._invite, now)
        self._respond(200, body, now)

    def reject(self, status: int, reason: str, headers: tuple[tuple[str, str], ...], *, now: Nanos) -> None:
        """Send a final response of 300 to 699; the call is over."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"expected a status of 300 to 699 to reject with, found {status}")
        self._require_proceeding()
        self._refuse(status, reason, headers, now)
        self._end(CallEnded(self.handle, Ending.LOCAL, self.reason, status, now), now)

    def hang_up(self, *, now: Nanos) -> None:
        """Answer 480 before our 200, send BYE after its ACK; in between wait for the ACK. Source: RFC 3261 15."""
        if self.state is CallState.PROCEEDING:
            self.reject(480, "", (), now=now)
        elif self.state is CallState.ACCEPTED:
            self._bye_wanted = True
        else:
            super().hang_up(now=now)

    # private

    def _respond(self, status: int, body: bytes, now: Nanos) -> None:
        headers = [("Record-Route", value) for value in self._invite.request.headers.get_all("Record-Route")]
        headers.append(("Contact", self._contact))
        if status >= 200:
            headers += [("Allow", ALLOW), ("Supported", "")]
        if body:
            headers.append(("Content-Type", SDP_TYPE))
        self._stack.respond(self._invite, status, to_tag=self.local_tag, headers=headers, body=body, now=now)

    def _refuse(self, status: int, reason: str, headers: tuple[tuple[str, str], ...], now: Nanos) -> None:
        self.status, self.reason = status, reason or reason_phrase(status)
        self._stack.respond(self._invite, status, reason, to_tag=self.local_tag, headers=headers, now=now)

    def _require_proceeding(self) -> None:
        if self.state is not CallState.PROCEEDING:
            raise LocalProtocolError(f"expected call {self.handle} to be unanswered, found it {self.state}")

    def _acknowledged(self, ack: Request, now: Nanos) -> None:
        if self.state is not CallState.ACCEPTED:
            super()._acknowledged(ack, now)
            return
        self.state = CallState.CONFIRMED
        self.instants.acked_at = now
        self._emit(CallConfirmed(self.handle, ack.body, now))
        if self._bye_wanted:
            self._send_bye(now)

    def _bye_received(self, transaction: Transaction, now: Nanos) -> None:
        """Take a BYE; before our answer it is as good as a CANCEL. Source: RFC 3261 15.1.2."""
        if self.state is CallState.PROCEEDING:
            self._stack.respond(transaction, 200, now=now)
            self.instants.bye_at = now
            self.cancel_received(now=now)
        else:
            super()._bye_received(transaction, now)

    def _is_negotiating(self) -> int:
        # "before it sends the final response to a first INVITE ... MUST return a 500" RFC 3261 14.2
        return 500 if self.state is CallState.PROCEEDING else 0

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.FINAL_DUE:
            self._refuse(480, "", (), now)
            self._end(CallTimedOut(self.handle, TimeoutStage.RINGING, now), now)
        else:
            super()._fire(timer, now)

    def _invite_retransmissions(self) -> int:
        return self._invite.retransmissions
