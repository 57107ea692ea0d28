"""What both sides of a call have in common once it stands: its dialog, requests within it, BYE, the wait for an ACK.

`OutboundCall` and `InboundCall` add how a call begins. What most calls never need is in parts of its own, made when
they are needed first: `Changes`, `SessionKeeper`, `Transfers`. Source: RFC 3261 12 to 15.
"""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.core.timers import Deadline, TimerTable
from cmw.errors import LocalProtocolError
from cmw.sip.authentication import Authentication
from cmw.sip.call_events import CallEnded, CallLost, CallReplaced, CallTimedOut, Ending, LossCause, TimeoutStage
from cmw.sip.call_options import CallOptions
from cmw.sip.call_state import CallCounts, CallInstants, CallSnapshot, CallState, CallTimer
from cmw.sip.call_transfers import Transfers
from cmw.sip.challenge import parse_challenges
from cmw.sip.client_request import NOBODY, ClientRequest
from cmw.sip.dialog import Dialog
from cmw.sip.dialog_request import DialogRequest, ends_call
from cmw.sip.events import CallEvent
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.message import Request, Response
from cmw.sip.methods import CHANGING_METHODS
from cmw.sip.mid_call import serve_mid_call
from cmw.sip.request_checks import refuse_extensions
from cmw.sip.request_events import RequestFailed, RequestSucceeded
from cmw.sip.session_changes import Changes
from cmw.sip.session_keeper import SessionKeeper
from cmw.sip.stack import Stack
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_tables import State

BYE_TRIES = 3
"""How often a BYE is tried, 64*T1 each, at a peer that is silent now but answered of late: a path that loses half lets
4 % of the first tries fail."""

_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_OVER = (CallState.DISCONNECTING, CallState.ENDED)


