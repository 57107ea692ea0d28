"""One SIP endpoint of a run: it registers, calls or waits for a call, and says in the end how that went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CmwError
from cmw.load.lifecycle import Lifecycle
from cmw.rtp.snapshot import StreamSnapshot
from cmw.sip import (
    Account,
    CallEnded,
    CallEvent,
    CallModified,
    CallReoffered,
    Ending,
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
    warning_rows,
)
from cmw.worker.alarm import Alarm
from cmw.worker.call_media import AudioChoice, CallMedia
from cmw.worker.measurement import CallFigures, Row
from cmw.worker.station import Station


@dataclass(slots=True)
class CallTimes:
    """Instants of one call on the monotonic clock, nanoseconds; None for what did not happen."""

    invite_at: Nanos | None = None
    trying_at: Nanos | None = None
    ringing_at: Nanos | None = None
    ringback_at: Nanos | None = None
    answered_at: Nanos | None = None
    ended_at: Nanos | None = None


@dataclass(slots=True)
class RegistrationRecord:
    """What became of an endpoint's registration."""

    attempted: bool = False
    succeeded: bool = False
    status: int = 0
    expires_s: int | None = None
    began_at: Nanos | None = None
    ended_at: Nanos | None = None


@dataclass(slots=True)
class CallRecord:
    """What became of an endpoint's call."""

    attempted: bool = False
    answered: bool = False
    direction: str = "outbound"
    call_id: str = ""
    target: str = ""
    status: int = 0
    times: CallTimes = field(default_factory=CallTimes)


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What an endpoint is told.

    Args:
        index: number in the run.
        name: ``group-0001``.
        user: user part under which it is reached at the worker; of one endpoint only.
        group: its group.
        audio: what it says.
        hold_ns: how long a caller holds an answered call.
        hold_limit_ns: when a callee hangs up by itself, because its caller did not.
        setup_timeout_ns: how long a caller waits for an answer.
        account: where and how to register; None for an endpoint that does not.
        expires_s: lifetime of the registration asked for.
    """

    index: int
    name: str
    user: str
    group: str
    audio: AudioChoice
    hold_ns: Nanos
    hold_limit_ns: Nanos
    setup_timeout_ns: Nanos
    account: Account | None = None
    expires_s: int = 300


STRAGGLERS_NS: Nanos = 100 * MILLISECOND
"""How long RTP is still counted after the end of a call: the peer's last packets left before it knew."""


