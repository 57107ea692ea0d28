"""An endpoint that waits for a call."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CapacityError, CmwError, RemoteProtocolError
from cmw.sip import CallCancelled, CallConfirmed, CallEvent, CallOffered, CallTimedOut, TimeoutStage, warning_rows
from cmw.worker.endpoint import Endpoint

SERVICE_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class AnswerChoice:
    """What a callee does with its call.

    Args:
        after_ns: from the INVITE to the final answer.
        ring: whether 180 is sent at once.
        reject: status to refuse with; None to answer.
    """

    after_ns: Nanos = 0
    ring: bool = True
    reject: int | None = None


class Callee(Endpoint):
    """Wait for one call, answer or refuse it as `answering` says, and stay until the caller hangs up."""

    answering = AnswerChoice()
    _offer = b""

    def expect_call(self, deadline_ns: Nanos) -> None:
        """Wait for a call until `deadline_ns`; later ones are refused by whoever routes them."""
        if self.can_take():
            self._set_timer(deadline_ns, self._give_up)

    def can_take(self) -> bool:
        """Tell whether an inbound call may be handed to this endpoint."""
        return not self.call.attempted and self.lifecycle.phase < Phase.DISCONNECTING

    def _give_up(self) -> None:
        self.fail(OutcomeKind.TIMEOUT, Blame.UNKNOWN, "receiver wait timeout: no call came")

    def _follow_call(self, event: CallEvent) -> None:
        if isinstance(event, CallOffered):
            self._take(event)
        elif isinstance(event, CallConfirmed):
            self._confirm(event)
        elif isinstance(event, CallCancelled):
            self.lifecycle.settle(Outcome(OutcomeKind.CALL_FAILED, Blame.UNKNOWN, "the caller gave up while it rang"))
            self.call.status = 487
            self._close_call()
        elif isinstance(event, CallTimedOut):
            self.lifecycle.settle(_timeout(event.stage))
            self._close_call()

    def _take(self, offer: CallOffered) -> None:
        self._stop_timer()
        call = self.call
        call.attempted = True
        call.direction = "inbound"
        call.call_id = offer.call_id
        call.target = offer.from_uri
        self._call_handle = offer.call
        self._offer = offer.body
        call.times.invite_at = offer.at
        if self.answering.ring:
            call.times.ringing_at = offer.at
            self._advance(Phase.RINGING)
            self._station.command(lambda agent, now: agent.ring(offer.call, now=now))
        if self.answering.after_ns:
            self._set_timer(offer.at + self.answering.after_ns, self._decide)
        else:
            self._decide()

    def _decide(self) -> None:
        if self.answering.reject is not None:
            self._refuse(self.answering.reject, Outcome(OutcomeKind.SUCCESS, reason="refused the call, as it should"))
            return
        self._advance(Phase.NEGOTIATING)
        try:
            media = self._open_media()
            body = media.accept(self._offer) if self._offer else media.offer()
        except (CapacityError, OSError) as error:
            self._refuse(SERVICE_UNAVAILABLE, Outcome(OutcomeKind.OSERROR, Blame.WORKER, str(error)))
            return
        except RemoteProtocolError as error:
            outcome = Outcome(OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET, f"the offer cannot be accepted: {error}")
            self._refuse(error.hint or 488, outcome, warning_rows(error))
            return
        call = self._call_handle
        assert call is not None
        self.call.status = 200
        self.call.answered = True
        self.call.times.answered_at = self._alarm.now()
        self._station.command(lambda agent, now: agent.answer(call, body=body, now=now))
        if media.agreed is not None:
            self._start_media()
            self._limit_hold()

    def _refuse(self, status: int, outcome: Outcome, headers: tuple[tuple[str, str], ...] = ()) -> None:
        call = self._call_handle
        assert call is not None
        self.call.status = status
        self.lifecycle.settle(outcome)
        self._station.command(lambda agent, now: agent.reject(call, status=status, headers=headers, now=now))

    def _confirm(self, event: CallConfirmed) -> None:
        """Start at the ACK when it carries the answer to the offer in our 200."""
        media = self._media
        if media is None or media.agreed is not None:
            return
        try:
            media.agree(event.body)
        except CmwError as error:
            self.fail(OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET, f"the answer in the ACK cannot be used: {error}")
            return
        self._start_media()
        self._limit_hold()

    def _limit_hold(self) -> None:
        if self.lifecycle.phase is Phase.INCALL:
            self._set_timer(self._alarm.now() + self.settings.hold_limit_ns, self._hold_too_long)

    def _hold_too_long(self) -> None:
        reason = f"the caller did not hang up within {self.settings.hold_limit_ns / SECOND:g} s"
        self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))
        self._stop_timer()
        self._hang_up()


def _timeout(stage: TimeoutStage) -> Outcome:
    if stage is TimeoutStage.ACK:
        return Outcome(OutcomeKind.TIMEOUT, Blame.TARGET, "our 200 was never acknowledged")
    return Outcome(OutcomeKind.TIMEOUT, Blame.UNKNOWN, "the call was not to be answered as long as it may ring")
