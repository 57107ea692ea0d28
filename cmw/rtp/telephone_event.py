"""Digits as RTP events, sent and received. Twin of `_rtp_events.pxd`, which the compiled engine uses.

    0                   1                   2                   3
    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |     event     |E|R| volume    |          duration             |      RFC 4733 2.3

Durations and timestamps are in RTP units of the stream.
"""

from __future__ import annotations

import struct
from collections import deque
from enum import IntEnum
from typing import Final, NamedTuple

from cmw.core.clock import MILLISECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.rtp.sequence import TIMESTAMP_MOD, signed32

EVENT_CODES: Final = "0123456789*#ABCD"
"""Digits by their event code. Source: RFC 4733 3.2, table 3."""

MAX_SEGMENT: Final = 0xFFFF
FINAL_PACKETS: Final = 3  # RFC 4733 2.5.1.4: of each event and each segment
QUEUED_EVENTS: Final = 32
REMEMBERED_EVENTS: Final = 8
SILENT_NS: Final = 200 * MILLISECOND
"""An event of which nothing came for this long has ended: ten packets of 20 ms."""

_PAYLOAD: Final = struct.Struct("!BBH")
_END: Final = 0x80
_VOLUME: Final = 0x3F


class EventOrder(NamedTuple):
    """A digit to be sent."""

    code: int
    """0 .. 15."""
    payload_type: int
    volume: int
    """Power below 0 dBm0, 0 .. 63 dB."""
    duration: int
    """1 or more."""
    pause: int
    """From its end to the beginning of the next one."""


class EventPacket(NamedTuple):
    """What leaves instead of audio."""

    payload: bytes
    payload_type: int
    timestamp: int
    marker: bool
    is_over: bool
    """It is the first to say that the digit has ended; what follows repeats that."""


class EndedEvent(NamedTuple):
    """An event that came, and is over."""

    code: int
    duration: int


class _Phase(IntEnum):
    IDLE = 0
    SOUNDING = 1
    REPEATING = 2


class EventSender:
    """Turns queued digits into packets, one at each packet time of the stream; looks at no clock.

    A packet says the time from the beginning of the event to the end of its own packet time, so that packets that were
    skipped are made up for by the next one.
    """

    def __init__(self) -> None:
        self._orders: deque[EventOrder] = deque()
        self._phase = _Phase.IDLE
        self._repeats = 0  # final packets still to be sent
        self._is_end = False  # they end the event, not only a segment of it
        self._start = 0  # timestamp of the segment
        self._before = 0  # units of the segments before it
        self._reported = 0
        self._resume: int | None = None  # when the next event may begin

    def __len__(self) -> int:
        """Return how many digits are not complete yet."""
        return len(self._orders)

    def queue(self, code: int, *, payload_type: int, volume: int, duration: int, pause: int) -> None:
        """Send a digit after those before it.

        Raises:
            LocalProtocolError: 32 digits wait already.
            ValueError: a number is out of its range.
        """
        require_order(code, payload_type, volume, duration, pause)
        if len(self._orders) == QUEUED_EVENTS:
            raise LocalProtocolError(f"expected up to {QUEUED_EVENTS} digits at once, found more")
        self._orders.append(EventOrder(code, payload_type, volume, duration, pause))

    def drop(self) -> int:
        """Forget every digit that is not complete; return how many these were."""
        dropped = len(self._orders)
        self._orders.clear()
        self._phase, self._resume = _Phase.IDLE, None
        return dropped

    def next_packet(self, timestamp: int, step: int) -> EventPacket | None:
        """Return what leaves now; None for audio.

        Args:
            timestamp: of the audio that it is sent instead of.
            step: units in a packet, up to 65535.
        """
        if not self._orders:
            return None
        marker = False
        if self._phase is _Phase.IDLE:
            if self._resume is not None and signed32(timestamp - self._resume) < 0:
                return None
            self._phase, self._start, self._before = _Phase.SOUNDING, timestamp, 0
            marker = True
        order = self._orders[0]
        was_sounding = self._phase is _Phase.SOUNDING
        if was_sounding:
            self._measure(order, (timestamp + step - self._start) % TIMESTAMP_MOD)
        else:
            self._repeats -= 1
        is_final = self._phase is _Phase.REPEATING
        end = _END if is_final and self._is_end else 0
        payload = _PAYLOAD.pack(order.code, end | order.volume, self._reported)
        start, is_over = self._start, was_sounding and bool(end)
        if is_final and self._repeats == 0:
            self._finish()
        return EventPacket(payload, order.payload_type, start, marker, is_over)

    def _measure(self, order: EventOrder, elapsed: int) -> None:
        left = order.duration - self._before
        limit = min(left, MAX_SEGMENT)
        self._reported = min(elapsed, limit)
        if elapsed >= limit:
            self._phase, self._repeats = _Phase.REPEATING, FINAL_PACKETS - 1
            self._is_end = left <= MAX_SEGMENT

    def _finish(self) -> None:
        """End the event, or begin its next segment where this one ended. Source: RFC 4733 2.5.1.3."""
        self._start = (self._start + self._reported) % TIMESTAMP_MOD
        if not self._is_end:
            self._before += self._reported
            self._phase = _Phase.SOUNDING
            return
        self._resume = (self._start + self._orders.popleft().pause) % TIMESTAMP_MOD
        self._phase = _Phase.IDLE