class Endpoint:
    """What callers and callees have in common: registration, media, lifecycle, and a single end.

    `prepare` begins; `on_ready` is told once the endpoint can take part, or has failed to; `on_closed` is told once,
    after its last event. `abort` ends it early, politely: it may be ordered at any time, and more than once.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        station: Station,
        alarm: Alarm,
        *,
        on_ready: Callable[[Endpoint], None],
        on_closed: Callable[[Endpoint], None],
    ) -> None:
        self.settings = settings
        self.lifecycle = Lifecycle()
        self.registration = RegistrationRecord()
        self.call = CallRecord()
        self.figures: CallFigures | None = None
        self._station = station
        self._alarm = alarm
        self._on_ready = on_ready
        self._on_closed = on_closed
        self._media: CallMedia | None = None
        self._call_handle: int | None = None
        self._registration_handle: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_ready = False
        self._is_leaving = False
        self._furthest = Phase.INITIALIZING

    # Looks.

    @property
    def furthest_phase(self) -> Phase:
        """Return how far the endpoint came before it began to leave."""
        return self._furthest

    def close_interval(self, snapshots: Mapping[int, StreamSnapshot], now: Nanos) -> Row | None:
        """Return the row of the last second; None when there is no call, or none for a second yet.

        A call that is being taken down has none any more: we are silent then, and the peer should be.
        """
        media = self._media
        if media is None or self.figures is None or self.lifecycle.phase is not Phase.INCALL:
            return None
        snapshot = snapshots.get(media.slot)
        return None if snapshot is None else self.figures.close_interval(snapshot, now)

    # Commands.

    def prepare(self) -> None:
        """Register if there is an account; `on_ready` follows, perhaps at once."""
        if self.lifecycle.phase is not Phase.INITIALIZING:
            return  # it was ended before its turn came
        account = self.settings.account
        if account is None:
            self._become_ready()
            return
        self.registration.attempted = True
        self.registration.began_at = self._alarm.now()
        try:
            self._registration_handle = self._station.register(self, account, expires_s=self.settings.expires_s)
        except CmwError as error:
            self.fail(OutcomeKind.REGISTRATION_FAILED, Blame.WORKER, str(error))

    def fail(self, kind: OutcomeKind, blame: Blame, reason: str) -> None:
        """End the endpoint with a failure; nothing happens to one that has ended."""
        if self.lifecycle.is_closed:
            return
        self.lifecycle.settle(Outcome(kind, blame, reason))
        self.abort()

    def abort(self) -> None:
        """End the endpoint now: hang up what stands, remove the registration, close."""
        self._stop_timer()
        if self._call_handle is not None:
            self._hang_up()
        else:
            self._leave()

    def close_now(self) -> None:
        """Close without waiting for anybody, the last resort: what stands is released, its answers are not awaited."""
        if self.lifecycle.is_closed:
            return
        call, registration = self._call_handle, self._registration_handle
        self._call_handle = self._registration_handle = None
        if call is not None:
            self.call.times.ended_at = self.call.times.ended_at or self._alarm.now()
        self._advance(Phase.DISCONNECTING)
        self._finish_media()
        self._close()
        with contextlib.suppress(CmwError):
            if call is not None:
                self._station.command(lambda agent, now: agent.hang_up(call, now=now))
            if registration is not None:
                self._station.command(lambda agent, now: agent.unregister(registration, now=now))

    # Facts.

    def receive_registration_event(self, event: RegistrationEvent) -> None:
        """Follow the registration to its end."""
        if self.lifecycle.is_closed:
            return
        if isinstance(event, RegistrationDelayed):
            return  # it is tried again
        self._note_registration(event)
        if isinstance(event, RegistrationSucceeded):
            if not self._is_leaving:
                self._advance(Phase.REGISTERED)
                self._become_ready()
            return
        if isinstance(event, RegistrationLost):
            if not self._is_leaving:
                self._lose_registration(event)
            return
        self._registration_handle = None
        if self._is_leaving:
            self._close()  # even if un-REGISTER was refused or lost: the binding runs out by itself
        elif isinstance(event, RegistrationFailed):
            self._lose_registration(event)

    def _note_registration(self, event: RegistrationEvent) -> None:
        """Keep what became of the first REGISTER."""
        record = self.registration
        if record.ended_at is not None or isinstance(event, RegistrationEnded):
            return
        record.ended_at = event.at
        if isinstance(event, RegistrationSucceeded):
            record.succeeded, record.status, record.expires_s = True, 200, event.expires_s
        else:
            record.status = event.status

    def _lose_registration(self, event: RegistrationFailed | RegistrationLost) -> None:
        text = status_text(event.status, event.reason)
        if self.registration.succeeded:
            what = "was lost" if isinstance(event, RegistrationLost) else "could not be refreshed"
            reason = f"the registration {what}: {text}"
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))
        else:
            self.fail(OutcomeKind.REGISTRATION_FAILED, Blame.TARGET, f"registration failed: {text}")

    def receive_call_event(self, event: CallEvent) -> None:
        """Follow the call; what callers and callees share is here, the rest below them."""
        if self.lifecycle.is_closed:
            return
        if isinstance(event, CallReoffered):
            self._follow_reoffer(event)
        elif isinstance(event, CallModified):
            self._follow_answer(event)
        elif isinstance(event, CallEnded):
            self._end_call(event)
        else:
            self._follow_call(event)

    def _follow_call(self, event: CallEvent) -> None:
        raise AssertionError("a caller or a callee follows calls")

    # Media.

    def _open_media(self) -> CallMedia:
        """Reserve ports.

        Raises:
            CapacityError, OSError: there are none.
        """
        self._media = CallMedia(self._station, self.settings.audio)
        return self._media

    def _start_media(self) -> None:
        assert self._media is not None
        try:
            self._media.start()
        except (CmwError, OSError) as error:
            self.fail(OutcomeKind.OSERROR, Blame.WORKER, f"media could not be started: {error}")
            return
        self.figures = CallFigures(self._media.codec, self.settings.audio.ptime_ms, self._alarm.now())
        self._advance(Phase.INCALL)

    def _follow_reoffer(self, event: CallReoffered) -> None:
        """Agree to a change that the peer offers, or leave the session as it is."""
        media = self._media
        assert media is not None
        try:
            answer = media.follow(event.body) if event.body else media.offer()
        except CmwError as error:
            status, why = getattr(error, "hint", 0) or 488, warning_rows(error)
            self._station.command(
                lambda agent, now: agent.reject_reoffer(event.call, status=status, headers=why, now=now)
            )
            return
        self._station.command(lambda agent, now: agent.answer_reoffer(event.call, body=answer, now=now))

    def _follow_answer(self, event: CallModified) -> None:
        """Take the answer to an offer that the peer asked us for during the call; there is none when it offered."""
        if not event.body or self._media is None:
            return
        try:
            self._media.follow_answer(event.body)
        except CmwError as error:
            reason = f"an answer during the call cannot be used: {error}"
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))

    # Ends.

    def _hang_up(self) -> None:
        call = self._call_handle
        assert call is not None
        self._advance(Phase.DISCONNECTING)
        self._stop_sending()
        self.call.times.ended_at = self.call.times.ended_at or self._alarm.now()
        self._station.command(lambda agent, now: agent.hang_up(call, now=now))

    def _stop_sending(self) -> None:
        if self._media is not None:
            self._media.stop_sending()
        if self.figures is not None:
            self.figures.stop(self._alarm.now())

    def _end_call(self, event: CallEnded) -> None:
        times = self.call.times
        times.ended_at = times.ended_at or event.at
        if event.by is Ending.REMOTE:
            self._lose_call(event)
        elif not self.call.answered:
            self.call.status = event.status if event.status >= 300 else 0
        elif event.status == 0:
            self.lifecycle.settle(Outcome(OutcomeKind.TEARDOWN_ERROR, Blame.TARGET, "the BYE was never answered"))
        elif event.status >= 300 and event.status != 481:  # 481: it was gone already, RFC 3261 15.1.2
            reason = f"the BYE was answered {status_text(event.status, event.reason)}"
            self.lifecycle.settle(Outcome(OutcomeKind.TEARDOWN_ERROR, Blame.TARGET, reason))
        if self.figures is None:
            self._close_call()
            return
        self._call_handle = None
        if self.lifecycle.phase < Phase.DISCONNECTING:
            self._advance(Phase.DISCONNECTING)
            self._stop_sending()
        self._set_timer(self._alarm.now() + STRAGGLERS_NS, self._close_call)

    def _lose_call(self, event: CallEnded) -> None:
        """The remote party hung up: what that means is for callers and callees to say."""

    def _close_call(self) -> None:
        """Freeze the media and go on to the end, whatever ended the call."""
        self._call_handle = None
        self._stop_timer()
        self._finish_media()
        self._leave()

    def _finish_media(self) -> None:
        media = self._media
        if media is None:
            return
        self._media = None
        if self.figures is not None:
            media.finish()
            self.figures.finish(media.snapshot(), self._alarm.now())
            self._judge_media(self.figures)
        media.close()

    def _judge_media(self, figures: CallFigures) -> None:
        """Warn of a call that was answered but not heard."""
        if figures.elapsed_ns >= 2 * SECOND and figures.packets_received == 0:
            reason = f"no RTP came in {figures.elapsed_ns / SECOND:.1f} s of an answered call"
            told = "; ".join([reason, *figures.oddities])
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN, told))

    def _leave(self) -> None:
        """Remove the registration, or the one that a REGISTER on its way will make; then close."""
        if self._is_leaving or self.lifecycle.is_closed:
            return
        self._is_leaving = True
        self._advance(Phase.DISCONNECTING)
        self._finish_media()
        self._become_ready()
        registration = self._registration_handle
        if registration is None:
            self._close()
        else:  # RegistrationEnded or RegistrationFailed closes
            self._station.command(lambda agent, now: agent.unregister(registration, now=now))

    def _close(self) -> None:
        self._stop_timer()
        self.lifecycle.close()
        self._become_ready()
        self._on_closed(self)

    def _become_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._on_ready(self)

    def _advance(self, phase: Phase) -> None:
        if self.lifecycle.advance(phase) and phase < Phase.DISCONNECTING:
            self._furthest = phase

    def _set_timer(self, at: Nanos, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._alarm.at(at, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def status_text(status: int, reason: str) -> str:
    """Return ``486 Busy Here``, or why there is no status."""
    return f"{status} {reason}".strip() if status else (reason or "no answer")
