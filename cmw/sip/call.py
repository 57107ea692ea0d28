"""What both sides of a call have in common once it stands: requests within the dialog, BYE, the wait for an ACK.

`OutboundCall` and `InboundCall` add how a call begins. Source: RFC 3261 12 to 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from cmw.core.clock import Nanos
from cmw.core.timers import TimerTable
from cmw.errors import LocalProtocolError
from cmw.sip.authentication import Authentication
from cmw.sip.client_request import ClientRequest
from cmw.sip.dialog import Dialog
from cmw.sip.events import (
    CallEnded,
    CallEvent,
    CallModified,
    CallReoffered,
    CallTimedOut,
    Ending,
    TimeoutStage,
)
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.request_checks import OPTIONS_HEADERS, offer_in, refuse_body, refuse_extensions
from cmw.sip.stack import ALLOW, SDP_TYPE, Stack
from cmw.sip.transaction import Transaction

RETRY_AFTER = ("Retry-After", "1")
"""How long a peer waits after a 500 for crossing requests, 0 to 10 s. Source: RFC 3261 14.2."""


class CallState(StrEnum):
    """Where a call stands."""

    CALLING = "CALLING"
    """Outbound: no response yet."""
    PROCEEDING = "PROCEEDING"
    """No final response yet; outbound: a provisional one came."""
    CANCELLING = "CANCELLING"
    """Outbound: we gave up, the final response is still to come."""
    ACCEPTED = "ACCEPTED"
    """Inbound: our 2xx is out, its ACK is still to come."""
    CONFIRMED = "CONFIRMED"
    """The call stands."""
    DISCONNECTING = "DISCONNECTING"
    """Our BYE is out."""
    ENDED = "ENDED"
    """The last event is out."""


class CallTimer(Enum):
    """The timers of a call."""

    SUCCESS_AGAIN = "SUCCESS_AGAIN"
    """Our 2xx is sent again; T1, doubling up to T2. Source: RFC 3261 13.3.1.4."""
    ACK_DUE = "ACK_DUE"
    """Our 2xx has had no ACK; 64*T1. Source: RFC 3261 13.3.1.4."""
    FINAL_DUE = "FINAL_DUE"
    """No final response after a provisional one; timer C. Source: RFC 3261 16.6."""
    CANCEL_DUE = "CANCEL_DUE"
    """No final response after CANCEL; 64*T1. Source: RFC 3261 9.1."""


@dataclass(slots=True)
class CallInstants:
    """When a call came by each of its stations: instants of `now`, None for those that it has not reached.

    A message that we send counts when it is queued, which the driver sends before it does anything else.

    Args:
        invite_at: first INVITE, sent or received.
        trying_at: 100.
        ringing_at: first 180.
        progress_at: first 183 with a body.
        answered_at: 2xx.
        acked_at: its ACK.
        bye_at: BYE, sent or received.
        ended_at: the last event.
    """

    invite_at: Nanos | None = None
    trying_at: Nanos | None = None
    ringing_at: Nanos | None = None
    progress_at: Nanos | None = None
    answered_at: Nanos | None = None
    acked_at: Nanos | None = None
    bye_at: Nanos | None = None
    ended_at: Nanos | None = None


@dataclass(frozen=True, slots=True)
class CallSnapshot:
    """A call as it is at this moment.

    Args:
        status: status of the last final response to the INVITE, 0 before.
        reason: its phrase.
        retransmissions_sent: how often our INVITE or our responses to it had to be sent again.
        retransmissions_received: how often the peer's 2xx came again.
        challenges: how many 401 and 407 were answered.
    """

    call: int
    call_id: str
    is_outbound: bool
    state: CallState
    status: int
    reason: str
    local_uri: str
    remote_uri: str
    instants: CallInstants
    retransmissions_sent: int
    retransmissions_received: int
    challenges: int


class Call:
    """One call; see `OutboundCall` and `InboundCall`.

    Args:
        stack: what the calls of the listener share.
        handle: the number that the user knows it by.
        contact: our Contact URI.
        authentication: answers challenges to our requests.
    """

    def __init__(self, stack: Stack, handle: int, contact: str, authentication: Authentication) -> None:
        self._stack = stack
        self.handle = handle
        self.instants = CallInstants()
        self.state = CallState.CALLING
        self.status = 0
        self.reason = ""
        self._contact = f"<{contact}>"
        self._authentication = authentication
        self._home: Hop | None = None
        self._dialog: Dialog | None = None
        self._timers: TimerTable[CallTimer] = TimerTable()
        self._unacked: Transaction | None = None
        self._interval_ns: Nanos = 0
        self._reoffer: Transaction | None = None
        self._bye: ClientRequest | None = None
        self._retransmissions_sent = 0
        self._retransmissions_received = 0
        self._challenges = 0

    # inputs

    def request_received(self, transaction: Transaction, source: Hop, *, now: Nanos) -> None:
        """Take a request of the peer within the dialog."""
        request, dialog = transaction.request, self._dialog
        if dialog is None:
            self._early_request(transaction, now)
            return
        if not dialog.accepts(request.cseq.number):
            # "the request is out of order and MUST be rejected with a 500" RFC 3261 12.2.2
            self._stack.respond(transaction, 500, "CSeq Out of Order", now=now)
            return
        dialog.peer = source
        if request.method == "BYE":
            self._bye_received(transaction, now)
        elif (refusal := refuse_extensions(request)) is not None:
            self._stack.respond(transaction, refusal.status, headers=refusal.headers, now=now)
        elif request.method in ("INVITE", "UPDATE"):
            self._reoffer_received(transaction, now)
        elif request.method == "INFO":
            self._stack.respond(transaction, 200, now=now)
        elif request.method == "OPTIONS":
            self._stack.respond(transaction, 200, headers=OPTIONS_HEADERS, now=now)
        else:
            self._stack.respond(transaction, 405, headers=(("Allow", ALLOW),), now=now)

    def ack_received(self, ack: Request, source: Hop, *, now: Nanos) -> None:
        """Take an ACK within the dialog; one that was taken already has no effect."""
        unacked = self._unacked
        if unacked is None or ack.cseq.number != unacked.request.cseq.number:
            return
        self._unacked = None
        self._timers.stop(CallTimer.SUCCESS_AGAIN)
        self._timers.stop(CallTimer.ACK_DUE)
        self._acknowledged(ack, now)
        self._rearm()

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to one of our requests."""
        if sent is self._bye:
            self._bye_answered(response, now)

    def transaction_failed(self, sent: object, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of a request of ours without a response."""
        if sent is self._bye:
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let the timers fire that are due."""
        for timer in self._timers.expired(now):
            self._fire(timer, now)
        self._rearm()

    # commands

    def hang_up(self, *, now: Nanos) -> None:
        """Release the call in whatever way its state asks for; nothing happens when that is under way."""
        if self.state is CallState.CONFIRMED:
            self._send_bye(now)

    def answer_reoffer(self, body: bytes, *, now: Nanos) -> None:
        """Agree to the change that the peer asked for."""
        transaction = self._require_reoffer()
        request = transaction.request
        self._reoffer = None
        headers = [("Contact", self._contact), ("Allow", ALLOW)]
        if body:
            headers.append(("Content-Type", SDP_TYPE))
        if request.method == "INVITE":
            headers += [("Record-Route", value) for value in request.headers.get_all("Record-Route")]
            self._await_ack(transaction, now)
        assert self._dialog is not None
        self._dialog.refresh_target(request)
        self._stack.respond(transaction, 200, headers=headers, body=body, now=now)
        if request.method == "UPDATE":
            self._emit(CallModified(self.handle, b"", now))

    def reject_reoffer(self, status: int, *, now: Nanos) -> None:
        """Refuse the change that the peer asked for; the session stays as it is."""
        transaction = self._require_reoffer()
        self._reoffer = None
        self._stack.respond(transaction, status, now=now)

    def snapshot(self) -> CallSnapshot:
        """Return the call as it is."""
        return CallSnapshot(
            call=self.handle,
            call_id=self.call_id,
            is_outbound=self.is_outbound,
            state=self.state,
            status=self.status,
            reason=self.reason,
            local_uri=self.local_uri,
            remote_uri=self.remote_uri,
            instants=self.instants,
            retransmissions_sent=self._retransmissions_sent + self._invite_retransmissions(),
            retransmissions_received=self._retransmissions_received,
            challenges=self._challenges,
        )

    # what the two kinds add

    is_outbound = False
    call_id = ""
    local_tag = ""
    local_uri = ""
    remote_uri = ""

    def _early_request(self, transaction: Transaction, now: Nanos) -> None:
        """Answer a request that came before there is a dialog."""
        self._stack.respond(transaction, 481, now=now)

    def _acknowledged(self, ack: Request, now: Nanos) -> None:
        """Go on after the ACK of a 2xx."""
        self._emit(CallModified(self.handle, ack.body, now))

    def _is_negotiating(self) -> int:
        """Return the status that refuses another offer while one is open, 0 when none is."""
        return 0

    def _invite_retransmissions(self) -> int:
        return 0

    # private

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.SUCCESS_AGAIN and self._unacked is not None:
            self._stack.layer.repeat_success(self._unacked, now=now)
            self._interval_ns = min(2 * self._interval_ns, self._stack.timing.t2_ns)
            self._timers.set(CallTimer.SUCCESS_AGAIN, now + self._interval_ns)
        elif timer is CallTimer.ACK_DUE and self.state is not CallState.ENDED:
            # "the dialog is confirmed, but the session SHOULD be terminated" RFC 3261 13.3.1.4
            self._timers.clear()
            if self.state is not CallState.DISCONNECTING:
                self._send_bye(now)
                self._end(CallTimedOut(self.handle, TimeoutStage.ACK, now), now)

    def _await_ack(self, transaction: Transaction, now: Nanos) -> None:
        """Send the 2xx again until the ACK comes."""
        self._unacked = transaction
        self._interval_ns = self._stack.timing.t1_ns
        self._timers.set(CallTimer.SUCCESS_AGAIN, now + self._interval_ns)
        self._timers.set(CallTimer.ACK_DUE, now + self._stack.timing.timeout_ns)
        self._rearm()

    def _reoffer_received(self, transaction: Transaction, now: Nanos) -> None:
        request = transaction.request
        if self.state is CallState.DISCONNECTING:
            self._stack.respond(transaction, 481, now=now)
        elif self._reoffer is not None:
            # "MUST return a 500 (Server Internal Error) ... with a Retry-After" RFC 3261 14.2, RFC 3311 5.2
            self._stack.respond(transaction, 500, headers=(RETRY_AFTER,), now=now)
        elif (status := 491 if self._unacked is not None else self._is_negotiating()) != 0:
            self._stack.respond(transaction, status, headers=(RETRY_AFTER,) if status == 500 else (), now=now)
        elif (refusal := refuse_body(request)) is not None:
            self._stack.respond(transaction, refusal.status, headers=refusal.headers, now=now)
        elif request.method == "UPDATE" and not offer_in(request):
            self._reoffer = transaction
            self.answer_reoffer(b"", now=now)
        else:
            if request.method == "INVITE":
                self._stack.respond(transaction, 100, now=now)
            self._reoffer = transaction
            self._emit(CallReoffered(self.handle, request.method, offer_in(request), now))

    def _require_reoffer(self) -> Transaction:
        if self._reoffer is None:
            raise LocalProtocolError(f"expected call {self.handle} to have an offer open, found none")
        return self._reoffer

    def _bye_received(self, transaction: Transaction, now: Nanos) -> None:
        reason = transaction.request.headers.get("Reason") or "BYE"
        self._stack.respond(transaction, 200, now=now)
        self.instants.bye_at = self.instants.bye_at or now
        if self._reoffer is not None:
            # "The UAS MUST still respond to any pending requests received for that dialog." RFC 3261 15.1.2
            self._stack.respond(self._reoffer, 487, now=now)
            self._reoffer = None
        if self.state is CallState.DISCONNECTING:
            reason = "BYE crossed ours"
        self._end(CallEnded(self.handle, Ending.REMOTE, reason, 200, now), now)

    def _send_bye(self, now: Nanos) -> None:
        assert self._dialog is not None
        self._timers.clear()
        self._unacked = None
        if self._reoffer is not None:
            self._stack.respond(self._reoffer, 487, now=now)
            self._reoffer = None
        self.state = CallState.DISCONNECTING
        self.instants.bye_at = self.instants.bye_at or now
        self._authentication.begin()
        self._bye = self._send_in_dialog(self._dialog, "BYE", now)
        self._rearm()

    def _send_in_dialog(
        self, dialog: Dialog, method: str, now: Nanos, *, follows: ClientRequest | None = None
    ) -> ClientRequest:
        """Send a request within a dialog; what proves who we are goes to others than home only if they asked.

        Args:
            dialog: the dialog.
            method: the method.
            now: instant of the monotonic clock, nanoseconds.
            follows: the same request, which was challenged.
        """
        request = dialog.make_request(method, headers=(("User-Agent", self._stack.user_agent),))
        if follows is not None or self._leads_home(dialog):
            for name, value in self._authentication.headers(method, request.uri, b""):
                request.headers.add(name, value)
        return self._stack.sender.send(
            request, self, next_uri=dialog.path().next_uri, fallback=dialog.peer, follows=follows, now=now
        )

    def _leads_home(self, dialog: Dialog) -> bool:
        """Tell whether requests within a dialog go to whom we trust with our credentials."""
        return self._home is not None and dialog.next_hop()[:3] == self._home[:3]

    def _bye_answered(self, response: Response, now: Nanos) -> None:
        if response.status < 200:
            return
        assert self._dialog is not None
        if self._authentication.absorb(response, is_home=self._leads_home(self._dialog)):
            self._challenges += 1
            self._bye = self._send_in_dialog(self._dialog, "BYE", now, follows=self._bye)
        else:
            self._end(CallEnded(self.handle, Ending.LOCAL, response.reason, response.status, now), now)

    def _end(self, event: CallEvent, now: Nanos) -> None:
        """Emit the last event and let go of the dialog."""
        if self.state is CallState.ENDED:
            return
        self.state = CallState.ENDED
        self.instants.ended_at = now
        self._timers.clear()
        self._unacked = None
        self._stack.dialogs.pop((self.call_id, self.local_tag), None)
        self._rearm()
        self._emit(event)

    def _emit(self, event: CallEvent) -> None:
        self._stack.events.append(event)

    def _rearm(self) -> None:
        self._stack.rearm(self, self._timers.soonest())
