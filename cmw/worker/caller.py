"""An endpoint that calls."""

from __future__ import annotations

from dataclasses import replace

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CapacityError, CmwError
from cmw.sip import (
    CallAnswered,
    CallEnded,
    CallEvent,
    CallProceeding,
    CallRejected,
    CallTimedOut,
    Hop,
    TimeoutStage,
    UserAgent,
)
from cmw.worker.endpoint import Endpoint, status_text

NEGOTIATION_STATUSES = (415, 488, 606)
"""Final responses that mean: no media in common. Source: RFC 3261 21.4.13, 21.4.26, 21.6.4."""

MAX_CAUSES = 2
"""Reason header fields that are told of a refusal."""

TIMEOUT_STATUSES = (408, 504)
"""Final responses by which somebody on the way says that nobody answered. Source: RFC 3261 21.4.9, 21.5.5."""


SAME_END_NS: Nanos = 500 * MILLISECOND
"""A peer that holds calls as long as we do counts from its 200 and hangs up before us, by what a message may take
(T1). For a short call a tenth of it counts instead."""


class Caller(Endpoint):
    """Place one call, hold it, hang up."""

    def begin_call(self, target: str) -> None:
        """Count the call as attempted, whatever becomes of it: its time has come."""
        self._advance(Phase.CALLING)
        self.call.attempted = True
        self.call.target = target

    def place_call(self, target: str, destination: Hop | None, local_uri: str, routes: tuple[str, ...] = ()) -> None:
        """Send the INVITE.

        Args:
            target: SIP URI to call.
            destination: where to send it; None where routes, `target` and DNS decide.
            local_uri: what we call ourselves in From.
            routes: Route values instead of the account's.
        """
        if self.lifecycle.phase >= Phase.CALLING:
            return
        self.begin_call(target)
        try:
            media = self._open_media()
            offer = b"" if self.settings.late_offer else media.offer()
        except (CapacityError, OSError) as error:
            self.fail(OutcomeKind.OSERROR, Blame.WORKER, str(error))
            return

        def invite(agent: UserAgent, now: Nanos) -> int:
            self.call.times.invite_at = now
            call = agent.invite(
                target,
                account=self.settings.account,
                local_uri=local_uri,
                contact_user=self.settings.user,
                body=offer,
                headers=self.settings.headers,
                destination=destination,
                options=replace(self.settings.options, routes=routes) if routes else self.settings.options,
                now=now,
            )
            self.call.call_id = agent.call_snapshot(call).call_id
            media.name(self.call.call_id)
            self._call_handle = call  # now, for the network may refuse the INVITE before `invite` returns
            return call

        try:
            self._station.invite(self, invite)
        except CmwError as error:
            self.fail(OutcomeKind.CALL_FAILED, Blame.WORKER, str(error))
            return
        if self._call_handle is not None:
            self._set_timer(self._alarm.now() + self.settings.setup_timeout_ns, self._give_up)

    def _give_up(self) -> None:
        seconds = self.settings.setup_timeout_ns / SECOND
        if self.lifecycle.phase is Phase.RINGING:
            heard = "it rang; cancelled"
        elif self.call.times.trying_at is not None:
            heard = "it did not ring; cancelled"
        else:
            heard = "nothing came at all"  # and so nothing may be cancelled yet: RFC 3261 9.1
        self.fail(OutcomeKind.TIMEOUT, Blame.TARGET, f"no answer within {seconds:g} s ({heard})")

    def _follow_call(self, event: CallEvent) -> None:
        if isinstance(event, CallProceeding):
            self._proceed(event)
        elif isinstance(event, CallAnswered):
            self._answered(event)
        elif isinstance(event, CallRejected):
            self.call.status = event.status if event.is_response else 0
            self._settle_rejection(event)
            self._close_call()
        elif isinstance(event, CallTimedOut):
            rang = event.stage is TimeoutStage.RINGING
            reason = "no final answer after a provisional one" if rang else "no answer to the INVITE at all"
            self.lifecycle.settle(Outcome(OutcomeKind.TIMEOUT, Blame.TARGET, reason))
            self._close_call()

    def _settle_rejection(self, event: CallRejected) -> None:
        text = f"the call was answered {status_text(event.status, event.reason)}"
        if 300 <= event.status < 400 and event.response is not None:
            text += f": {', '.join(event.response.headers.get_all('Contact')) or 'no Contact'}"
        text += _further(event)
        if not event.is_response:
            kind, text = OutcomeKind.CALL_FAILED, f"the network refused the call: {event.reason}"
        elif event.status in NEGOTIATION_STATUSES:
            kind = OutcomeKind.NEGOTIATION_FAILED
        elif event.status in TIMEOUT_STATUSES:
            kind = OutcomeKind.TIMEOUT
        else:
            kind = OutcomeKind.CALL_FAILED
        self.lifecycle.settle(Outcome(kind, Blame.TARGET, text))

    def _proceed(self, event: CallProceeding) -> None:
        times = self.call.times
        if event.status == 100:
            times.trying_at = times.trying_at or event.at
            return
        times.status_at = times.status_at or event.at
        if event.status == 180:
            times.ringing_at = times.ringing_at or event.at
        if event.status == 180 or (event.status == 183 and event.body):
            times.ringback_at = times.ringback_at or event.at
        self._advance(Phase.RINGING)
        if event.body or event.wants_answer:
            self._hear_early(event)

    def _hear_early(self, event: CallProceeding) -> None:
        """Take what comes before the answer; what cannot be used of it does not end the call."""
        media = self._media
        if media is None:
            return
        try:
            if event.wants_answer:
                answer = media.accept(event.body)
                self._station.command(lambda agent, now: agent.acknowledge(event.call, body=answer, now=now))
            else:
                media.agree(event.body)
        except CmwError:
            return  # of a 2xx we shall say so
        self.call.early_media = self.call.early_media or self._start_stream()

    def _answered(self, event: CallAnswered) -> None:
        self._stop_timer()
        self.call.answered = True
        self.call.status = event.status
        self.call.times.answered_at = event.at
        self._advance(Phase.NEGOTIATING)
        try:
            self._agree(event)
        except CmwError as error:
            what = "offer" if event.wants_answer else "answer"
            self.fail(OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET, f"the {what} cannot be used: {error}")
            return
        self._start_media()
        if self.lifecycle.phase is Phase.INCALL:
            self._set_timer(event.at + self.settings.hold_ns, self._finish_call)

    def _agree(self, event: CallAnswered) -> None:
        """Take the answer to our offer, or answer the offer that we left to the callee."""
        media = self._media
        assert media is not None
        if event.wants_answer:
            answer = media.accept(event.body)
            self._station.command(lambda agent, now: agent.acknowledge(event.call, body=answer, now=now))
        elif not self.settings.late_offer or media.agreed is None:
            media.agree(event.body)

    def _finish_call(self) -> None:
        self._stop_timer()
        self._hang_up()

    def _lose_call(self, event: CallEnded) -> None:
        if not self.call.answered:
            reason = "the remote party ended the call before its answer came"
            self.lifecycle.settle(Outcome(OutcomeKind.CALL_FAILED, Blame.TARGET, reason))
        elif self.lifecycle.phase < Phase.DISCONNECTING:
            held_ns, wanted_ns = event.at - (self.call.times.answered_at or event.at), self.settings.hold_ns
            if held_ns >= wanted_ns - min(SAME_END_NS, wanted_ns // 10):
                return
            wanted = wanted_ns / SECOND
            reason = f"the remote party hung up after {held_ns / SECOND:.1f} s of {wanted:g} s"
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))


def _further(event: CallRejected) -> str:
    """Return what else a refusal says of itself: causes (RFC 3326), such as Q.850's, and when to call again."""
    if event.response is None:
        return ""
    told = [f"Reason: {text}" for text in event.response.headers.get_all("Reason")[:MAX_CAUSES]]
    if event.retry_after is not None:
        told.append(f"Retry-After: {event.retry_after.after_s}")
    return "".join([f", {text}" for text in told])
