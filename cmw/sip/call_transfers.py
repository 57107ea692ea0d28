"""Transfers within a call: REFER and the NOTIFYs about it, as the one who asks and as the one who is asked.

Source: RFC 3515, RFC 4488, RFC 5589.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.call_state import CallState, CallTimer
from cmw.sip.dialog_request import DialogRequest
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.message import Request, Response
from cmw.sip.methods import ALLOW
from cmw.sip.transaction import Transaction
from cmw.sip.transfer import (
    REFER_EVENT,
    SIPFRAG_TYPE,
    SUBSCRIPTION_S,
    ReferTo,
    SubscriptionState,
    SubscriptionStatus,
    event_package,
    make_sipfrag,
    parse_refer_to,
    parse_sipfrag,
    parse_subscription_state,
    wants_subscription,
)
from cmw.sip.transfer_events import TransferAccepted, TransferCompleted, TransferProgressed, TransferRequested

if TYPE_CHECKING:
    from cmw.sip.call import Call

MAX_OPEN = 8
"""Transfers of one call that are open at once, of each side; more are refused."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A transfer that the peer asked us for."""

    handle: int
    leg: Leg
    transaction: Transaction
    request: Request
    target: ReferTo
    event: str
    is_followed: bool
    is_accepted: bool = False
    is_over: bool = False
    waiting: deque[tuple[int, str]] = field(default_factory=deque)
    is_telling: bool = False


@dataclass(slots=True, eq=False)
class _Ours:
    """A transfer that we asked the peer for."""

    handle: int
    number: int
    due_at: Nanos
    status: int = 0


