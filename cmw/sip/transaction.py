"""One transaction: a row of `transaction_tables` at a time, its timers, and the bytes it may have to send again."""

from __future__ import annotations

from typing import NamedTuple

from cmw.core.clock import Nanos
from cmw.core.timers import TimerTable
from cmw.sip.hop import Datagram, Hop
from cmw.sip.message import Request, Response, serialize_message
from cmw.sip.timing import Timer, Timing
from cmw.sip.transaction_tables import Action, Input, State, Table
from cmw.sip.via import DEFAULT_PORT, MAGIC_COOKIE, Via

OVERHEAD_BYTES = 1700
"""What a transaction takes beside its messages: measured, 100,000 of them without any."""


class TransactionKey(NamedTuple):
    """What tells one transaction from another.

    Args:
        side: ``client`` or ``server``.
        branch: branch of the top Via; for a peer of RFC 2543 all that has to be the same instead.
        sent_by: host and port of the top Via; empty for clients, whose branches are their own.
        method: INVITE for the ACK of a failure response too.
    """

    side: str
    branch: str
    sent_by: str
    method: str


def client_key(branch: str, method: str) -> TransactionKey:
    """Return the key that a response finds its transaction by. Source: RFC 3261 17.1.3."""
    return TransactionKey("client", branch, "", method)


def server_key(request: Request, via: Via | None = None) -> TransactionKey:
    """Return the key that a request finds its transaction by. Source: RFC 3261 17.2.3.

    Args:
        request: the request.
        via: its top Via, where that is at hand.
    """
    if via is None:
        via = request.top_via
    method = "INVITE" if request.method == "ACK" else request.method
    branch = via.branch
    if branch is None or not branch.startswith(MAGIC_COOKIE) or branch == MAGIC_COOKIE:  # RFC 4475 3.2.1
        cseq = request.cseq.number
        branch = f"{request.headers.get('Via')}|{request.call_id}|{request.from_.tag}|{cseq}|{request.uri}"
    return TransactionKey("server", branch.lower(), f"{via.host.lower()}:{via.port or DEFAULT_PORT}", method)


class Transaction:
    """A client or server transaction; the layer feeds it and carries its facts up.

    Args:
        key: what the layer finds it by.
        table: which of the four machines it is.
        request: the request that it is about.
        destination: where its messages go.
        owner: whatever its user wants to find again.
        data: what a client transaction sends.
    """

    __slots__ = (
        "_ack",
        "_data",
        "_intervals",
        "destination",
        "key",
        "merge_key",
        "owner",
        "reopened",
        "request",
        "retransmissions",
        "state",
        "table",
        "timers",
        "weight",
    )

    def __init__(
        self,
        key: TransactionKey,
        table: Table,
        request: Request,
        destination: Hop,
        owner: object = None,
        data: bytes = b"",
    ) -> None:
        self.key = key
        self.table = table
        self.request = request
        self.destination = destination
        self.owner = owner
        self.merge_key: object = None
        self.reopened = destination
        self.weight = 0
        self.state = table.start[0]
        self.timers: TimerTable[Timer] = TimerTable()
        self.retransmissions = 0
        self._intervals: dict[Timer, Nanos] = {}
        self._data = data
        self._ack = b""

    @property
    def is_over(self) -> bool:
        """Tell whether the layer may forget it."""
        return self.state is State.TERMINATED

    def kept_bytes(self) -> int:
        """Return about how much memory it takes: what it may have to send again, the request, and what is around."""
        request = self.request.headers.size_bytes + len(self.request.body)
        return OVERHEAD_BYTES + len(self._data) + request

    def has_sent(self, data: bytes) -> bool:
        """Tell whether `data` is what it sends, and sends again."""
        return data == self._data

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
        self.state, actions = self.table.rows[self.state, event]
        return self._carry_out(actions, message, timing, out, now) if actions else actions

    def begin(self, timing: Timing, out: list[Datagram], *, now: Nanos) -> None:
        """Carry out the actions of the first row."""
        self._carry_out(self.table.start[1], None, timing, out, now)

    def _carry_out(
        self,
        actions: tuple[Action, ...],
        message: Request | Response | None,
        timing: Timing,
        out: list[Datagram],
        now: Nanos,
    ) -> tuple[Action, ...]:
        left: tuple[Action, ...] = ()
        for action in actions:
            if (timer := _STARTED.get(action)) is not None:
                self.timers.set(timer, now + self._begin_interval(timer, timing))
            elif action is Action.SEND:
                if message is not None:
                    self._data = serialize_message(message)
                out.append(Datagram(self._data, self.destination))
            elif action is Action.SEND_AGAIN:
                self._send_again(out)
            elif action is Action.SEND_ACK and isinstance(message, Response):
                self._send_ack(message, out)
            elif action is Action.STOP_ALL:
                self.timers.clear()
            elif (timer := _DOUBLED.get(action)) is not None:
                self._intervals[timer] = timing.doubled(timer, self._intervals[timer])
                self.timers.set(timer, now + self._intervals[timer])
            elif action is Action.E_AT_T2:
                self._intervals[Timer.E] = timing.t2_ns
                self.timers.set(Timer.E, now + timing.t2_ns)
            else:
                left = (*left, action)
        return left

    def _begin_interval(self, timer: Timer, timing: Timing) -> Nanos:
        interval_ns = timing.durations[timer]
        if timer in _REPEATED:
            self._intervals[timer] = interval_ns
        return interval_ns

    def _send_again(self, out: list[Datagram]) -> None:
        if self._data:
            self.retransmissions += 1
            out.append(Datagram(self._data, self.destination))

    def _send_ack(self, response: Response, out: list[Datagram]) -> None:
        if not self._ack:
            self._ack = serialize_message(make_failure_ack(self.request, response))
        out.append(Datagram(self._ack, self.destination))


_STARTED = {
    Action.START_A: Timer.A,
    Action.START_B: Timer.B,
    Action.START_D: Timer.D,
    Action.START_E: Timer.E,
    Action.START_F: Timer.F,
    Action.START_G: Timer.G,
    Action.START_H: Timer.H,
    Action.START_I: Timer.I,
    Action.START_J: Timer.J,
    Action.START_K: Timer.K,
    Action.START_L: Timer.L,
    Action.START_M: Timer.M,
}
_DOUBLED = {Action.DOUBLE_A: Timer.A, Action.DOUBLE_E: Timer.E, Action.DOUBLE_G: Timer.G}
_REPEATED = frozenset(_DOUBLED.values())


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