class Call:
    """One call; see `OutboundCall` and `InboundCall`. Its attributes are for its parts, users know it by its handle.

    Args:
        stack: what the calls of the user agent share.
        handle: the number that the user knows it by.
        contact: our Contact URI.
        authentication: answers challenges to our requests.
        options: what it may use.

    Attributes:
        leg: the dialog; None while there is none, the one heard of last while there are several early ones.
        local_body: the session description that we sent last.
    """

    __slots__ = (
        "_asked",
        "_authentication",
        "_bye_reason",
        "_changes",
        "_deadline",
        "_home",
        "_interval_ns",
        "_is_change_cancelled",
        "_keeper",
        "_own_flow",
        "_retransmissions_sent",
        "_transfers",
        "_unacked",
        "call_id",
        "contact",
        "counts",
        "handle",
        "instants",
        "leg",
        "local_body",
        "local_tag",
        "local_uri",
        "options",
        "reason",
        "remote_uri",
        "stack",
        "state",
        "status",
        "timers",
    )

    is_outbound = False

    def __init__(
        self, stack: Stack, handle: int, contact: str, authentication: Authentication, options: CallOptions
    ) -> None:
        self.stack = stack
        self.handle = handle
        self.options = options
        self.instants = CallInstants()
        self.counts = CallCounts()
        self.state = CallState.CALLING
        self.status = 0
        self.reason = ""
        self.call_id = ""
        self.local_tag = ""
        self.local_uri = ""
        self.remote_uri = ""
        self.contact = f"<{contact}>"
        self.timers: TimerTable[CallTimer] = TimerTable()
        self.leg: Leg | None = None
        self.local_body = b""
        self._authentication = authentication
        self._home: Hop | None = None
        self._own_flow = 0
        """The connection of our account's own that the call began over, by its negative number; 0 for none."""
        self._asked: dict[ClientRequest, DialogRequest] = {}
        self._unacked: Transaction | None = None
        self._deadline: Deadline | None = None
        self._interval_ns: Nanos = 0
        self._retransmissions_sent = 0
        self._bye_reason = ""
        self._is_change_cancelled = False
        self._changes: Changes | None = None
        self._keeper: SessionKeeper | None = None
        self._transfers: Transfers | None = None

    # inputs

    def request_received(self, transaction: Transaction, source: Hop, *, now: Nanos) -> None:
        """Take a request of the peer within a dialog of the call."""
        request = transaction.request
        leg = self._find_leg(request.from_tag)
        if leg is None:
            self._stray_request(transaction, source, now)
        elif not leg.dialog.accepts(request.seq):
            # "the request is out of order and MUST be rejected with a 500" RFC 3261 12.2.2
            self.stack.respond(transaction, 500, "CSeq Out of Order", now=now)
        else:
            leg.dialog.peer = source
            self._serve(leg, transaction, source, now)
            self.rearm()

    def ack_received(self, ack: Request, source: Hop, *, now: Nanos) -> None:
        """Take an ACK within the dialog; one that was taken already has no effect."""
        unacked = self._unacked
        if unacked is None or ack.seq != unacked.request.seq:
            return
        self._take_ack(ack.body, now)
        self.rearm()

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to one of our requests within a dialog."""
        asked = self._asked.get(sent)
        if asked is None:
            if self._changes is not None:
                self._changes.response_again(sent, response, now=now)
        elif response.status < 200:
            if asked.method == "INVITE" and self.state is CallState.CONFIRMED and not self._is_change_cancelled:
                self.timers.set(CallTimer.CHANGE_DUE, now + self.stack.timing.timer_c_ns)
                self.rearm()
        else:
            del self._asked[sent]
            self._answered(sent, asked, response, source, now)
            self.rearm()

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of a request of ours without a response."""
        asked = self._asked.pop(sent, None)
        if asked is None:
            return
        if asked.method == "BYE" and asked.asker is self:
            self._end(CallEnded(self.handle, Ending.LOCAL, reason, 0, now), now)
            return
        asked.asker.unanswered(asked, status, reason, now=now)
        if status == 408 and asked.method in CHANGING_METHODS and self.state is CallState.CONFIRMED:
            self.lose(LossCause.SILENCE, 0, f"no answer to {asked.method}", now=now)
        self.rearm()

    def cancel_received(self, transaction: Transaction, reason: str, *, now: Nanos) -> None:
        """Take a CANCEL of an INVITE within the call. Source: RFC 3261 9.2."""
        self.changes.withdraw(transaction, now=now)
        self.rearm()

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let the timers fire that are due."""
        self._deadline = None
        for timer in self.timers.expired(now):
            self._fire(timer, now)
        self.rearm()

    # commands

    def hang_up(self, reason: str, *, now: Nanos) -> None:
        """Release the call in whatever way its state asks for; nothing happens when that is under way.

        Args:
            reason: value of Reason in BYE or CANCEL, "" for none. Source: RFC 3326.
        """
        if self.state is CallState.CONFIRMED:
            self.send_bye(reason, now=now)

    def reoffer(self, method: str, body: bytes, headers: tuple[tuple[str, str], ...], *, now: Nanos) -> None:
        """Ask the peer for a change of the session."""
        self.changes.offer(method, body, headers, now=now)
        self.rearm()

    def answer_reoffer(self, body: bytes, *, now: Nanos) -> None:
        """Agree to the change that the peer asked for."""
        self.changes.answer(body, now=now)
        self.rearm()

    def reject_reoffer(self, status: int, headers: tuple[tuple[str, str], ...] = (), *, now: Nanos) -> None:
        """Refuse the change that the peer asked for; the session stays as it is."""
        self.changes.reject(status, headers, now=now)
        self.rearm()

    def request(
        self, handle: int, method: str, headers: tuple[tuple[str, str], ...], body: bytes, *, now: Nanos
    ) -> None:
        """Send a request that does not change the call, such as INFO, MESSAGE or OPTIONS."""
        self.ask(DialogRequest(method, self.require_leg(), self, headers, body, handle), now=now)
        self.rearm()

    def snapshot(self) -> CallSnapshot:
        """Return the call as it is."""
        timer = self._keeper.timer if self._keeper is not None else None
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
            counts=self.counts,
            retransmissions_sent=self._retransmissions_sent + self._invite_retransmissions(),
            session_interval_s=timer.interval_s if timer is not None else 0,
            is_refresher=timer is not None and timer.is_refresher,
        )

    # the parts

    @property
    def changes(self) -> Changes:
        """Return the part for re-INVITE and UPDATE."""
        if self._changes is None:
            self._changes = Changes(self)
        return self._changes

    @property
    def keeper(self) -> SessionKeeper:
        """Return the part for the session timer."""
        if self._keeper is None:
            self._keeper = SessionKeeper(self)
        return self._keeper

    @property
    def is_over(self) -> bool:
        """Tell whether the call is being taken down, or was."""
        return self.state in _OVER

    @property
    def has_keeper(self) -> bool:
        """Tell whether a session timer was ever spoken of."""
        return self._keeper is not None

    @property
    def transfers(self) -> Transfers:
        """Return the part for REFER."""
        if self._transfers is None:
            self._transfers = Transfers(self)
        return self._transfers

    # what the parts use

    def emit(self, event: CallEvent) -> None:
        """Tell the user."""
        self.stack.events.append(event)

    def rearm(self) -> None:
        """Let the user agent know when to come back."""
        deadline = self.timers.soonest() if self.timers else None
        if deadline != self._deadline:
            self._deadline = deadline
            self.stack.rearm(self, deadline)

    def require_leg(self) -> Leg:
        """Return the dialog that a request may be sent in, early or confirmed."""
        if self.leg is None or self.state not in (CallState.PROCEEDING, CallState.ACCEPTED, CallState.CONFIRMED):
            raise LocalProtocolError(f"expected call {self.handle} to have a dialog, found it {self.state}")
        return self.leg

    def ask(self, asked: DialogRequest, *, now: Nanos) -> Request:
        """Send a request within a dialog; its asker is told of the answer."""
        asked.attempt = self._authentication.begin()
        return self._transmit(asked, now)

    def send_ack(self, dialog: Dialog, invite: ClientRequest, body: bytes = b"", *, now: Nanos) -> ClientRequest:
        """Send the ACK of a 2xx, towards home with the credentials of its INVITE; return it. RFC 3261 13.2.2.4."""
        hop = dialog.next_hop()
        is_home = self._is_home(hop)  # a callee that takes it itself must not see them, whatever the RFC says
        rows = invite.request.headers
        headers = [(name, value) for name in _CREDENTIALS for value in rows.get_all(name)] if is_home else []
        if body:
            headers.append(("Content-Type", SDP_TYPE))
        ack = dialog.make_request("ACK", seq=invite.request.seq, headers=headers, body=body)
        return self.stack.sender.send(
            ack,
            NOBODY,
            next_uri=dialog.path().next_uri,
            destination=hop,
            fallback=dialog.peer,
            own_flow=self._own_flow,
            now=now,
        )

    def await_ack(self, transaction: Transaction, *, now: Nanos) -> None:
        """Send the 2xx again until the ACK comes."""
        self._unacked = transaction
        self._interval_ns = self.stack.timing.t1_ns
        self.timers.set(CallTimer.SUCCESS_AGAIN, now + self._interval_ns)
        self.timers.set(CallTimer.ACK_DUE, now + self.stack.timing.timeout_ns)

    @property
    def awaits_ack(self) -> bool:
        """Tell whether a 2xx of ours has had no ACK yet."""
        return self._unacked is not None

    def imply_ack(self, *, now: Nanos) -> None:
        """Take a re-INVITE as the ACK of our last 2xx: the peer has seen that. Source: RFC 5407 3.1.4."""
        if self._unacked is not None:
            self._take_ack(b"", now)

    def lose(self, cause: LossCause, status: int, reason: str, *, now: Nanos) -> None:
        """Give up a call that the peer has lost, or that nobody refreshes."""
        if self.state in _OVER:
            return
        self.emit(CallLost(self.handle, cause, status, reason, now))
        self.send_bye(f'SIP;cause={status or 408};text="{reason}"', now=now)

    def replace(self, by_call: int, *, now: Nanos) -> None:
        """Release the call, for another one takes its place. Source: RFC 3891 3."""
        if self.state in _OVER:
            return
        self.emit(CallReplaced(self.handle, by_call, now))
        self.hang_up("", now=now)

    def send_bye(self, reason: str, *, now: Nanos) -> None:
        """Send BYE; what the peer still waits for is answered first. Source: RFC 3261 15.1.1."""
        assert self.leg is not None
        self.timers.clear()
        self._unacked = None
        if self._changes is not None:
            self._changes.close(now=now)
        self.state = CallState.DISCONNECTING
        self.instants.bye_at = self.instants.bye_at or now
        headers = (("Reason", reason),) if reason else ()
        self.ask(DialogRequest("BYE", self.leg, self, headers), now=now)
        self.rearm()

    # what the two kinds add

    def matches_dialog(self, remote_tag: str) -> bool:
        """Tell whether the call has a dialog with this tag of the peer."""
        return self._find_leg(remote_tag) is not None

    def _find_leg(self, remote_tag: str) -> Leg | None:
        leg = self.leg
        return leg if leg is not None and leg.remote_tag == remote_tag else None

    def _stray_request(self, transaction: Transaction, source: Hop, now: Nanos) -> None:
        """Answer a request in a dialog that we do not know."""
        self.stack.respond(transaction, 481, now=now)

    def _acknowledged(self, body: bytes, now: Nanos) -> None:
        """Go on after the ACK of a 2xx within the call."""
        self.changes.acknowledged(body, now=now)

    def _prack_received(self, leg: Leg, transaction: Transaction, now: Nanos) -> None:
        """Answer a PRACK."""
        self.stack.respond(transaction, 481, now=now)

    def _invite_retransmissions(self) -> int:
        return 0

    # as the asker of BYE and of what our user asks

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Tell the user of the answer."""
        if response.status < 300:
            self.emit(RequestSucceeded(asked.handle, self.handle, asked.method, response.status, now, response))
        else:
            status, reason = response.status, response.reason
            self.emit(RequestFailed(asked.handle, self.handle, asked.method, status, reason, now, response))

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Tell the user that there is none."""
        if asked.handle:
            self.emit(RequestFailed(asked.handle, self.handle, asked.method, status, reason, now))

    # private

    def _serve(self, leg: Leg, transaction: Transaction, source: Hop, now: Nanos) -> None:
        request = transaction.request
        if (refusal := refuse_extensions(request, self.options.known)) is not None:
            self.stack.respond(transaction, refusal.status, headers=refusal.headers, now=now)
        elif request.method == "BYE":
            self._bye_received(transaction, now)
        elif request.method in CHANGING_METHODS:
            self.changes.request_received(leg, transaction, now=now)
        elif request.method == "PRACK":
            self._prack_received(leg, transaction, now)
        elif self.state is CallState.DISCONNECTING:
            self.stack.respond(transaction, 481, now=now)
        elif request.method == "REFER":
            self.transfers.request_received(leg, transaction, now=now)
        elif self._transfers is not None and self._transfers.takes(request):
            self._transfers.notify_received(transaction, now=now)
        else:
            serve_mid_call(self.stack, self.handle, transaction, source, self.options, now=now)

    def _take_ack(self, body: bytes, now: Nanos) -> None:
        self._unacked = None
        self.timers.stop(CallTimer.SUCCESS_AGAIN)
        self.timers.stop(CallTimer.ACK_DUE)
        self._acknowledged(body, now)

    def _fire(self, timer: CallTimer, now: Nanos) -> None:
        if timer is CallTimer.SUCCESS_AGAIN and self._unacked is not None:
            self.stack.layer.repeat_success(self._unacked, now=now)
            self._interval_ns = min(2 * self._interval_ns, self.stack.timing.t2_ns)
            self.timers.set(CallTimer.SUCCESS_AGAIN, now + self._interval_ns)
        elif timer is CallTimer.ACK_DUE and self.state not in _OVER:
            # "the dialog is confirmed, but the session SHOULD be terminated" RFC 3261 13.3.1.4
            self.send_bye('SIP;cause=408;text="no ACK"', now=now)
            self._end(CallTimedOut(self.handle, TimeoutStage.ACK, now), now)
        elif timer is CallTimer.ANSWER_DUE:
            self.lose(LossCause.UNANSWERED, 0, "no answer to the offer", now=now)
        elif timer is CallTimer.SESSION and self.state is CallState.CONFIRMED:
            self.keeper.fire(now=now)
        elif timer is CallTimer.CHANGE_DUE:
            self._give_up_changes(now)
        elif timer is CallTimer.CHANGE_AGAIN and self.state is CallState.CONFIRMED:
            self.changes.try_again(now=now)
        elif timer is CallTimer.TRANSFER_DUE:
            self.transfers.fire(now=now)

    def _give_up_changes(self, now: Nanos) -> None:
        """Cancel a re-INVITE that is never answered; forget one whose CANCEL, or whose call's end, changed nothing."""
        waiting = [sent for sent, asked in self._asked.items() if asked.method == "INVITE"]
        if self.state is CallState.CONFIRMED and not self._is_change_cancelled:
            self._is_change_cancelled = True
            for sent in waiting:
                if sent.state is State.PROCEEDING:
                    self.stack.sender.cancel(sent, self, now=now)
            self.timers.set(CallTimer.CHANGE_DUE, now + self.stack.timing.timeout_ns)
            return
        for sent in waiting:
            self.stack.sender.withdraw(sent)
            self.transaction_failed(sent, 408, "no final response", now=now)

    def _bye_received(self, transaction: Transaction, now: Nanos) -> None:
        reason = transaction.request.headers.get("Reason") or "BYE"
        self.stack.respond(transaction, 200, now=now)
        self.instants.bye_at = self.instants.bye_at or now
        if self.state is CallState.DISCONNECTING:
            reason = "BYE crossed ours"
        self._end(CallEnded(self.handle, Ending.REMOTE, reason, 200, now), now)

    def _transmit(self, asked: DialogRequest, now: Nanos) -> Request:
        """Send a request; what proves who we are goes to our home only."""
        dialog = asked.leg.dialog
        headers = [("User-Agent", self.stack.user_agent), *asked.headers]
        if asked.body and all(name != "Content-Type" for name, _ in asked.headers):
            headers.append(("Content-Type", SDP_TYPE))
        request = dialog.make_request(asked.method, headers=headers, body=asked.body)
        challenged, hop = asked.challenged, dialog.next_hop()
        is_home = self._is_home(hop if challenged is None else challenged.hop)
        for name, value in self._authentication.headers(
            asked.method, request.uri, asked.body, is_home=is_home, attempt=asked.attempt
        ):
            request.headers.add(name, value)
        sent = self.stack.sender.send(
            request,
            self,
            next_uri=dialog.path().next_uri,
            destination=hop,
            fallback=dialog.peer,
            own_flow=self._own_flow,
            follows=challenged,
            tries=BYE_TRIES if asked.method == "BYE" else 1,
            now=now,
        )
        self._asked[sent] = asked
        return request

    def _is_home(self, hop: Hop | None) -> bool:
        """Tell whether we trust a hop with our credentials; one that only DNS knows has to ask for them first."""
        return hop is not None and self._authentication.is_home(hop, self._home)

    def _answered(self, sent: ClientRequest, asked: DialogRequest, response: Response, source: Hop, now: Nanos) -> None:
        authentication, is_home = self._authentication, self._is_home(sent.hop)
        if asked.method == "INVITE":
            self._is_change_cancelled = False
            self.timers.stop(CallTimer.CHANGE_DUE)
        is_wanted = asked.method == "BYE" or not self.is_over  # the end of a call is the end of what was asked in it
        if is_wanted and authentication.absorb(response, is_home=is_home, attempt=asked.attempt):
            self.counts.challenges += 1
            asked.challenged = sent
            self._transmit(asked, now)
        elif asked.method == "BYE" and asked.asker is self:
            realm = _find_realm(response) if asked.challenged is None else None
            self._end(CallEnded(self.handle, Ending.LOCAL, response.reason, response.status, now, realm), now)
        else:
            if response.status < 300:
                authentication.take_info(response, attempt=asked.attempt)
                if asked.method == "INVITE":
                    self.changes.note_invite(sent)
            asked.asker.answered(asked, response, source, now=now)
            if self.state is CallState.CONFIRMED and ends_call(asked.method, response.status):
                reason = f"{response.status} to {asked.method}"
                self.lose(LossCause.GONE, response.status, reason, now=now)

    def _end(self, event: CallEvent, now: Nanos) -> None:
        """Emit the last event and let go of the dialog; what was asked within it gets no answer any more."""
        if self.state is CallState.ENDED:
            return
        if self._changes is not None:
            # "The UAS MUST still respond to any pending requests received for that dialog." RFC 3261 15.1.2
            self._changes.close(now=now)
        self.state = CallState.ENDED
        self.instants.ended_at = now
        self.timers.clear()
        self._unacked = None
        self.stack.dialogs.pop((self.call_id, self.local_tag), None)
        if self._asked:
            for asked in list(self._asked.values()):
                if asked.method != "INVITE":  # its 2xx has to be acknowledged even now. RFC 5407 3.2
                    asked.asker.unanswered(asked, 0, "the call ended", now=now)
            self._asked = {key: asked for key, asked in self._asked.items() if asked.method == "INVITE"}
            if self._asked:
                self.timers.set(CallTimer.CHANGE_DUE, now + self.stack.timing.timeout_ns)
        if self._transfers is not None:
            self._transfers.close(now=now)
        self.rearm()
        self.emit(event)


def _find_realm(response: Response) -> str | None:
    """Return the realm of a challenge, "" when it names none that can be read; None when it is no challenge."""
    if response.status not in (401, 407):
        return None
    name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
    challenges = parse_challenges(response.headers.get_all(name))
    return challenges[0].realm if challenges else ""
