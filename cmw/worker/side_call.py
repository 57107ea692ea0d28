"""A second call of an endpoint: to whom it was transferred, or whom it asks before it transfers somebody.

Its media is agreed on, streamed and measured as that of any call. Reports are of the endpoint's own call, unless the
second one took its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cmw.core.clock import Nanos
from cmw.errors import CmwError
from cmw.net.packet_log import PacketLog
from cmw.sip import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallEvent,
    CallModified,
    CallOffered,
    CallProceeding,
    CallRejected,
    CallReoffered,
    CallTimedOut,
    TransferRequested,
    UserAgent,
    warning_rows,
)
from cmw.worker.alarm import Alarm
from cmw.worker.call_media import AudioChoice, CallMedia
from cmw.worker.endpoint_records import CallsBeside
from cmw.worker.measurement import CallFigures
from cmw.worker.station import Station

DECLINE = 603
NOT_ACCEPTABLE_HERE = 488
SERVICE_UNAVAILABLE = 503

Invite = Callable[[UserAgent, bytes, Nanos], int]
"""Places the call with an offer; returns its handle."""


class SideCall:
    """One more call; `place` or `take` begins it, `hang_up` ends it, and its owner is told of the end once.

    Args:
        station: what all endpoints share.
        alarm: timers.
        audio: what is said.
        beside: where to note what is kept of it.
        lend: lends memory for its packets, None when there is none.
        on_answered: told when it stands.
        on_ended: told once that it is over; why, where it never stood.
    """

    def __init__(
        self,
        station: Station,
        alarm: Alarm,
        audio: AudioChoice,
        beside: CallsBeside,
        *,
        lend: Callable[[], PacketLog | None],
        on_answered: Callable[[], None],
        on_ended: Callable[[str], None],
    ) -> None:
        self.handle: int | None = None
        self.is_answered = False
        self.figures: CallFigures | None = None
        self._station = station
        self._alarm = alarm
        self._audio = audio
        self._beside = beside
        self._lend = lend
        self._on_answered = on_answered
        self._on_ended = on_ended
        self._media: CallMedia | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    # commands

    def place(self, invite: Invite) -> None:
        """Call; `on_ended` follows at once if that cannot be."""
        try:
            offer = self._open_media().offer()

            def order(agent: UserAgent, now: Nanos) -> int:
                self.handle = call = invite(agent, offer, now)
                call_id = agent.call_snapshot(call).call_id
                self._beside.known.append((call_id, "outbound"))
                if self._media is not None:
                    self._media.name(call_id)
                return call

            self._station.invite(self, order)
        except (CmwError, OSError) as error:
            self._finish(str(error))

    def take(self, offer: CallOffered) -> None:
        """Answer an inbound call at once."""
        self.handle = offer.call
        self._beside.known.append((offer.call_id, "inbound"))
        self._station.adopt(self, offer.call)
        try:
            media = self._open_media()
            media.name(offer.call_id)
            body = media.accept(offer.body) if offer.body else media.offer()
        except (CmwError, OSError) as error:
            status = getattr(error, "hint", 0) or SERVICE_UNAVAILABLE
            self._close_media()
            self._station.command(lambda agent, now: agent.reject(offer.call, status=status, now=now))
            return
        self.is_answered = True
        self._station.command(lambda agent, now: agent.answer(offer.call, body=body, now=now))
        if media.agreed is not None:
            self._start()

    def hold_until(self, at: Nanos) -> None:
        """Hang up at an instant."""
        if not self._is_over:
            self._stop_timer()
            self._timer = self._alarm.at(at, self.hang_up)

    def hang_up(self) -> None:
        """End the call politely; nothing happens to one that is over."""
        self._stop_timer()
        call = self.handle
        if self._is_over:
            return
        if call is None:
            self._finish("")
            return
        if self._media is not None:
            self._media.stop_sending()
        if self.figures is not None:
            self.figures.stop(self._alarm.now())
        self._station.command(lambda agent, now: agent.hang_up(call, now=now))

    def close_now(self) -> None:
        """End the call without waiting for its end; nobody is told."""
        if self._is_over:
            return
        self._is_over = True
        self._stop_timer()
        self._close_media()
        call = self.handle
        if call is not None:
            self._station.command(lambda agent, now: agent.hang_up(call, now=now))

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return self._is_over

    # facts

    def receive_call_event(self, event: CallEvent) -> None:
        """Follow the call to its end."""
        if self._is_over:
            return
        if isinstance(event, CallAnswered):
            self._answered(event)
        elif isinstance(event, CallProceeding):
            self._proceed(event)
        elif isinstance(event, CallConfirmed):
            self._confirm(event)
        elif isinstance(event, CallReoffered):
            if self._media is not None:
                answer_reoffer(self._station, self._media, event)
        elif isinstance(event, CallModified):
            self._modified(event)
        elif isinstance(event, TransferRequested):
            self._station.command(lambda agent, now: agent.reject_transfer(event.transfer, status=DECLINE, now=now))
        elif isinstance(event, CallRejected):
            self._finish(f"the call was answered {event.status} {event.reason}".strip())
        elif isinstance(event, CallTimedOut):
            self._finish("the call was not answered")
        elif isinstance(event, CallEnded):
            self._finish("" if self.is_answered else "the call ended before its answer")

    # private

    def _open_media(self) -> CallMedia:
        self._media = CallMedia(self._station, self._audio)
        self._beside.packets = self._beside.packets or self._lend()
        if self._beside.packets is not None:
            self._media.keep_packets(self._beside.packets)
        return self._media

    def _proceed(self, event: CallProceeding) -> None:
        if event.wants_answer and self._media is not None:
            self._station.command(lambda agent, now: agent.acknowledge(event.call, body=b"", now=now))

    def _answered(self, event: CallAnswered) -> None:
        self.is_answered = True
        media = self._media
        assert media is not None
        try:
            media.agree(event.body)
            self._start()
        except (CmwError, OSError):
            self.hang_up()
            return
        self._on_answered()

    def _confirm(self, event: CallConfirmed) -> None:
        media = self._media
        if media is None or media.agreed is not None:
            return
        try:
            media.agree(event.body)
            self._start()
        except (CmwError, OSError):
            self.hang_up()

    def _modified(self, event: CallModified) -> None:
        if event.body and self._media is not None:
            try:
                self._media.agree(event.body)
            except CmwError:
                self._media.withdraw()

    def _start(self) -> None:
        if self._media is not None and not self._media.is_streaming:
            self._media.start()
            self.figures = CallFigures(self._media.codec, self._media.ptime_ms, self._alarm.now())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_media(self) -> None:
        media, self._media = self._media, None
        if media is None:
            return
        if self.figures is not None:
            media.finish()
            self.figures.finish(media.snapshot(), self._alarm.now())
        media.close()

    def _finish(self, reason: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._stop_timer()
        self._close_media()
        self._on_ended(reason)


def answer_reoffer(station: Station, media: CallMedia, event: CallReoffered) -> bool:
    """Agree to a change that the peer offers, or leave the session as it is; return whether it was agreed to."""
    try:
        answer = media.accept(event.body) if event.body else media.offer()
    except CmwError as error:
        if event.method == "2xx":  # it can be answered only: the call cannot go on
            station.command(lambda agent, now: agent.hang_up(event.call, now=now))
            return False
        status, why = getattr(error, "hint", 0) or NOT_ACCEPTABLE_HERE, warning_rows(error)
        station.command(lambda agent, now: agent.reject_reoffer(event.call, status=status, headers=why, now=now))
        return False
    station.command(lambda agent, now: agent.answer_reoffer(event.call, body=answer, now=now))
    return True
