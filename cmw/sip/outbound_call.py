"""A call that we place. Source: RFC 3261 9.1, 13.2."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cmw.core.clock import Nanos
from cmw.sip.authentication import Authentication
from cmw.sip.call import Call, CallState, CallTimer
from cmw.sip.client_request import ClientRequest
from cmw.sip.dialog import Dialog
from cmw.sip.events import CallAnswered, CallEnded, CallProceeding, CallRejected, CallTimedOut, Ending, TimeoutStage
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.stack import ALLOW, SDP_TYPE, Stack
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_tables import State

_CREDENTIALS = frozenset(("Authorization", "Proxy-Authorization"))
_SESSION_PROGRESS = 183

MAX_FORKS = 16
"""Further callees of one INVITE whose 2xx is acknowledged and released; beyond that somebody makes them up."""


@dataclass(frozen=True, slots=True)
class CallTarget:
    """Whom to call, as whom, and with what.

    Args:
        uri: Request-URI and To.
        local_uri: From.
        contact: our Contact URI, as far as it is known which transport the INVITE takes.
        contact_user: user part of it.
        destination: where the INVITE goes; None for the way that `uri` tells.
        body: the offer; empty leaves it to the peer.
        headers: further rows of the INVITE.
    """

    uri: str
    local_uri: str
    contact: str
    contact_user: str
    destination: Hop | None
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=())


class OutboundCall(Call):
    """A call from here; `start` sends its INVITE.

    Args:
        stack: what the calls of the listener share.
        handle: the number that the user knows it by.
        target: whom to call.
        authentication: answers challenges to our requests.
    """

    is_outbound = True

    def __init__(self, stack: Stack, handle: int, target: CallTarget, authentication: Authentication) -> None:
        super().__init__(stack, handle, target.contact, authentication)
        self._target = target
        self.call_id = stack.ids.call_id()
        self.local_tag = stack.ids.tag()
        self.local_uri = target.local_uri
        self.remote_uri = target.uri
        self._seq = stack.ids.cseq()
        self._invite: ClientRequest | None = None
        self._cancel: ClientRequest | None = None
        self._ack: ClientRequest | None = None
        self._forks: dict[str, ClientRequest] = {}
        self._earlier_retransmissions = 0

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Send the INVITE."""
        self._stack.dialogs[self.call_id, self.local_tag] = self
        self.instants.invite_at = now
        self._send_invite(now)

    def request_received(self, transaction: Transaction, source: Hop, *, now: Nanos) -> None:
        """Take a request of the peer, or of one of the peers that a proxy forked the INVITE to."""
        remote_tag = transaction.request.from_.tag or ""
        if self._dialog is None or remote_tag == self._dialog.remote_tag:
            super().request_received(transaction, source, now=now)
        elif remote_tag in self._forks and transaction.request.method == "BYE":
            self._stack.respond(transaction, 200, now=now)
        else:
            self._stack.respond(transaction, 481, now=now)

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to our INVITE, CANCEL or BYE."""
        if sent.method != "INVITE":
            super().response_received(sent, response, source, now=now)
            return
        self._home, self._contact = sent.hop, f"<{sent.contact}>"
        if response.status < 200:
            self._proceed(response, now)
        elif response.status < 300:
            self._succeed(sent, response, source, now)
        elif sent is self._invite:
            self._fail(response, now)

    def transaction_failed(self, sent: object, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence of the peer, or an error of the network."""
        if sent is self._cancel:
            if status == 503:
                self._give_up(reason, now)
        elif sent is not self._invite:
            super().transaction_failed(sent, status, reason, now=now)
        elif self.state is CallState.CANCELLING:
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)
        elif self.state not in (CallState.CALLING, CallState.PROCEEDING):
            return
        elif status == 408:
            self._end(CallTimedOut(self.handle, TimeoutStage.INVITE, now), now)
        else:
            self.status, self.reason = status, reason
            self._end(CallRejected(self.handle, status, reason, now, is_response=False), now)

    # commands

    def hang_up(self, *, now: Nanos) -> None:
        """Cancel while there is no final response, send BYE once there is."""
        if self.state in (CallState.CALLING, CallState.PROCEEDING):
            assert self._invite is not None
            self.state = CallState.CANCELLING
            self._invite.is_kept = True
            if self._invite.hop is None:
                self._stack.sender.withdraw(self._invite)
                self._end(CallEnded(self.handle, Ending.LOCAL, "cancelled before it was sent", 0, now), now)
            else:
                self._try_cancel(now)
        else:
            super().hang_up(now=now)

    # private

    def _send_invite(self, now: Nanos) -> None:
        target = self._target
        request = Request("INVITE", target.uri, body=target.body)
        for name, value in self._invite_rows():
            request.headers.add(name, value)
        if self._invite is not None:
            self._earlier_retransmissions += self._invite.retransmissions
        self._invite = self._stack.sender.send(
            request,
            self,
            destination=target.destination,
            contact=self._contact[1:-1],
            contact_user=target.contact_user,
            follows=self._invite,
            now=now,
        )

    def _invite_rows(self) -> Iterable[tuple[str, str]]:
        target = self._target
        yield "Max-Forwards", "70"
        yield "From", f"<{target.local_uri}>;tag={self.local_tag}"
        yield "To", f"<{target.uri}>"
        yield "Call-ID", self.call_id
        yield "CSeq", f"{self._seq} INVITE"
        yield "Contact", self._contact
        yield "Allow", ALLOW
        yield "User-Agent", self._stack.user_agent
        yield from self._authentication.headers("INVITE", target.uri, target.body)
        yield from target.headers
        if target.body:
            yield "Content-Type", SDP_TYPE

    def _proceed(self, response: Response, now: Nanos) -> None:
        if self.state not in (CallState.CALLING, CallState.PROCEEDING, CallState.CANCELLING):
            return
        self._note_provisional(response, now)
        if self.state is CallState.CANCELLING:
            self._try_cancel(now)
            return
        self.state = CallState.PROCEEDING
        self._timers.set(CallTimer.FINAL_DUE, now + self._stack.timing.timer_c_ns)
        self._rearm()
        self._emit(CallProceeding(self.handle, response.status, response.reason, response.body, now))

    def _note_provisional(self, response: Response, now: Nanos) -> None:
        instants = self.instants
        if response.status == 100 and instants.trying_at is None:
            instants.trying_at = now
        elif response.status == 180 and instants.ringing_at is None:
            instants.ringing_at = now
        elif response.status == _SESSION_PROGRESS and response.body and instants.progress_at is None:
            instants.progress_at = now

    def _try_cancel(self, now: Nanos) -> None:
        """Send CANCEL once a provisional response allows it. Source: RFC 3261 9.1."""
        assert self._invite is not None
        if self._cancel is None and self._invite.state is State.PROCEEDING:
            self._cancel = self._stack.sender.cancel(self._invite, self, now=now)
            self._timers.clear()
            self._timers.set(CallTimer.CANCEL_DUE, now + self._stack.timing.timeout_ns)
            self._rearm()

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.FINAL_DUE:
            self._try_cancel(now)
            self._end(CallTimedOut(self.handle, TimeoutStage.RINGING, now), now)
            self._timers.set(CallTimer.CANCEL_DUE, now + self._stack.timing.timeout_ns)
        elif timer is CallTimer.CANCEL_DUE:
            self._give_up("no final response after CANCEL", now)
        else:
            super()._fire(timer, now)

    def _give_up(self, reason: str, now: Nanos) -> None:
        """Forget an INVITE that was cancelled in vain. Source: RFC 3261 9.1."""
        if self._invite is not None and self._invite.state in (State.CALLING, State.PROCEEDING):
            self._stack.sender.withdraw(self._invite)
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)

    def _succeed(self, sent: ClientRequest, response: Response, source: Hop, now: Nanos) -> None:
        """Take a 2xx: the first makes the call, its repetitions are acknowledged again, those of forks released."""
        remote_tag = response.to.tag or ""
        if self._dialog is not None and self._dialog.remote_tag == remote_tag:
            self._retransmissions_received += 1
            if self._ack is not None:
                self._stack.sender.repeat(self._ack, now=now)
        elif self._dialog is not None or self.state is CallState.ENDED:
            self._release_fork(sent, response, source, remote_tag, now)
        else:
            self._accept(sent, response, source, now)

    def _accept(self, sent: ClientRequest, response: Response, source: Hop, now: Nanos) -> None:
        was_cancelled = self.state is CallState.CANCELLING
        self.status, self.reason = response.status, response.reason
        self._dialog = Dialog.of_caller(sent.request, response, source)
        self._ack = self._acknowledge(self._dialog, sent, now)
        self.instants.answered_at = self.instants.acked_at = now
        self._timers.clear()
        self.state = CallState.CONFIRMED
        self._rearm()
        if was_cancelled:
            # "the client ... SHOULD send a BYE" for a 2xx that crossed the CANCEL. RFC 3261 15, 9.1
            self._send_bye(now)
            return
        self._emit(CallAnswered(self.handle, response.status, response.body, source, now))

    def _acknowledge(self, dialog: Dialog, invite: ClientRequest, now: Nanos) -> ClientRequest:
        """Send the ACK of a 2xx, with the credentials of its INVITE. Source: RFC 3261 13.2.2.4."""
        credentials = [row for row in invite.request.headers if row[0] in _CREDENTIALS]
        ack = dialog.make_request("ACK", seq=invite.request.cseq.number, headers=credentials)
        return self._stack.sender.send(ack, self, next_uri=dialog.path().next_uri, fallback=dialog.peer, now=now)

    def _release_fork(self, sent: ClientRequest, response: Response, source: Hop, remote_tag: str, now: Nanos) -> None:
        """Acknowledge another callee's 2xx and send it BYE; one call is enough. Source: RFC 3261 13.2.2.4."""
        known = self._forks.get(remote_tag)
        if known is not None:
            self._stack.sender.repeat(known, now=now)
            return
        if len(self._forks) >= MAX_FORKS:
            return
        dialog = Dialog.of_caller(sent.request, response, source)
        self._forks[remote_tag] = self._acknowledge(dialog, sent, now)
        self._send_in_dialog(dialog, "BYE", now)

    def _fail(self, response: Response, now: Nanos) -> None:
        if self.state is CallState.ENDED:
            self._timers.clear()
            self._rearm()
            return
        if self.state is not CallState.CANCELLING and self._authentication.absorb(response):
            self._challenges += 1
            self._seq += 1
            self.state = CallState.CALLING
            self._timers.clear()
            self._rearm()
            self._send_invite(now)
            return
        self.status, self.reason = response.status, response.reason
        if self.state is CallState.CANCELLING:
            self._end(CallEnded(self.handle, Ending.LOCAL, response.reason, response.status, now), now)
        else:
            self._end(CallRejected(self.handle, response.status, response.reason, now), now)

    def _early_request(self, transaction: Transaction, now: Nanos) -> None:
        """Answer a request of a callee whose 2xx we have not seen."""
        method = transaction.request.method
        if method == "BYE":
            # A callee that gave up on our ACK: the 2xx was lost each time. It is acknowledged should it still come.
            self._bye_received(transaction, now)
            if self._invite is not None and self._invite.state is State.PROCEEDING:
                self._timers.set(CallTimer.CANCEL_DUE, now + self._stack.timing.timeout_ns)
                self._rearm()
        elif method in ("INVITE", "UPDATE"):
            self._stack.respond(transaction, 491, now=now)
        elif method == "INFO":
            self._stack.respond(transaction, 200, now=now)
        elif method == "OPTIONS":
            self._stack.respond(transaction, 200, headers=(("Allow", ALLOW),), now=now)
        else:
            self._stack.respond(transaction, 405, headers=(("Allow", ALLOW),), now=now)

    def _invite_retransmissions(self) -> int:
        current = self._invite.retransmissions if self._invite is not None else 0
        return self._earlier_retransmissions + current