class Transfers:
    """The transfers of one call.

    Args:
        call: the call.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._asked: dict[int, _Asked] = {}
        self._ours: dict[int, _Ours] = {}
        self._has_been_asked = False

    # commands: we are asked

    def accept(self, transfer: int, *, now: Nanos) -> ReferTo:
        """Agree to a transfer: 202 and a NOTIFY that it is tried; `report` has to follow."""
        asked = self._require(transfer)
        call = self._call
        asked.is_accepted = True
        headers = [("Contact", call.contact), ("Allow", ALLOW), ("Supported", call.options.supported)]
        if not asked.is_followed:
            headers.append(("Refer-Sub", "false"))
        call.stack.respond(asked.transaction, 202 if asked.is_followed else 200, headers=headers, now=now)
        self.report(transfer, 100, "", now=now)
        return asked.target

    def reject(self, transfer: int, status: int, *, now: Nanos) -> None:
        """Refuse a transfer."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"expected a status of 300 to 699 to refuse a transfer with, found {status}")
        asked = self._require(transfer)
        self._forget(transfer)
        self._call.stack.respond(asked.transaction, status, now=now)

    def report(self, transfer: int, status: int, reason: str, *, now: Nanos) -> None:
        """Tell the peer how a transfer goes; a status of 200 or more is the last word. Nobody listens: no effect."""
        asked = self._asked.get(transfer)
        if asked is None or asked.is_over or not asked.is_accepted:
            return
        asked.is_over = status >= 200
        if not asked.is_followed:
            if asked.is_over:
                self._forget(transfer)
            return
        asked.waiting.append((status, reason))
        self._tell(asked, now)

    # commands: we ask

    def refer(
        self, handle: int, target: ReferTo, headers: tuple[tuple[str, str], ...], *, is_followed: bool, now: Nanos
    ) -> None:
        """Ask the peer to call somebody else."""
        call = self._call
        if call.state is not CallState.CONFIRMED:
            raise LocalProtocolError(f"expected call {call.handle} to stand, found it {call.state}")
        if len(self._ours) >= MAX_OPEN:
            raise LocalProtocolError(f"expected at most {MAX_OPEN} open transfers of call {call.handle}, found more")
        leg = call.require_leg()
        rows = [("Refer-To", str(target)), ("Referred-By", f"<{call.local_uri}>"), ("Contact", call.contact)]
        if not is_followed:
            rows += [("Refer-Sub", "false"), ("Supported", call.options.supported)]
        own = [row for row in headers if row[0].lower() == "referred-by"]
        rows = [row for row in rows if row[0] != "Referred-By" or not own]
        request = call.ask(DialogRequest("REFER", leg, self, (*rows, *headers), handle=handle), now=now)
        self._ours[handle] = _Ours(handle, request.cseq.number, now + SUBSCRIPTION_S * SECOND)
        call.counts.transfers += 1
        call.instants.transfer_at = now
        self._arm()

    # inputs

    def request_received(self, leg: Leg, transaction: Transaction, *, now: Nanos) -> None:
        """Take a REFER."""
        call, request = self._call, transaction.request
        try:
            target = parse_refer_to(request.headers)
        except RemoteProtocolError as error:
            call.stack.respond(transaction, error.hint, now=now)
            return
        call.counts.transfers += 1
        call.instants.transfer_at = now
        if not call.options.takes_transfers or target.method != "INVITE" or len(self._asked) >= MAX_OPEN:
            call.stack.respond(transaction, 603, now=now)
            return
        # the first needs no id, later ones do. RFC 3515 2.4.6
        event = f"{REFER_EVENT};id={request.cseq.number}" if self._has_been_asked else REFER_EVENT
        self._has_been_asked = True
        handle = call.stack.new_handle()
        followed = wants_subscription(request.headers)
        call.stack.transfers[handle] = call
        self._asked[handle] = _Asked(handle, leg, transaction, request, target, event, followed)
        referred_by = request.headers.get("Referred-By") or ""
        call.emit(TransferRequested(call.handle, handle, target, referred_by, now, request))

    def referred_by(self, transfer: int) -> str:
        """Return the Referred-By of a transfer that we are asked for, "" for none."""
        asked = self._asked.get(transfer)
        return (asked.request.headers.get("Referred-By") or "") if asked is not None else ""

    def is_accepted(self, transfer: int) -> bool:
        """Tell whether a transfer that we are asked for was agreed to and is not over."""
        asked = self._asked.get(transfer)
        return asked is not None and asked.is_accepted and not asked.is_over

    def target_of(self, transfer: int) -> ReferTo:
        """Return whom a transfer that we are asked for leads to."""
        asked = self._asked.get(transfer)
        if asked is None:
            raise LocalProtocolError(f"expected an open transfer of call {self._call.handle}, found {transfer}")
        return asked.target

    def takes(self, request: Request) -> bool:
        """Tell whether a request is a NOTIFY about a transfer that we asked for."""
        return request.method == "NOTIFY" and self._find(request) is not None

    def notify_received(self, transaction: Transaction, *, now: Nanos) -> None:
        """Take a NOTIFY about a transfer of ours. Source: RFC 3515 2.4.4, 2.4.5."""
        call, request = self._call, transaction.request
        ours = self._find(request)
        assert ours is not None
        call.stack.respond(transaction, 200, now=now)
        status, reason = parse_sipfrag(request.body)
        state = parse_subscription_state(request.headers)
        if status >= 200:
            self._complete(ours, status, reason, now)
        elif state.status is SubscriptionStatus.TERMINATED:
            self._complete(ours, 0, state.reason or "the subscription ended", now)
        elif status:
            ours.status = status
            ours.due_at = now + max(1, min(state.expires_s or SUBSCRIPTION_S, 3600)) * SECOND
            call.emit(TransferProgressed(call.handle, ours.handle, status, reason, now))
        self._arm()

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take the answer to our REFER, or to a NOTIFY of ours."""
        if asked.method == "NOTIFY":
            self._told(asked.handle, response.status < 300, now)
            return
        ours = self._ours.get(asked.handle)
        if response.status >= 300:
            if ours is not None:
                self._complete(ours, response.status, response.reason, now)
            return
        if ours is None:
            return  # a NOTIFY was quicker, and said how it ended
        is_followed = response.status != 204 and wants_subscription(response.headers)
        call = self._call
        call.emit(TransferAccepted(call.handle, asked.handle, response.status, now, is_followed))
        if not is_followed:
            self._ours.pop(asked.handle, None)
        self._arm()

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence to our REFER, or to a NOTIFY of ours."""
        if asked.method == "NOTIFY":
            self._told(asked.handle, False, now)
        elif (ours := self._ours.get(asked.handle)) is not None:
            self._complete(ours, status, reason, now)

    def fire(self, *, now: Nanos) -> None:
        """Give transfers up of which nothing was heard any more."""
        for ours in list(self._ours.values()):
            if ours.due_at <= now:
                self._complete(ours, 0, "nothing was heard of the transfer any more", now)
        self._arm()

    def close(self, *, now: Nanos) -> None:
        """End what is open: the call ends."""
        for asked in self._asked.values():
            if not asked.is_accepted:
                self._call.stack.respond(asked.transaction, 487, now=now)
        for transfer in list(self._asked):
            self._forget(transfer)
        for ours in list(self._ours.values()):
            self._complete(ours, 0, "the call ended", now)

    # private

    def _require(self, transfer: int) -> _Asked:
        asked = self._asked.get(transfer)
        if asked is None or asked.is_accepted:
            raise LocalProtocolError(f"expected a transfer that waits for a decision, found {transfer}")
        return asked

    def _forget(self, transfer: int) -> None:
        self._asked.pop(transfer, None)
        self._call.stack.transfers.pop(transfer, None)

    def _find(self, request: Request) -> _Ours | None:
        package, number = event_package(request.headers)
        if package != REFER_EVENT:
            return None
        if not number:
            return next(iter(self._ours.values()), None)
        return next((ours for ours in self._ours.values() if str(ours.number) == number), None)

    def _complete(self, ours: _Ours, status: int, reason: str, now: Nanos) -> None:
        if self._ours.pop(ours.handle, None) is not None:
            self._call.emit(TransferCompleted(self._call.handle, ours.handle, status, reason, now))

    def _tell(self, asked: _Asked, now: Nanos) -> None:
        """Send the next NOTIFY, one at a time, for they must not overtake each other; none is left out at the end."""
        if asked.is_telling or not asked.waiting:
            return
        status, reason = asked.waiting.popleft()
        call = self._call
        if call.is_over:
            return
        is_final = status >= 200
        state = SubscriptionState(SubscriptionStatus.TERMINATED, reason="noresource")
        if not is_final:
            state = SubscriptionState(SubscriptionStatus.ACTIVE, SUBSCRIPTION_S)
        asked.is_telling = True
        headers = (
            ("Event", asked.event),
            ("Subscription-State", str(state)),
            ("Contact", call.contact),
            ("Content-Type", f"{SIPFRAG_TYPE};version=2.0"),
        )
        body = make_sipfrag(status, reason)
        call.ask(DialogRequest("NOTIFY", asked.leg, self, headers, body, asked.handle), now=now)

    def _told(self, transfer: int, is_heard: bool, now: Nanos) -> None:
        asked = self._asked.get(transfer)
        if asked is None:
            return
        asked.is_telling = False
        if not is_heard:
            asked.is_followed = False  # the subscription is gone. RFC 6665 4.2.2
            asked.waiting.clear()
        if asked.waiting:
            self._tell(asked, now)
        elif asked.is_over:
            self._forget(transfer)

    def _arm(self) -> None:
        due_at = min([ours.due_at for ours in self._ours.values()], default=None)
        if due_at is None:
            self._call.timers.stop(CallTimer.TRANSFER_DUE)
        else:
            self._call.timers.set(CallTimer.TRANSFER_DUE, due_at)
