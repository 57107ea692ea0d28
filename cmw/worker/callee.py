"""An endpoint that waits for a call."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CapacityError, CmwError, RemoteProtocolError
from cmw.sip import CallCancelled, CallConfirmed, CallEvent, CallOffered, CallTimedOut, TimeoutStage, warning_rows
from cmw.worker.endpoint import Endpoint

MOVED_TEMPORARILY = 302
TEMPORARILY_UNAVAILABLE = 480
SERVICE_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class AnswerChoice:
    """What a callee does with its call.

    Args:
        after_ns: from the INVITE to the final answer.
        ring: whether 180 is sent at once.
        rings_on: no final answer is ever sent; the call ends when its caller gives up.
        reject: status to refuse with; None to answer.
        redirect: Contact values of a 302, instead of an answer.
        early_media: audio is agreed on and sent before the answer.
        progress: status of the provisional response.
        headers: further rows of the answer.
    """

    after_ns: Nanos = 0
    ring: bool = True
    rings_on: bool = False
    reject: int | None = None
    redirect: tuple[str, ...] = ()
    early_media: bool = False
    progress: int = 180
    headers: tuple[tuple[str, str], ...] = ()


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
            self.lifecycle.settle(_rang(self.answering))
            self.call.status = 487
            self._close_call()
        elif isinstance(event, CallTimedOut):
            has_rung = self.answering.rings_on and event.stage is TimeoutStage.EXPIRED
            self.lifecycle.settle(_rang(self.answering) if has_rung else _timeout(event.stage))
            if event.stage is TimeoutStage.ACK:
                self._furthest = Phase.NEGOTIATING  # media flowed, but the caller never confirmed the call
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
            self._ring(offer)
        if self.answering.rings_on:
            self._set_timer(offer.at + self.settings.setup_timeout_ns + self.settings.hold_limit_ns, self._ring_no_more)
            return
        if self.answering.after_ns:
            self._set_timer(offer.at + self.answering.after_ns, self._decide)
        else:
            self._decide()

    def _ring(self, offer: CallOffered) -> None:
        """Send the provisional response, with our answer when there is to be early media."""
        body = self._answer_early(offer) if self.answering.early_media else b""
        status = self.answering.progress
        self._station.command(lambda agent, now: agent.ring(offer.call, status=status, body=body, now=now))
        if body:
            self.call.early_media = self._start_stream()

    def _answer_early(self, offer: CallOffered) -> bytes:
        """Return our answer; none when there is nothing to answer, or nothing that can be: the final response says."""
        if not offer.body:
            return b""
        try:
            return self._open_media().accept(offer.body)
        except (CmwError, OSError):
            self._finish_media()
            return b""

    def _decide(self) -> None:
        if self._call_handle is None:
            return
        if self.answering.redirect:
            self._redirect()
            return
        if self.answering.reject is not None:
            self._refuse(self.answering.reject, Outcome(OutcomeKind.SUCCESS, reason="refused the call, as it should"))
            return
        self._advance(Phase.NEGOTIATING)
        try:
            media = self._media
            if media is None:
                media = self._open_media()
                body = media.accept(self._offer) if self._offer else media.offer()
            else:
                body = media.local
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
        headers = self.answering.headers
        self._station.command(lambda agent, now: agent.answer(call, body=body, headers=headers, now=now))
        if media.agreed is not None:
            self._start_media()
            self._limit_hold()

    def _ring_no_more(self) -> None:
        """End what rings when the run must: a caller that is not ours may never give up."""
        if self._call_handle is not None:
            self._refuse(TEMPORARILY_UNAVAILABLE, _rang(self.answering))

    def _redirect(self) -> None:
        call, contacts = self._call_handle, self.answering.redirect
        assert call is not None
        self.call.status = MOVED_TEMPORARILY
        self.lifecycle.settle(Outcome(OutcomeKind.SUCCESS, reason="redirected the call, as it should"))
        self._station.command(
            lambda agent, now: agent.reject(call, status=MOVED_TEMPORARILY, contacts=contacts, now=now)
        )

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
            span_ns = self.settings.hold_ns if self.settings.hangs_up else self.settings.hold_limit_ns
            self._set_timer(self._alarm.now() + span_ns, self._hold_too_long)

    def _hold_too_long(self) -> None:
        if self.settings.hangs_up or self._is_transferred:
            self.finish_call()
            return
        reason = f"the caller did not hang up within {self.settings.hold_limit_ns / SECOND:g} s"
        self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))
        self._stop_timer()
        self._hang_up()


def _rang(answering: AnswerChoice) -> Outcome:
    if answering.rings_on:
        return Outcome(OutcomeKind.SUCCESS, reason="rang until the caller gave up, as it should")
    return Outcome(OutcomeKind.CALL_FAILED, Blame.UNKNOWN, "the caller gave up while it rang")


def _timeout(stage: TimeoutStage) -> Outcome:
    if stage is TimeoutStage.ACK:
        return Outcome(OutcomeKind.TIMEOUT, Blame.TARGET, "our 200 was never acknowledged")
    if stage is TimeoutStage.PRACK:
        return Outcome(OutcomeKind.TIMEOUT, Blame.TARGET, "our reliable provisional response was never acknowledged")
    return Outcome(OutcomeKind.TIMEOUT, Blame.UNKNOWN, "the call was not to be answered as long as it may ring")
