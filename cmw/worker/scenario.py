"""The scenario of one call at work: each step is begun when its time or its event comes, and followed to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind
from cmw.errors import CapacityError, CmwError, LocalProtocolError
from cmw.load.scenario import Scenario, describe_step
from cmw.load.share_sip import StepShare
from cmw.net.media import DigitEvent, DigitFate
from cmw.sip import (
    CallEvent,
    CallModified,
    CallReofferRejected,
    Direction,
    Ending,
    RequestFailed,
    RequestSucceeded,
    TransferAccepted,
    TransferCompleted,
    make_dtmf_info,
)
from cmw.worker.alarm import Alarm
from cmw.worker.call_media import DIGIT_MS, CallMedia
from cmw.worker.side_call import SideCall
from cmw.worker.station import Station

AGAIN_NS: Nanos = 200 * MILLISECOND
"""How long a change waits that cannot be asked for now, as the peer asks for one."""

MOST_TRIES = 25

FORMER_PORTS_NS: Nanos = 4 * SECOND
"""How long ports that were left are listened to: T2 of RFC 3261, within which an answer that was lost comes again."""

CHANGES = ("hold", "resume", "update")
"""Steps that change the session: one at a time."""


class Party(Protocol):
    """The endpoint that plays the scenario."""

    @property
    def handle(self) -> int | None:
        """Return the handle of the call; None when it is over."""
        ...

    @property
    def media(self) -> CallMedia | None:
        """Return the media of the call."""
        ...

    def transfer_target(self, step: StepShare) -> str | None:
        """Return the URI that a transfer leads to; None when its endpoint never became ready."""
        ...

    def place_side_call(
        self, target: str, on_answered: Callable[[], None], on_ended: Callable[[str], None]
    ) -> SideCall | None:
        """Call somebody beside the call; None when there is a side call already."""
        ...

    def note_digit_sent(self) -> None:
        """Count a digit that was sent."""
        ...

    def transferred(self) -> None:
        """Take note that the peer will leave for another call, so that its BYE is no surprise."""
        ...

    def finish_call(self) -> None:
        """End the call as if its time had come."""
        ...

    def warn(self, outcome: Outcome) -> None:
        """Take note of a failure."""
        ...


class _Dialling(NamedTuple):
    """One time that a step has digits sent; a step that is begun again has another, which may wait behind it."""

    step: StepShare


class ScenarioRunner:
    """Plays the steps of one call; `begin` at its answer, `close` at its end.

    Args:
        steps: the steps.
        party: who plays.
        station: where commands are given.
        alarm: timers.
    """

    def __init__(self, steps: tuple[StepShare, ...], party: Party, station: Station, alarm: Alarm) -> None:
        self.executed = 0
        self.failed = 0
        self._scenario = Scenario(steps)
        self._party = party
        self._station = station
        self._alarm = alarm
        self._timer: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._waiting: deque[StepShare] = deque()
        self._change: StepShare | None = None
        self._tries = 0
        self._requests: dict[int, tuple[StepShare, str]] = {}
        self._dialled: deque[_Dialling] = deque()  # a place for each digit that the media engine has
        self._transfer: tuple[int, StepShare] | None = None
        self._transfer_accepted = False
        self._consulting: StepShare | None = None
        self._side: SideCall | None = None

    # commands

    def begin(self, answered_at: Nanos) -> None:
        """Let time count."""
        self._scenario.begin(answered_at)
        self._arm()

    def note(self, event: str, digit: str = "") -> None:
        """Begin the steps that waited for what the peer has done."""
        for step in self._scenario.take_event(event, digit):
            self._start(step)

    def close(self) -> None:
        """End with the call: what is under way has failed, what never began does not count."""
        for timer in (self._timer, self._again, self._leaving):
            if timer is not None:
                timer.cancel()
        self._timer = self._again = self._leaving = None
        open_steps = [*self._waiting, *[step for step, _ in self._requests.values()]]
        open_steps += [each.step for each in {id(each): each for each in self._dialled}.values()]
        open_steps += [step for step in (self._change, self._consulting) if step is not None]
        if self._transfer is not None and self._transfer_accepted:
            self.executed += 1  # the peer has gone where it was sent
        elif self._transfer is not None:
            open_steps.append(self._transfer[1])
        self._waiting.clear()
        self._requests.clear()
        self._dialled.clear()
        self._change = self._transfer = self._consulting = None
        for step in open_steps:
            self._fail(step, "the call ended first")

    # facts

    def receive_event(self, event: CallEvent) -> bool:
        """Take a fact about the call; return whether it was about a step."""
        if isinstance(event, (RequestSucceeded, RequestFailed)):
            return self._request_ended(event)
        if isinstance(event, CallModified) and event.by is Ending.LOCAL:
            return self._changed(event)
        if isinstance(event, CallReofferRejected):
            return self._change_refused(event)
        if isinstance(event, (TransferAccepted, TransferCompleted)):
            self._transfer_went(event)
            return True
        return False

    def receive_digit_event(self, event: DigitEvent) -> None:
        """Take what became of a digit of ours (RFC 4733); they come in the order that they were given in."""
        if not self._dialled:
            return
        dialling = self._dialled.popleft()
        if event.fate is DigitFate.SENT:
            self._party.note_digit_sent()
        if any(each is dialling for each in self._dialled):
            return
        if event.fate is DigitFate.DROPPED:  # with one digit, all that follow it are
            self._fail(dialling.step, "the call was put on hold before all digits had left")
        else:
            self.executed += 1

    # private: time

    def _arm(self) -> None:
        at = self._scenario.next_at()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._alarm.at(at, self._time_came)

    def _time_came(self) -> None:
        self._timer = None
        for step in self._scenario.take_due(self._alarm.now() + MILLISECOND):
            self._start(step)
        self._arm()

    def _start(self, step: StepShare) -> None:
        if self._party.handle is None:
            return
        if step.action in CHANGES:
            self._waiting.append(step)
            self._next_change()
            return
        try:
            _ACTIONS[step.action](self, step)
        except CmwError as error:
            self._fail(step, str(error))

    # private: changes of the session

    def _next_change(self) -> None:
        """Ask for the next change, unless one is open."""
        self._again = None
        call, media = self._party.handle, self._party.media
        if self._change is not None or not self._waiting or call is None or media is None:
            return
        step = self._waiting[0]
        direction = {"hold": Direction.SENDONLY, "resume": Direction.SENDRECV}.get(step.action)
        try:
            offer = media.offer(direction, tuple(step.codecs), new_ports=step.new_ports)
            method = step.via.upper()
            self._station.command(lambda agent, now: agent.reoffer(call, body=offer, method=method, now=now))
        except LocalProtocolError as error:
            media.withdraw()
            self._try_again(step, str(error))
            return
        except (CapacityError, OSError) as error:
            self._tries = 0
            self._waiting.popleft()
            self._fail(step, str(error), Blame.WORKER)
            self._next_change()
            return
        self._tries = 0
        self._change = self._waiting.popleft()

    def _try_again(self, step: StepShare, reason: str) -> None:
        self._tries += 1
        if self._tries <= MOST_TRIES:
            self._again = self._alarm.at(self._alarm.now() + AGAIN_NS, self._next_change)
            return
        self._tries = 0
        self._waiting.popleft()
        self._fail(step, reason)
        self._next_change()

    def _changed(self, event: CallModified) -> bool:
        step, self._change = self._change, None
        media = self._party.media
        if step is None or media is None:
            return False
        try:
            media.agree(event.body)
        except CmwError as error:
            media.withdraw()
            self._fail(step, f"the answer cannot be used: {error}", Blame.TARGET)
        else:
            self.executed += 1
            if step.new_ports:
                self._leave(media)
        self._next_change()
        return True

    def _leave(self, media: CallMedia) -> None:
        """Have the ports that were left given back when nothing comes there any more."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = self._alarm.at(self._alarm.now() + FORMER_PORTS_NS, media.leave_former_ports)

    def _change_refused(self, event: CallReofferRejected) -> bool:
        step, self._change = self._change, None
        if self._party.media is not None:
            self._party.media.withdraw()
        if step is not None:
            self._fail(step, _told(event.method, event.status, event.reason), Blame.TARGET)
            self._next_change()
        return step is not None

    # private: requests

    def _send_info(self, step: StepShare) -> None:
        self._request(step, "INFO", step.type, step.body.encode())

    def _send_message(self, step: StepShare) -> None:
        self._request(step, "MESSAGE", step.type, step.body.encode())

    def _send_options(self, step: StepShare) -> None:
        self._request(step, "OPTIONS", "", b"")

    def _send_dtmf(self, step: StepShare) -> None:
        media = self._party.media
        if media is None or media.is_held or media.is_holding:
            raise LocalProtocolError("the call is on hold, and digits are sent to nobody then")
        if step.via == "rfc4733" or (step.via == "negotiated" and media.takes_digits(step.body)):
            media.send_digits(step.body, step.digit_ms or DIGIT_MS)
            self._dialled.extend([_Dialling(step)] * len(step.body))
        else:
            self._send_digit(step, step.body)

    def _send_digit(self, step: StepShare, digits: str) -> None:
        length = () if step.digit_ms is None else (step.digit_ms,)
        kind, body = make_dtmf_info(digits[0], *length)
        self._request(step, "INFO", kind, body, digits[1:])

    def _request(self, step: StepShare, method: str, kind: str, body: bytes, rest: str = "") -> None:
        call = self._party.handle
        assert call is not None
        headers = (("Content-Type", kind),) if kind else ()
        request = self._station.command(
            lambda agent, now: agent.request_in_call(call, method, headers=headers, body=body, now=now)
        )
        self._requests[request] = step, rest

    def _request_ended(self, event: RequestSucceeded | RequestFailed) -> bool:
        step, rest = self._requests.pop(event.request, (None, ""))
        if step is None:
            return False
        if step.action == "send_dtmf" and isinstance(event, RequestSucceeded):
            self._party.note_digit_sent()
        if isinstance(event, RequestFailed):
            blame = Blame.TARGET if event.status else Blame.UNKNOWN
            self._fail(step, _told(event.method, event.status, event.reason), blame)
        elif rest:
            self._send_digit(step, rest)
        else:
            self.executed += 1
        return True

    # private: transfers

    def _send_transfer(self, step: StepShare) -> None:
        target = self._party.transfer_target(step)
        if target is None:
            self._fail(step, "whom it leads to never became ready")
        elif not step.attended:
            self._refer(step, target, None)
        else:
            self._consulting = step
            self._side = self._party.place_side_call(target, self._consulted, self._consultation_ended)
            if self._side is None:
                self._consulting = None
                self._fail(step, "a second call stands already")

    def _consulted(self) -> None:
        step, self._consulting = self._consulting, None
        side = self._side
        if step is None or side is None or self._party.handle is None:
            return
        try:
            self._refer(step, "", side.handle)
        except CmwError as error:
            self._fail(step, str(error))
            side.hang_up()

    def _consultation_ended(self, reason: str) -> None:
        step, self._consulting = self._consulting, None
        self._side = None
        if step is not None:
            self._fail(step, f"the call to its target: {reason or 'it ended'}", Blame.TARGET)

    def _refer(self, step: StepShare, target: str, replaces: int | None) -> None:
        call = self._party.handle
        assert call is not None
        transfer = self._station.command(
            lambda agent, now: agent.transfer(call, target, replaces_call=replaces, now=now)
        )
        self._transfer = transfer, step
        self._transfer_accepted = False

    def _transfer_went(self, event: TransferAccepted | TransferCompleted) -> None:
        if self._transfer is None or event.transfer != self._transfer[0]:
            return
        step = self._transfer[1]
        if isinstance(event, TransferAccepted):
            self._transfer_accepted = True
            self._party.transferred()
            if event.is_followed:
                return
        elif event.status >= 300 or not self._transfer_accepted:
            self._transfer = None
            self._fail(step, _told("REFER", event.status, event.reason), Blame.TARGET)
            if self._side is not None:
                self._side.hang_up()
            return
        self._transfer = None
        self.executed += 1
        self._party.finish_call()

    # private: ends

    def _play(self, step: StepShare) -> None:
        media = self._party.media
        if media is None or step.source is None:
            raise LocalProtocolError("there is no stream")
        media.play(step.source)
        self.executed += 1

    def _hang_up(self, step: StepShare) -> None:
        self.executed += 1
        self._party.finish_call()

    def _fail(self, step: StepShare, reason: str, blame: Blame = Blame.UNKNOWN) -> None:
        self.failed += 1
        told = f"scenario: {describe_step(step)}: {reason}"
        self._party.warn(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, blame, told))


def _told(method: str, status: int, reason: str) -> str:
    if status:
        return f"{method} was answered {status} {reason}".strip()
    return reason or f"{method} was not answered"


_ACTIONS: dict[str, Callable[[ScenarioRunner, StepShare], None]] = {
    "send_info": ScenarioRunner._send_info,
    "send_message": ScenarioRunner._send_message,
    "send_options": ScenarioRunner._send_options,
    "send_dtmf": ScenarioRunner._send_dtmf,
    "transfer": ScenarioRunner._send_transfer,
    "play": ScenarioRunner._play,
    "hang_up": ScenarioRunner._hang_up,
}
