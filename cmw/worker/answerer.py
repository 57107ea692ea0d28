"""The callee of the lab: takes every call, up to a number, and does the same with each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos
from cmw.core.words import OutcomeKind, Phase
from cmw.load.outcome import EndpointReport
from cmw.load.share_sip import StepShare
from cmw.sip import CallOffered, CallOptions
from cmw.worker.alarm import Alarm
from cmw.worker.call_media import AudioChoice
from cmw.worker.callee import AnswerChoice, Callee
from cmw.worker.endpoint import Endpoint
from cmw.worker.endpoint_records import PLAIN_OPTIONS, EndpointSettings
from cmw.worker.reporting import endpoint_report
from cmw.worker.station import CallOwner, Station

BUSY_HERE = 486
SERVICE_UNAVAILABLE = 503

HOLD_LIMIT_NS: Nanos = 24 * 3600 * SECOND
"""A call that nobody ends in a day was forgotten."""


@dataclass(frozen=True, slots=True)
class AnswererSettings:
    """What is done with each call.

    Args:
        max_calls: calls at once; more are refused with 486. None for no bound but the ports.
        options: what calls may use.
        steps: what is done when something happens in a call.
    """

    audio: AudioChoice
    answering: AnswerChoice
    max_calls: int | None = None
    options: CallOptions = PLAIN_OPTIONS
    steps: tuple[StepShare, ...] = ()


class Answerer:
    """Answer the calls of a station; whatever user part they name.

    Args:
        on_report: told of each call that has ended.

    `quiet` is set while there is no call.
    """

    def __init__(
        self, station: Station, alarm: Alarm, settings: AnswererSettings, on_report: Callable[[EndpointReport], None]
    ) -> None:
        self.calls_total = 0
        self.refused_busy_total = 0
        self.outcomes: Counter[OutcomeKind] = Counter()
        self._station = station
        self._alarm = alarm
        self._settings = settings
        self._on_report = on_report
        self._callees: dict[int, Callee] = {}
        self._is_ending = False
        self.quiet = asyncio.Event()
        self.quiet.set()
        station.takers.append(self._take_call)
        station.set_inbound_options(None, settings.options)

    @property
    def calls_active(self) -> int:
        """Return how many calls are not being taken down yet."""
        return sum(callee.lifecycle.phase < Phase.DISCONNECTING for callee in self._callees.values())

    def hang_up(self) -> None:
        """End every call politely, and take no more."""
        self._is_ending = True
        for callee in list(self._callees.values()):
            callee.abort()

    def close(self) -> None:
        """Report what is left without waiting for any answer."""
        self._is_ending = True
        for callee in list(self._callees.values()):
            callee.close_now()

    def _take_call(self, offer: CallOffered) -> CallOwner | int:
        if self._is_ending:
            return SERVICE_UNAVAILABLE
        if self._is_full():
            self.refused_busy_total += 1
            return BUSY_HERE
        self.calls_total += 1
        settings = EndpointSettings(
            index=self.calls_total & 0xFFFFFFFF,
            name=offer.request_user or "answer",
            user=offer.request_user,
            group="answer",
            audio=self._settings.audio,
            hold_ns=HOLD_LIMIT_NS,
            hold_limit_ns=HOLD_LIMIT_NS,
            setup_timeout_ns=HOLD_LIMIT_NS,
            options=self._settings.options,
            steps=self._settings.steps,
        )
        callee = Callee(settings, self._station, self._alarm, on_ready=_ignore, on_closed=self._forget)
        callee.answering = self._settings.answering
        self._callees[settings.index] = callee
        self.quiet.clear()
        return callee

    def _is_full(self) -> bool:
        """Tell whether there are as many calls as there may be; one that is being taken down counts no more."""
        most = self._settings.max_calls
        if most is None or len(self._callees) < most:
            return False
        return self.calls_active >= most

    def _forget(self, callee: Endpoint) -> None:
        self._callees.pop(callee.settings.index, None)
        if not self._callees:
            self.quiet.set()
        report = endpoint_report(callee, "answer")
        self.outcomes[report.outcome] += 1
        self._on_report(report)


def _ignore(callee: Endpoint) -> None:
    """A callee without an account is always ready."""
