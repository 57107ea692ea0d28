"""One SIP endpoint of a run: it registers, calls or waits for a call, and says in the end how that went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CapacityError, CmwError, LocalProtocolError
from cmw.load.lifecycle import Lifecycle
from cmw.load.share_sip import StepShare
from cmw.net.media import DigitEvent, DigitFate
from cmw.net.packet_log import PacketLog
from cmw.rtp.snapshot import StreamSnapshot
from cmw.sip import (
    CallEnded,
    CallEvent,
    CallLost,
    CallModified,
    CallOffered,
    CallRedirected,
    CallRefreshed,
    CallReoffered,
    Direction,
    Ending,
    Hop,
    InfoReceived,
    MessageReceived,
    NegotiatedAudio,
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
    SessionExpired,
    TransferRequested,
    UserAgent,
    read_dtmf_info,
)
from cmw.worker.alarm import Alarm
from cmw.worker.call_media import CallMedia
from cmw.worker.endpoint_records import (
    CallRecord,
    CallsBeside,
    EndpointSettings,
    Reach,
    RegistrationRecord,
    SignallingRecord,
)
from cmw.worker.measurement import CallFigures, Row
from cmw.worker.scenario import ScenarioRunner
from cmw.worker.side_call import SideCall, answer_reoffer
from cmw.worker.station import LAST_CALL_EVENTS, Station

MAX_DIGITS = 100
"""Digits received that are kept."""


BUSY_HERE = 486

SILENCE_DBOV = -60
"""What the media engine calls speech is louder."""
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
        self.signalling = SignallingRecord()
        self.figures: CallFigures | None = None
        self.reach: Callable[[str], Reach] = nowhere
        self.lend: Callable[[str], PacketLog | None] = no_memory
        self.on_left: Callable[[Endpoint], bool] = goes
        """Told once, when its call is over; returns whether the registration stays, until `give_up_registration`."""
        self.over_at: Nanos | None = None
        """When its call was over, if nothing but the peer's last packets was waited for since."""
        self.packets: PacketLog | None = None
        """Of its call, when they are kept; whole once the endpoint has closed."""
        self.beside = CallsBeside()
        self.transfer_uri: str | None = None
        """Whom the scenario's transfer leads to, where that is an endpoint of a group."""
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
        self._gives_up = False
        self._is_transferred = False
        self._was_held = False
        self._side_goes_on = False
        self._side: SideCall | None = None
        self._scenario = ScenarioRunner(settings.steps, self, station, alarm) if settings.steps else None
        self._furthest = Phase.INITIALIZING
        self.shortage = ""
        """What was used up when its call needed it."""

    # Looks.

    @property
    def station(self) -> Station:
        """Return where it calls and is called."""
        return self._station

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

    @property
    def rating(self) -> tuple[int, int, int, int] | None:
        """Return the media slot, and what our extended reports say of the stream in it; None without one."""
        if self._media is None or self.figures is None or not self._media.is_streaming:
            return None
        return (self._media.slot, *self.figures.rating)

    @property
    def has_left(self) -> bool:
        """Tell whether the endpoint has ended or is about to."""
        return self.lifecycle.phase >= Phase.DISCONNECTING and self._side is None

    @property
    def scenario_actions(self) -> tuple[int, int]:
        """Return how many steps of the scenario were carried out, and how many failed."""
        return (self._scenario.executed, self._scenario.failed) if self._scenario is not None else (0, 0)

    @property
    def registration_flow(self) -> Hop | None:
        """Return where the registration stands, None where there is none."""
        handle = self._registration_handle
        if handle is None:
            return None
        return self._station.command(lambda agent, _: agent.registration_snapshot(handle)).flow

    # Commands.

    def prepare(self) -> None:
        """Register if there is an account; `on_ready` follows, perhaps at once."""
        if self.lifecycle.phase is not Phase.INITIALIZING:
            return  # it was ended before its turn came
        account = self.settings.account
        if account is None or not self.settings.registers:
            self._become_ready()
            return
        self.registration.attempted = True
        self.registration.began_at = self._alarm.now()
        try:
            self._registration_handle = self._station.register(self, account, expires_s=self.settings.expires_s)
        except CmwError as error:
            self.fail(OutcomeKind.REGISTRATION_FAILED, Blame.WORKER, str(error))
            return
        if self._station.is_recording and self._registration_handle is not None:
            handle = self._registration_handle
            with contextlib.suppress(LocalProtocolError):  # it is over already
                seen = self._station.command(lambda agent, _: agent.registration_snapshot(handle))
                self.registration.call_id = seen.call_id

    def fail(self, kind: OutcomeKind, blame: Blame, reason: str) -> None:
        """End the endpoint with a failure; nothing happens to one that has ended."""
        if self.lifecycle.is_closed:
            return
        self.lifecycle.settle(Outcome(kind, blame, reason))
        self.abort()

    def abort(self) -> None:
        """End the endpoint now: hang up what stands, remove the registration, close."""
        self._stop_timer()
        if self._side is not None:
            self._side.hang_up()
        if self._call_handle is not None:
            self._hang_up()
        else:
            self._leave()

    def give_up_registration(self) -> None:
        """Remove the registration, or what a REGISTER on its way will make of it, and close; once the call is over."""
        if not self._is_leaving or self._gives_up or self.lifecycle.is_closed:
            return
        self._gives_up = True
        registration = self._registration_handle
        if registration is None:
            self._close()
        else:  # RegistrationEnded or RegistrationFailed closes
            self._station.command(lambda agent, now: agent.unregister(registration, now=now))

    def close_now(self) -> None:
        """Close without waiting for anybody, the last resort: what stands is released, its answers are not awaited."""
        if self.lifecycle.is_closed:
            return
        call, registration = self._call_handle, self._registration_handle
        self._call_handle = self._registration_handle = None
        if call is not None:
            self.call.times.ended_at = self.call.times.ended_at or self._alarm.now()
        self._advance(Phase.DISCONNECTING)
        self._close_scenario()
        if call is not None:
            self._note_counts(call)
        if self._side is not None:
            self._side.close_now()
            self._side = None
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
            if not self._gives_up:
                self._lose_registration(event)
            return
        self._registration_handle = None
        if self._is_leaving:
            if isinstance(event, RegistrationFailed) and not self._gives_up:
                self._lose_registration(event)
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
        if isinstance(event, CallOffered) and event.replaces is not None:
            self._take_replacement(event)
            return
        if self.lifecycle.is_closed:
            return
        if isinstance(event, LAST_CALL_EVENTS):
            self._note_counts(event.call)
        self._dispatch(event)
        if self.figures is not None and self._media is not None:
            self.figures.change_codec(self._media.codec, self._alarm.now())
            self.figures.ptime_ms = self._media.ptime_ms
            self.figures.follow_direction(self._alarm.now(), is_two_way=self._media.is_two_way)

    def _dispatch(self, event: CallEvent) -> None:
        if isinstance(event, CallReoffered):
            self._follow_reoffer(event)
        elif self._scenario is not None and self._scenario.receive_event(event):
            return
        elif isinstance(event, CallModified):
            self._follow_answer(event)
        elif isinstance(event, CallEnded):
            self._end_call(event)
        elif not self._note(event):
            self._follow_call(event)

    def _follow_call(self, event: CallEvent) -> None:
        raise AssertionError("a caller or a callee follows calls")

    def _note(self, event: CallEvent) -> bool:
        """Take note of what the peer may do at any time; return whether it was that."""
        match event:
            case InfoReceived():
                self._note_info(event)
            case MessageReceived():
                self.signalling.messages_received += 1
                self._trigger("message")
            case CallRefreshed():
                self._note_refresh()
            case CallRedirected():
                self.signalling.redirects += 1
            case TransferRequested():
                self._follow_transfer(event)
            case CallLost():
                reason = f"the call was lost: {status_text(event.status, event.reason)}"
                self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))
            case SessionExpired():
                reason = "nobody refreshed the session in time; the call went on"
                self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))
            case _:
                return False
        return True

    def _note_info(self, event: InfoReceived) -> None:
        self.signalling.infos_received += 1
        dtmf = read_dtmf_info(event.content_type, event.body)
        if dtmf is not None:
            self._note_digit(dtmf.digit)
        self._trigger("info")

    def _note_digit(self, digit: str) -> None:
        """Take note of a digit that came, by INFO or by RFC 4733."""
        self.signalling.dtmf_received = (self.signalling.dtmf_received + digit)[:MAX_DIGITS]
        self._trigger("dtmf", digit)

    def _follow_digit(self, event: DigitEvent) -> None:
        if event.fate is DigitFate.RECEIVED:
            self._note_digit(event.digit)
        elif self._scenario is not None:
            self._scenario.receive_digit_event(event)

    def note_digit_sent(self) -> None:
        """Count a digit that was sent."""
        if self.figures is not None:
            self.figures.digits_sent += 1

    def _note_refresh(self) -> None:
        self.signalling.session_timer_refreshes += 1
        self._trigger("session_refreshed")

    def _note_counts(self, call: int) -> None:
        with contextlib.suppress(LocalProtocolError):
            seen = self._station.command(lambda agent, _: agent.call_snapshot(call))
            self.signalling.challenges = seen.counts.challenges
            self.signalling.retransmissions = seen.retransmissions_sent
            self.signalling.transfers = seen.counts.transfers

    def _trigger(self, event: str, digit: str = "") -> None:
        if self._scenario is not None and self.lifecycle.phase is Phase.INCALL:
            self._scenario.note(event, digit)

    def _close_scenario(self) -> None:
        if self._scenario is not None:
            self._scenario.close()

    # What the scenario asks of its party.

    @property
    def handle(self) -> int | None:
        """Return the handle of the call; None when it is over, or about to be."""
        return self._call_handle if self.lifecycle.phase < Phase.DISCONNECTING else None

    @property
    def media(self) -> CallMedia | None:
        """Return the media of the call."""
        return self._media

    def transfer_target(self, step: StepShare) -> str | None:
        """Return the URI that a transfer leads to; None when its endpoint never became ready."""
        return step.uri or self.transfer_uri

    def place_side_call(
        self, target: str, on_answered: Callable[[], None], on_ended: Callable[[str], None]
    ) -> SideCall | None:
        """Call somebody beside the call; None when there is a side call already."""
        if self._side is not None:
            return None

        def ended(reason: str) -> None:
            self._side = None
            on_ended(reason)
            self._leave_if_over()

        side = self._make_side(on_answered, ended, goes_on=False)
        side.place(lambda agent, offer, now: self._invite_beside(agent, target, offer, None, now))
        return side

    def transferred(self) -> None:
        """Take note that the peer will leave for another call, so that its BYE is no surprise."""
        self._is_transferred = True

    def finish_call(self) -> None:
        """End the call as if its time had come."""
        if self.handle is not None:
            self._stop_timer()
            self._hang_up()

    def warn(self, outcome: Outcome) -> None:
        """Take note of a failure that leaves the call as it is."""
        self.lifecycle.settle(outcome)

    # Calls beside the call.

    def _make_side(
        self, on_answered: Callable[[], None], on_ended: Callable[[str], None], *, goes_on: bool = True
    ) -> SideCall:
        """Make a call beside the call.

        Args:
            goes_on: it takes the place of the call, and so outlives it.
        """
        self._side_goes_on = goes_on
        self._side = SideCall(
            self._station,
            self._alarm,
            self.settings.audio,
            self.beside,
            lend=partial(self.lend, self.settings.name),
            on_answered=on_answered,
            on_ended=on_ended,
        )
        return self._side

    def _invite_beside(self, agent: UserAgent, target: str, offer: bytes, transfer: int | None, now: Nanos) -> int:
        reach = self.reach(target)
        return agent.invite(
            "" if transfer is not None else target,
            account=self.settings.account,
            local_uri=reach.local_uri,
            contact_user=self.settings.user,
            body=offer,
            destination=reach.destination,
            options=replace(self.settings.options, routes=reach.routes, replaces=None),
            transfer=transfer,
            now=now,
        )

    def _follow_transfer(self, event: TransferRequested) -> None:
        """Call whom the peer sends us to; our call with it ends when it says so."""
        transfer, target = event.transfer, event.target.uri
        if self._side is not None or self.handle is None:
            self._station.command(lambda agent, now: agent.reject_transfer(transfer, status=BUSY_HERE, now=now))
            return
        self._station.command(lambda agent, now: agent.accept_transfer(transfer, now=now))
        self._is_transferred = True
        side = self._make_side(_nothing, partial(self._end_side, target))
        side.place(lambda agent, offer, now: self._invite_beside(agent, target, offer, transfer, now))
        if not side.is_over:
            began_at = self.call.times.answered_at or self._alarm.now()
            side.hold_until(max(began_at + self.settings.hold_ns, self._alarm.now() + SECOND))

    def _end_side(self, target: str, reason: str) -> None:
        self._side = None
        if reason:
            self._is_transferred = False  # the call goes on as it was
            told = f"transferred to {target}: {reason}"
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, told))
        self._leave_if_over()

    def _take_replacement(self, offer: CallOffered) -> None:
        """Go on with whom our peer was sent to by somebody: the new call takes the place of ours. RFC 3891."""
        if self._side is not None or self.handle is None or offer.replaces != self._call_handle:
            self._station.command(lambda agent, now: agent.reject(offer.call, status=BUSY_HERE, now=now))
            return
        self._is_transferred = True

        def ended(reason: str) -> None:
            self._adopt(side)
            self._end_side(offer.from_uri, reason)

        side = self._make_side(_nothing, ended)
        side.take(offer)
        if not side.is_over:
            span_ns = self.settings.hold_ns if self.settings.hangs_up else self.settings.hold_limit_ns
            side.hold_until(self._alarm.now() + span_ns)

    def _adopt(self, side: SideCall) -> None:
        """Report of the call that took the place of ours: what was said before went to whoever sent us there."""
        if side.figures is not None:
            self.figures = side.figures
            self.call.times.ended_at = self._alarm.now()
            self._judge_media(side.figures)

    def _leave_if_over(self) -> None:
        """Go on to the end once the last of the endpoint's calls is over."""
        if self._call_handle is None and self._media is None and self.call.attempted:
            self._leave()

    # Media.

    def _open_media(self) -> CallMedia:
        """Reserve ports.

        Raises:
            CapacityError, OSError: there are none.
        """
        try:
            self._media = CallMedia(self._station, self.settings.audio, self._follow_digit)
            if self.call.call_id:
                self._media.name(self.call.call_id)
            self.packets = self.packets or self.lend(self.settings.name)
            if self.packets is not None:
                self._media.keep_packets(self.packets)
        except CapacityError as error:
            self.shortage = error.resource
            raise
        return self._media

    def _start_stream(self) -> bool:
        """Begin to stream as agreed, with early media before the answer; return whether that could be."""
        assert self._media is not None
        if self._media.is_streaming:
            return True
        try:
            self._media.start()
        except (CmwError, OSError) as error:
            self.fail(OutcomeKind.OSERROR, Blame.WORKER, f"media could not be started: {error}")
            return False
        self.figures = CallFigures(self._media.codec, self._media.ptime_ms, self._alarm.now())
        self.figures.follow_direction(self._alarm.now(), is_two_way=self._media.is_two_way)
        return True

    def _start_media(self) -> None:
        """Begin the call proper: it was answered."""
        if self._start_stream() and self._advance(Phase.INCALL) and self._scenario is not None:
            self._scenario.begin(self.call.times.answered_at or self._alarm.now())

    def _follow_reoffer(self, event: CallReoffered) -> None:
        """Agree to a change that the peer offers, or leave the session as it is."""
        media = self._media
        if media is None:
            return
        before = media.agreed
        if not answer_reoffer(self._station, media, event):
            return
        is_refresh = event.request is not None and "Session-Expires" in event.request.headers
        if is_refresh and media.agreed == before:
            self._note_refresh()
        if media.is_held != self._was_held:
            self._was_held = media.is_held
            self._trigger("hold" if media.is_held else "resume")

    def _follow_answer(self, event: CallModified) -> None:
        """Take the answer to an offer that the peer asked us for during the call; there is none when it offered."""
        if not event.body or self._media is None:
            return
        try:
            self._media.agree(event.body)
        except CmwError as error:
            reason = f"an answer during the call cannot be used: {error}"
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET, reason))

    # Ends.

    def _hang_up(self) -> None:
        call = self._call_handle
        assert call is not None
        self._advance(Phase.DISCONNECTING)
        self._close_scenario()
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
        if event.by is Ending.LOCAL and self.call.answered and 200 <= event.status <= 299:
            times.released_at = event.at
        self._close_scenario()
        if event.by is Ending.REMOTE:
            if not self._is_transferred:
                self._lose_call(event)
        elif not self.call.answered:
            self.call.status = event.status if event.status >= 300 else 0
        elif event.status == 0:
            self.lifecycle.settle(Outcome(OutcomeKind.TEARDOWN_ERROR, Blame.TARGET, "the BYE was never answered"))
        elif event.unanswered_realm is not None:  # the call itself was as it should be, whoever wants a password now
            reason = f"the BYE was answered {status_text(event.status, event.reason)}: no credentials for realm "
            told = reason + repr(event.unanswered_realm)
            self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN, told))
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
        self.over_at = self._alarm.now()
        self._set_timer(self.over_at + STRAGGLERS_NS, self._close_call)

    def _lose_call(self, event: CallEnded) -> None:
        """The remote party hung up: what that means is for callers and callees to say."""

    def _close_call(self) -> None:
        """Freeze the media and go on to the end, whatever ended the call."""
        self._call_handle = None
        self._stop_timer()
        self._close_scenario()
        self._finish_media()
        if self._side is None or self._is_leaving:
            self._leave()
            return
        self.over_at = None  # but that beside it goes on
        if not self._side_goes_on:
            self._side.hang_up()  # and its end is ours

    def _finish_media(self) -> None:
        media = self._media
        if media is None:
            return
        self._media = None
        if self.figures is not None:
            media.finish()
            self.figures.finish(media.snapshot(), self._alarm.now())
            self._judge_media(self.figures, media.agreed)
        media.close()

    def _judge_media(self, figures: CallFigures, agreed: NegotiatedAudio | None = None) -> None:
        """Warn of a call that was answered but not heard, by either side, or not all the time."""
        if not self.call.answered or figures.elapsed_ns < 2 * SECOND:
            return
        named = describe_peer(agreed)
        span = f"{figures.elapsed_ns / SECOND:.1f} s of an answered call"
        if figures.packets_received == 0:
            reason = f"no RTP came in {span}{named}"
        elif figures.missing:
            what = "we were not heard" if figures.packets_sent else "nothing of ours left"
            reason = f"one-way: {what} in {span}{named}"
        elif quiet := figures.quiet_span(self.call.times.answered_at or 0):
            reason = f"no RTP came {quiet} of {span}{named}"
        elif figures.is_silent and self.settings.audio.source != "silence":
            reason = f"silent: nothing above {SILENCE_DBOV} dBov came in {span}"
        elif 2 * figures.wrong_payload_type > figures.packets_received:
            reason = f"not in the agreed codec: most of what came in {span}"
        else:
            return
        told = "; ".join([reason, *figures.oddities])
        self.lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN, told))

    def _leave(self) -> None:
        """Go on to the end: nothing is left but the registration."""
        if self._is_leaving or self.lifecycle.is_closed:
            return
        self._is_leaving = True
        self._advance(Phase.DISCONNECTING)
        self._finish_media()
        self._become_ready()
        if not self.on_left(self) or self._registration_handle is None:
            self.give_up_registration()

    def _close(self) -> None:
        self._stop_timer()
        self.lifecycle.close()
        self._become_ready()
        self._on_closed(self)

    def _become_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._on_ready(self)

    def _advance(self, phase: Phase) -> bool:
        """Go on to a phase; return False when it is there or beyond."""
        if not self.lifecycle.advance(phase):
            return False
        if phase < Phase.DISCONNECTING:
            self._furthest = phase
        return True

    def _set_timer(self, at: Nanos, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._alarm.at(at, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    """What is told to nobody."""


def goes(endpoint: Endpoint) -> bool:
    """Keep no registration for further calls, which is for whoever made the endpoint to say."""
    return False


def no_memory(name: str) -> PacketLog | None:
    """Lend nothing for packets, which is for whoever made the endpoint to do."""
    return None


def nowhere(target: str) -> Reach:
    """Return nothing of how a target is reached, which is for whoever made the endpoint to say."""
    return Reach()


def describe_peer(agreed: NegotiatedAudio | None) -> str:
    """Return where the peer's description said that it is, and whether it said that it will not speak, or not hear."""
    if agreed is None:
        return ""
    direction = agreed.remote_direction
    if not agreed.remote.host.strip("0.:"):  # all zeros mean hold: RFC 3264 8.4
        return f"; the peer's SDP named {agreed.remote}, on hold"
    told = "" if direction is Direction.SENDRECV else f", a={direction}"
    return f"; the peer's SDP named {agreed.remote}{told}"


def status_text(status: int, reason: str) -> str:
    """Return ``486 Busy Here``, or why there is no status."""
    return f"{status} {reason}".strip() if status else (reason or "no answer")
