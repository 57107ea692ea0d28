"""One transaction: a row of `transaction_tables` at a time, its timers, and the bytes it may have to send again."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import Nanos
from cmw.sip.hop import Datagram, Hop
from cmw.sip.message import Request, Response, serialize_message
from cmw.sip.timing import Timer, Timing
from cmw.sip.transaction_tables import REPEATING, Action, Input, State, Step, Table, step_of
from cmw.sip.via import DEFAULT_PORT, MAGIC_COOKIE

_COMPLETED, _ACCEPTED, _TERMINATED = State.COMPLETED, State.ACCEPTED, State.TERMINATED
_SEND, _SEND_AGAIN, _SEND_ACK = Action.SEND, Action.SEND_AGAIN, Action.SEND_ACK
# Python 3.11 finds a member in its class eight times slower than a name of the module

OVERHEAD_BYTES = 1700
"""What a transaction takes beside its messages: measured, 100,000 of them without any."""


def client_key(branch: str, method: str) -> str:
    """Return the key that a response finds its transaction by. Source: RFC 3261 17.1.3."""
    return f"{branch} {method}"


def server_key(request: Request, method: str = "") -> str:
    """Return the key that a request finds its transaction by: branch, sent-by and method. Source: RFC 3261 17.2.3.

    Of a peer of RFC 2543, all that has to be the same takes the place of the branch.

    Args:
        request: the request.
        method: that of the transaction; by default the request's own, INVITE for an ACK.
    """
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    plain = request.headers.plain_server_key(method)
    if plain is not None:
        return plain
    via = request.top_via
    branch = via.branch
    if branch is None or not branch.startswith(MAGIC_COOKIE) or branch == MAGIC_COOKIE:  # RFC 4475 3.2.1
        seq = request.seq
        branch = f"{request.headers.get('Via')}|{request.call_id}|{request.from_tag or None}|{seq}|{request.uri}"
    return f"{branch.lower()} {via.host.lower()}:{via.port or DEFAULT_PORT} {method}"


class Transaction:
    """A client or server transaction; the layer feeds it and carries its facts up.

    No state has more than two timers: one that sends again, and one that ends it.

    Args:
        key: what the layer finds it by.
        method: of the request.
        table: which of the four machines it is.
        request: the request that it is about; `SHED` once nobody asks for it any more.
        destination: where its messages go.
        owner: whatever its user wants to find again.
        data: what a client transaction sends.

    Attributes:
        due_at: when the layer wakes it, None for never; the layer's own.
        weight: about how many bytes of memory it took when it was weighed last.
    """

    __slots__ = (
        "_again",
        "_again_at",
        "_again_ns",
        "_data",
        "_end",
        "_end_at",
        "destination",
        "due_at",
        "is_client",
        "key",
        "merge_key",
        "method",
        "owner",
        "reopened",
        "request",
        "retransmissions",
        "state",
        "table",
        "weight",
    )

    def __init__(
        self,
        key: str,
        method: str,
        table: Table,
        request: Request,
        destination: Hop,
        owner: object = None,
        data: bytes = b"",
    ) -> None:
        self.key = key
        self.method = method
        self.table = table
        self.is_client = table.is_client
        self.request = request
        self.destination = destination
        self.owner = owner
        self.merge_key: object = None
        self.reopened = destination
        self.weight = 0
        self.state = table.start[0]
        self.retransmissions = 0
        self.due_at: Nanos | None = None
        self._again: Timer | None = None
        self._again_at: Nanos = 0
        self._again_ns: Nanos = 0
        self._end: Timer | None = None
        self._end_at: Nanos = 0
        self._data = data

    @property
    def is_over(self) -> bool:
        """Tell whether the layer may forget it."""
        return self.state is _TERMINATED

    def weigh(self) -> int:
        """Return by how much its weight has changed: what it may have to send again, the request, what is around."""
        request, before = self.request, self.weight
        self.weight = weight = OVERHEAD_BYTES + len(self._data) + request.headers.size_bytes + len(request.body)
        return weight - before

    def has_sent(self, data: bytes) -> bool:
        """Tell whether `data` is what it sends, and sends again."""
        return data == self._data

    def next_timeout(self) -> Nanos | None:
        """Return when its next timer is due."""
        if self._again is None:
            return None if self._end is None else self._end_at
        return self._again_at if self._end is None or self._again_at < self._end_at else self._end_at

    def pop_due(self, now: Nanos) -> Timer | None:
        """Return the timer that is due at `now`, the soonest first, and forget it; None when there is none."""
        at = self.next_timeout()
        if at is None or at > now:
            return None
        if self._end is not None and self._end_at == at:
            end, self._end = self._end, None
            return end
        again, self._again = self._again, None
        return again

    def advance(
        self,
        event: Input | Timer,
        message: Request | Response | None,
        timing: Timing,
        out: list[Datagram],
        *,
        now: Nanos,
    ) -> tuple[Action, ...]:
        """Take one row of the table: send and arm what it says, and return the actions that are left for the layer.

        Args:
            event: what happened.
            message: the message that came or is to be sent, None for a timer.
            timing: the base values of the timers.
            out: takes the datagrams to send.
        """
        self.state, step = self.table.steps[self.state, event]
        return () if step is None else self._take(step, message, timing, out, now)

    def begin(self, timing: Timing, out: list[Datagram], *, now: Nanos) -> None:
        """Carry out the actions of the first row."""
        self._take(self.table.first_step, None, timing, out, now)

    def listen_for_success(self, timing: Timing, *, now: Nanos) -> None:
        """Be an INVITE of a client that was accepted, whatever it was before."""
        self.state = _ACCEPTED
        self.stop_timers()
        self._take(_LISTEN, None, timing, [], now)

    def stop_timers(self) -> None:
        """Forget every timer."""
        self._again = self._end = None

    def shed(self) -> None:
        """Let go of what it is not asked for any more, once it only lingers: there are thousands of those."""
        state = self.state
        if not self.is_client:
            if state is _COMPLETED or state is State.CONFIRMED:
                self.request = SHED
        elif state is _ACCEPTED:
            self.request, self._data = SHED, b""
        elif state is _COMPLETED:
            self.request, self.owner = SHED, None
            if self.method != "INVITE":
                self._data = b""

    def settle(self, tag: str) -> None:
        """Let go of the call that the INVITE began, which is over; its tag answers a CANCEL that comes late."""
        self.owner = tag
        if self.state is _ACCEPTED:
            self.request, self._data = SHED, b""

    def _take(
        self, step: Step, message: Request | Response | None, timing: Timing, out: list[Datagram], now: Nanos
    ) -> tuple[Action, ...]:
        sends, stops, end, repeats, left = step
        if stops:
            self._again = self._end = None
        if sends is _SEND:
            if message is not None:
                self._data = serialize_message(message)
            out.append(Datagram(self._data, self.destination))
        elif sends is _SEND_AGAIN:
            self._send_again(out)
        elif sends is _SEND_ACK and isinstance(message, Response):
            self._send_ack(message, out)
        if end is not None:
            self._end, self._end_at = end, now + timing.durations[end]
        if repeats is not None:
            self._repeat(repeats, timing, now)
        return left

    def _repeat(self, action: Action, timing: Timing, now: Nanos) -> None:
        """Arm the timer that sends again."""
        timer = REPEATING[action]
        if action in _DOUBLES:
            interval_ns = timing.doubled(timer, self._again_ns)
        else:
            interval_ns = timing.t2_ns if action is Action.E_AT_T2 else timing.durations[timer]
        self._again, self._again_ns, self._again_at = timer, interval_ns, now + interval_ns

    def _send_again(self, out: list[Datagram]) -> None:
        if self._data:
            self.retransmissions += 1
            out.append(Datagram(self._data, self.destination))

    def _send_ack(self, response: Response, out: list[Datagram]) -> None:
        """Send the ACK of a failure response; from the first one on it is what it sends again."""
        if self.request is not SHED:
            self._data = serialize_message(make_failure_ack(self.request, response))
            self.request = SHED
        out.append(Datagram(self._data, self.destination))


SHED: Final = Request("", "")
"""Stands for the request of a transaction that let go of it."""

_LISTEN: Final = step_of((Action.START_M,))
_DOUBLES: Final = frozenset((Action.DOUBLE_A, Action.DOUBLE_E, Action.DOUBLE_G))


def make_failure_ack(invite: Request, response: Response) -> Request:
    """Build the ACK of a failure response: same Via and CSeq number, its To. Source: RFC 3261 17.1.1.3."""
    ack = _same_hop(invite, "ACK")
    ack.headers.set("To", response.headers.get("To") or "")
    return ack


def make_cancel(invite: Request) -> Request:
    """Build the CANCEL of an INVITE: same Via, To without tag, same CSeq number. Source: RFC 3261 9.1."""
    return _same_hop(invite, "CANCEL")


_SAME_HOP = frozenset(("From", "To", "Call-ID", "Route", "Max-Forwards", "User-Agent"))


def _same_hop(invite: Request, method: str) -> Request:
    request = Request(method, invite.uri)
    request.headers.add("Via", invite.headers.get("Via") or "")
    for name, value in invite.headers:
        if name in _SAME_HOP:
            request.headers.add(name, value)
    request.headers.add("CSeq", f"{invite.cseq.number} {method}")
    return request