class EventReceiver:
    """Recognises each event once, of whatever packets of it come: one timestamp, one event."""

    def __init__(self) -> None:
        self._is_open = False
        self._code = 0
        self._timestamp = 0
        self._duration = 0
        self._before = 0
        self._arrival_ns: Nanos = 0
        self._ended: deque[int] = deque(maxlen=REMEMBERED_EVENTS)

    def receive(self, payload: bytes, timestamp: int, arrival_ns: Nanos) -> list[EndedEvent]:
        """Take a packet; return what ended with it: up to two events.

        A payload that is too short, or tells of something else than a digit, is passed over. Of several events in one
        packet the first one counts.
        """
        if len(payload) < _PAYLOAD.size or payload[0] >= len(EVENT_CODES) or timestamp in self._ended:
            return []
        code, second, duration = _PAYLOAD.unpack_from(payload)
        ended: list[EndedEvent] = []
        if not (self._is_open and code == self._code and self._goes_on(timestamp)):
            if self._is_open and signed32(timestamp - self._timestamp) < 0:  # all of it was overtaken
                self._ended.append(timestamp)
                return [EndedEvent(code, duration)]
            ended = self._close()
            self._is_open, self._code, self._timestamp = True, code, timestamp
            self._duration = self._before = 0
        self._duration = max(self._duration, duration)
        self._arrival_ns = arrival_ns
        return ended + self._close() if second & _END else ended

    def expire(self, now: Nanos) -> list[EndedEvent]:
        """Return the event that ended because nothing more of it came."""
        return self._close() if now - self._arrival_ns >= SILENT_NS else []

    def _goes_on(self, timestamp: int) -> bool:
        if timestamp == self._timestamp:
            return True
        if timestamp != (self._timestamp + MAX_SEGMENT) % TIMESTAMP_MOD:
            return False
        self._ended.append(self._timestamp)
        self._before += MAX_SEGMENT
        self._timestamp, self._duration = timestamp, 0
        return True

    def _close(self) -> list[EndedEvent]:
        if not self._is_open:
            return []
        self._is_open = False
        self._ended.append(self._timestamp)
        return [EndedEvent(self._code, self._before + self._duration)]


def require_order(code: int, payload_type: int, volume: int, duration: int, pause: int) -> None:
    """Refuse what no packet can say."""
    in_range = 0 <= code < len(EVENT_CODES) and 0 <= payload_type <= 127 and 0 <= volume <= _VOLUME
    if not in_range or not 1 <= duration < 1 << 31 or not 0 <= pause < 1 << 31:
        raise ValueError(
            "expected a code of 0 .. 15, a payload type of 0 .. 127, a volume of 0 .. 63, a duration of 1 .. 2^31 - 1 "
            f"and a pause of 0 .. 2^31 - 1, got {code}, {payload_type}, {volume}, {duration} and {pause}"
        )
