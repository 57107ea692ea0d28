"""Provisional responses that arrive for sure: numbers, order, acknowledgement by PRACK. Source: RFC 3262.

`ReliableSender` is the side that answers an INVITE, `ReliableReceiver` one early dialog of the side that sent it.
"""

from __future__ import annotations

import re
from collections import deque
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from cmw.core.clock import Nanos
from cmw.sip.grammar import TOKEN_CHARS, fail, is_number, parse_number
from cmw.sip.headers import Headers
from cmw.sip.message import MAX_CSEQ
from cmw.sip.timing import Timing

RELIABLE = "100rel"
"""The option tag. Source: RFC 3262 8.1."""

MAX_RSEQ = 2**32 - 1
"""The first is below 2^31, so that there is room for those after it. Source: RFC 3262 3, 7.1."""

MAX_WAITING = 32
"""Reliable responses that wait for the PRACK of the one before them; a user who sends more gets an error."""

_RACK = re.compile(rf"([0-9]+)[ \t]+([0-9]+)[ \t]+([{TOKEN_CHARS}]+)")

ResponseT = TypeVar("ResponseT")


class RAck(NamedTuple):
    """What a PRACK acknowledges: RSeq of the response, CSeq number and method of the request it answered."""

    rseq: int
    cseq: int
    method: str = "INVITE"

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


def parse_rack(text: str) -> RAck:
    """Parse a RAck value. Raises `RemoteProtocolError` with the hint 400. Source: RFC 3262 7.2."""
    match = _RACK.fullmatch(text)
    if match is None:
        fail("a RAck such as 1 1 INVITE", text)
    rseq = parse_number(match[1], "the number of a response", maximum=MAX_RSEQ)
    return RAck(rseq, parse_number(match[2], "a CSeq number", maximum=MAX_CSEQ), match[3])


def parse_rseq(headers: Headers) -> int | None:
    """Return the RSeq of a response, 1 .. 2^32 - 1; None when there is none that makes sense."""
    text = headers.get("RSeq")
    if text is None or not is_number(text) or len(text) > 10:
        return None
    rseq = int(text)
    return rseq if 0 < rseq <= MAX_RSEQ else None


class Repeat(StrEnum):
    """What time asks of a sender."""

    AGAIN = "again"
    """Send the response again."""
    GIVE_UP = "give up"
    """64*T1 went by without PRACK: the request has to be refused with 5xx."""


class ReliableSender(Generic[ResponseT]):
    """The reliable provisional responses to one INVITE, one at a time.

    Args:
        first_rseq: number of the first, 1 .. 2^31 - 1.
        cseq: CSeq number of the INVITE.
        timing: base values of the timers.
    """

    __slots__ = (
        "_again_at",
        "_cseq",
        "_give_up_at",
        "_interval_ns",
        "_is_owed",
        "_rseq",
        "_timing",
        "_waiting",
        "current",
    )

    def __init__(self, first_rseq: int, cseq: int, timing: Timing) -> None:
        self._rseq = first_rseq - 1
        self._cseq = cseq
        self._timing = timing
        self._waiting: deque[ResponseT] = deque()
        self._interval_ns: Nanos = 0
        self._again_at: Nanos = 0
        self._give_up_at: Nanos = 0
        self._is_owed = False
        self.current: ResponseT | None = None
        """The response that is out and not acknowledged yet."""

    @property
    def rseq(self) -> int:
        """Return the number of the last response that was sent."""
        return self._rseq

    @property
    def is_full(self) -> bool:
        """Tell whether no more responses may be left waiting."""
        return len(self._waiting) >= MAX_WAITING

    @property
    def unacknowledged(self) -> list[ResponseT]:
        """Return what is out, and what waits for its turn behind it."""
        return [] if self.current is None else [self.current, *self._waiting]

    def submit(self, response: ResponseT, *, now: Nanos) -> ResponseT | None:
        """Take a response; return it if it is to be sent now, with `rseq`, None if it has to wait for its turn.

        "The UAS MUST NOT send a second reliable provisional response until the first is acknowledged." RFC 3262 3
        """
        if self.current is not None:
            self._waiting.append(response)
            return None
        return self._begin(response, now)

    def matches(self, rack: RAck) -> bool:
        """Tell whether a PRACK acknowledges what is out; if not, it is answered 481.

        After a final response the UAS "MUST be prepared to process PRACK requests for those outstanding". RFC 3262 3
        """
        return (self.current is not None or self._is_owed) and rack == RAck(self._rseq, self._cseq)

    def acknowledge(self, *, now: Nanos) -> ResponseT | None:
        """Take the PRACK of what is out; return the next response to send, None if there is none."""
        self.current = None
        self._is_owed = False
        return self._begin(self._waiting.popleft(), now) if self._waiting else None

    def stop(self) -> None:
        """Send nothing more: there is a final response. Source: RFC 3262 3."""
        self._is_owed = self.current is not None
        self.current = None
        self._waiting.clear()

    def next_at(self) -> Nanos | None:
        """Return when to ask `take_due`, None when nothing is out."""
        return None if self.current is None else min(self._again_at, self._give_up_at)

    def take_due(self, *, now: Nanos) -> Repeat | None:
        """Return what is due at `now`: T1 after the response, doubling each time, up to 64*T1. Source: RFC 3262 3."""
        if self.current is None or now < min(self._again_at, self._give_up_at):
            return None
        if now >= self._give_up_at:
            return Repeat.GIVE_UP
        self._interval_ns *= 2
        self._again_at += self._interval_ns
        return Repeat.AGAIN

    def _begin(self, response: ResponseT, now: Nanos) -> ResponseT:
        self._rseq += 1
        self.current = response
        self._interval_ns = self._timing.t1_ns
        self._again_at = now + self._interval_ns
        self._give_up_at = now + self._timing.timeout_ns
        return response


class Arrival(StrEnum):
    """What a reliable provisional response is to the early dialog that it came in."""

    NEW = "new"
    """The next in order: to be acknowledged and told."""
    REPEATED = "repeated"
    """The last one again: its PRACK is under way, or was lost for good."""
    OUT_OF_ORDER = "out of order"
    """One before it is missing: neither acknowledged nor told; it will come again. Source: RFC 3262 4."""


class ReliableReceiver:
    """The reliable provisional responses in one early dialog.

    "The UAC MUST maintain a sequence number that indicates the most recently received in-order" one. RFC 3262 4
    """

    __slots__ = ("last_rseq",)

    def __init__(self) -> None:
        self.last_rseq: int | None = None

    def receive(self, rseq: int) -> Arrival:
        """Take the number of a response."""
        if self.last_rseq is None or rseq == self.last_rseq + 1:
            self.last_rseq = rseq
            return Arrival.NEW
        return Arrival.REPEATED if rseq == self.last_rseq else Arrival.OUT_OF_ORDER
