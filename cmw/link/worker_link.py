"""The worker's role: one machine that lives as long as the worker process, across any number of connections.

The driver dials when `ConnectDue` says so, feeds bytes, and closes the connection when `close_expected` is set. What is
reported stays in the spool until the gateway has committed it; a new connection resends what is left, in order.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, NamedTuple

from cmw.core.clock import MILLISECOND, SECOND, Nanos, WallClock
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, TimerTable
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link import events, limits
from cmw.link.backoff import AFTER_REFUSAL, FLOOR, MAX_RETRY_AFTER, Backoff, retry_after_ns
from cmw.link.client_stream import (
    Broken,
    ClientStream,
    CloseReceived,
    PingReceived,
    Rejected,
    StreamEvent,
    Upgraded,
)
from cmw.link.commands import Answer, CommandJournal
from cmw.link.messages import (
    Ack,
    Command,
    CommandAccepted,
    CommandDone,
    CommandRejected,
    Error,
    GatewayMessage,
    HeartbeatReply,
    JsonObject,
    Report,
    UnknownMessage,
    Welcome,
    WorkerMessage,
    make_message,
    parse_gateway_message,
    serialize_message,
)
from cmw.link.offset import ClockOffset
from cmw.link.presence import WorkerInfo, WorkerStatus, make_heartbeat, make_hello
from cmw.link.refusal import CloseCode, Refusal
from cmw.link.samples import SampleBatch, encode_samples, split_samples
from cmw.link.spool import Spool, Worth, worth_of
from cmw.link.worker_states import IGNORED, STATE_LIMITS, TRANSITIONS, Action, Input, LinkState

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,512}")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)(?::[0-9]{1,5})?")
_MAX_QUEUED_BYTES: Final = 8 << 20
"""Control messages that wait for a connection that takes nothing."""

MAX_STRIKES: Final = 3
"""How often a gateway may close over what an earlier process left before it is given up."""

STABLE: Final[Nanos] = 30 * SECOND
"""How long a link has to hold before the back-off begins again at 1 s."""


_OVER_CONTENT: Final = frozenset(
    {CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_DATA, CloseCode.POLICY_VIOLATION, CloseCode.TOO_BIG}
)
"""Close codes that speak of what was sent."""


class LinkTimer(Enum):
    """The timers of the worker's role."""

    DIAL = auto()
    """The back-off is over."""
    STATE_LIMIT = auto()
    """Dialling, upgrade, welcome or closing took too long."""
    HEARTBEAT = auto()
    """A heartbeat is due."""
    HALF_OPEN = auto()
    """Nothing heard for 45 s."""
    STABLE = auto()
    """The link has held for 30 s."""


class Predecessor(NamedTuple):
    """What an earlier process of this worker reported and did not get rid of.

    Args:
        session: that process's session: its numbers count within it.
        spool: what it left; see `Spool.restored`.
    """

    session: str
    spool: Spool


class WorkerLink:
    """The worker's end of the link.

    Begin with `start`. After every input and command: send `data_to_send()`, handle `next_event()` until None, arm
    `next_timeout()`, and close the connection when `close_expected` is set.

    Args:
        host: value of the Host header, ``host`` or ``host:port``.
        token: the worker's secret; it goes into the upgrade and nowhere else.
        info: what the hello says.
        ids: source of the session and of jitter.
        wall: the wall clock, for the timestamps in heartbeats.
        spool: where reports wait; a new one of 64 MiB if none is given.
        predecessors: what earlier processes left; each is delivered on a connection of its own, before the worker's own
            session begins. Such a connection carries no commands, and says that there is no room here.

    Raises:
        LocalProtocolError: a token that no header can carry; the message does not show it.
    """

    def __init__(
        self,
        *,
        host: str,
        token: str,
        info: WorkerInfo,
        ids: Ids,
        wall: WallClock,
        now: Nanos,
        spool: Spool | None = None,
        predecessors: Iterable[Predecessor] = (),
    ) -> None:
        if not _TOKEN.fullmatch(token):
            raise LocalProtocolError("expected a token of 1..512 visible ASCII characters")
        if not _HOST.fullmatch(host):
            raise LocalProtocolError(f"expected host or host:port, found {host!r}")
        self.state = LinkState.IDLE
        self.session = ids.uuid()
        self.spool = spool if spool is not None else Spool()
        self.clock = ClockOffset()
        self.unknown_messages = 0
        self._host = host
        self._authorization = b"Bearer " + token.encode("ascii")
        self._info = info
        self._status = WorkerStatus(capacity=info.capacity)
        self._wall = wall
        self._now = now
        self._backoff = Backoff(ids)
        self._journal = CommandJournal()
        self._attempt = 0
        self._retry_at: Nanos | None = None
        self._retry_after: Nanos = 0
        self._heartbeat_ns = limits.HEARTBEAT
        self._heartbeat_sent_at = 0
        self._stream: ClientStream | None = None
        self._out = bytearray()
        self._pong: bytes | None = None
        self._predecessors = deque(predecessors)
        self._left = len(self._predecessors[0].spool) if self._predecessors else 0
        self._strikes = 0
        self._events: deque[events.WorkerEvent] = deque()
        self._timers: TimerTable[LinkTimer] = TimerTable()
        self.update(self._status)

    # Inputs.

    def receive_data(self, data: bytes, *, now: Nanos) -> None:
        """Take bytes of the present connection in."""
        self._now = max(self._now, now)
        if self._stream is None or not data:
            return
        before = self._stream.progress
        received = self._stream.receive(data)
        self._note_life(before)
        for event in received:
            self._absorb(event)

    def receive_eof(self, *, now: Nanos, reason: str = "connection cut without a close frame") -> None:
        """Note that the present connection is gone; nothing happens if there is none."""
        self._now = max(self._now, now)
        if self._stream is not None:
            self._out.clear()
            self._lose(reason)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let time pass."""
        self._now = max(self._now, now)
        for timer in self._timers.expired(self._now):
            self._expire(timer)

    # Commands: the connection.

    def start(self, *, now: Nanos) -> None:
        """Ask for the first connection, at once."""
        self._command(Input.START, now)

    def connect(self, *, now: Nanos) -> None:
        """Note that the connection asked for is there: it begins with the upgrade.

        Raises:
            LocalProtocolError: no connection was asked for.
        """
        self._command(Input.CONNECTED, now)

    def connect_failed(self, reason: str, *, now: Nanos) -> None:
        """Note that no connection came about; nothing happens if none is being opened."""
        self._now = max(self._now, now)
        if self.state is LinkState.DIALLING:
            self._lose(reason)

    def close(self, *, now: Nanos) -> None:
        """End the link for good. What is in the spool is not waited for; see `pending`."""
        self._command(Input.CLOSE, now)

    # Commands: reports and answers.

    def update(self, status: WorkerStatus) -> None:
        """Set what the next hello and heartbeat say; another fault, or another capacity, is told at once.

        Raises:
            LocalProtocolError: a value that no hello or heartbeat can hold.
        """
        make_hello(self._info, status, self.session, self.spool)
        make_heartbeat(status, 0, self.spool, self.clock)
        is_news = (status.fault, status.capacity) != (self._status.fault, self._status.capacity)
        self._status = status
        if is_news and self.is_open:
            self._timers.set(LinkTimer.HEARTBEAT, self._now)

    def report(self, kind: str, run_id: str | None, data: JsonObject, *, now: Nanos) -> int:
        """Report a fact of kind endpoint, progress, run_done or event; return its sequence number.

        Raises:
            LocalProtocolError: an unknown kind, data that is no JSON, or more than a frame holds.
        """
        self._now = max(self._now, now)
        seq = self.spool.next_seq
        text = _fit(serialize_message(make_message(Report, seq=seq, kind=kind, run_id=run_id, data=data)))
        self.spool.append(seq, worth_of(kind, data), text, run_id=run_id)
        return seq

    def send_samples(self, batch: SampleBatch, *, now: Nanos) -> list[int]:
        """Report what was measured, in as many frames as it takes; return their sequence numbers.

        Raises:
            LocalProtocolError: the batch does not hold together; see `encode_samples`.
        """
        self._now = max(self._now, now)
        first = self.spool.next_seq
        frames = [encode_samples(part, seq) for seq, part in enumerate(split_samples(batch), first)]
        for seq, frame in enumerate(frames, first):
            self.spool.append(seq, Worth.SAMPLES, frame, run_id=batch.run_id, second=batch.second)
        return list(range(first, first + len(frames)))

    def accept(self, command_id: str, *, now: Nanos) -> None:
        """Answer a command: it is being carried out."""
        self._answer(make_message(CommandAccepted, id=command_id), now)

    def done(self, command_id: str, result: JsonObject | None = None, *, now: Nanos) -> None:
        """Answer a command: it has been carried out."""
        self._answer(make_message(CommandDone, id=command_id, result=result or {}), now)

    def reject(self, command_id: str, code: str, detail: str = "", *, now: Nanos) -> None:
        """Answer a command: it cannot be carried out."""
        self._answer(make_message(CommandRejected, id=command_id, code=code[:64] or "ERROR", detail=detail[:4096]), now)

    # Outputs.

    def data_to_send(self) -> bytes:
        """Return what to send on the present connection; drains. Reports come as far as the window allows."""
        if self._stream is not None and self._pong is not None:
            self._out += self._stream.pong(self._pong)
        self._pong = None
        if self.state is LinkState.OPEN:
            self._send_reports()
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def close_expected(self) -> bool:
        """Whether the driver has to send what is left and close the connection that it has."""
        return self._stream is None

    def next_event(self) -> events.WorkerEvent | None:
        """Return the next fact, or None; drains one."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Deadline | None:
        """Return when to call `handle_timeout`; looks only."""
        return self._timers.soonest()

    # Getters.

    @property
    def is_open(self) -> bool:
        """Whether the gateway has welcomed this worker, and not only what an earlier process left."""
        return self.state is LinkState.OPEN and not self._predecessors

    @property
    def pending(self) -> int:
        """How many reports the gateway has not acknowledged, those of earlier processes among them."""
        return len(self.spool) + sum(len(spool) for _, spool in self._predecessors)

    @property
    def predecessors(self) -> list[Predecessor]:
        """What of earlier processes is still to be delivered."""
        return list(self._predecessors)

    def instant_of(self, gateway_unix_ns: int) -> Nanos | None:
        """Return when the gateway's clock shows this, on our monotonic clock; None before its offset was measured."""
        if not self.clock.is_known:
            return None
        return self._wall.now + gateway_unix_ns - self.clock.offset_ns - self._wall.unix_ns

    def __repr__(self) -> str:
        return f"WorkerLink({self._host}, {self.state.name}, pending={self.pending})"

    # Private: the table at work.

    @property
    def _current(self) -> Predecessor:
        """Whose reports the present connection, or the next one, is for."""
        return self._predecessors[0] if self._predecessors else Predecessor(self.session, self.spool)

    def _present(self) -> WorkerStatus:
        return WorkerStatus(capacity=0) if self._predecessors else self._status

    def _command(self, given: Input, now: Nanos) -> None:
        if (self.state, given) not in TRANSITIONS and (self.state, given) not in IGNORED:
            raise LocalProtocolError(f"{given.name} is illegal in state {self.state.name}")
        self._now = max(self._now, now)
        self._move(given)

    def _move(self, given: Input, *, close: tuple[int, str] | None = None) -> None:
        transition = TRANSITIONS.get((self.state, given))
        if transition is None:
            return
        self.state, actions = transition
        for action in actions:
            self._perform(action, close)
        limit = STATE_LIMITS.get(self.state)
        if limit is None:
            self._timers.stop(LinkTimer.STATE_LIMIT)
        else:
            self._timers.set(LinkTimer.STATE_LIMIT, self._now + limit)

    def _perform(self, action: Action, close: tuple[int, str] | None) -> None:
        if action is Action.ASK_DIAL:
            self._attempt += 1
            self._events.append(events.ConnectDue(self._attempt))
        elif action is Action.SEND_REQUEST:
            self._send_request()
        elif action is Action.SEND_HELLO:
            current = self._current
            self._send(make_hello(self._info, self._present(), current.session, current.spool))
        elif action is Action.OPEN:
            self._open()
        elif action is Action.SEND_CLOSE and self._stream is not None:
            self._out += self._stream.close(*(close or (CloseCode.GOING_AWAY, "")))
        elif action is Action.DROP:
            self._drop()
        elif action is Action.RETRY:
            self._retry_at = self._now + self._backoff.next_delay() + self._retry_after
            self._retry_after = 0
            self._timers.set(LinkTimer.DIAL, self._retry_at)
        elif action is Action.GO_ON_SOON:
            self._timers.set(LinkTimer.DIAL, self._now + FLOOR)
        elif action is Action.RETRY_SLOWLY:
            self._retry_at = self._now + AFTER_REFUSAL
            self._timers.set(LinkTimer.DIAL, self._retry_at)
        elif action is Action.SAY_CLOSED:
            self._events.append(events.LinkClosed())

    def _expire(self, timer: LinkTimer) -> None:
        if timer is LinkTimer.DIAL:
            self._move(Input.DIAL_DUE)
        elif timer is LinkTimer.HEARTBEAT:
            self._beat()
        elif timer is LinkTimer.HALF_OPEN:
            self._fail(CloseCode.SILENCE, "nothing heard for 45 s")
        elif timer is LinkTimer.STABLE:
            self._backoff.reset()
        else:
            self._fail(CloseCode.SILENCE, f"{self.state.name.lower()} took too long")

    def _fail(self, code: int, reason: str) -> None:
        """Give the present connection up, telling the gateway why if it can still be told."""
        if self._stream is not None:
            self._out += self._stream.close(code, reason)
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        was_closing = self.state is LinkState.CLOSING
        self._move(Input.LOST)
        if not was_closing:
            self._events.append(events.LinkLost(_clean(reason), self._retry_at))

    def _refuse(self, refusal: Refusal, status: int) -> None:
        was_closing = self.state is LinkState.CLOSING
        self._move(Input.REFUSED)
        if not was_closing and self._retry_at is not None:
            self._events.append(events.LinkRefused(status, refusal.message, self._retry_at))

    def _drop(self) -> None:
        self._stream = None
        self._pong = None
        self._timers.clear()
        self._current.spool.rewind()

    # Private: what comes in.

    def _note_life(self, progress_before: int) -> None:
        if self.state is LinkState.OPEN and self._stream is not None and self._stream.progress != progress_before:
            self._timers.set(LinkTimer.HALF_OPEN, self._now + limits.HALF_OPEN)

    def _absorb(self, event: StreamEvent) -> None:
        if self._stream is None:
            return
        if isinstance(event, Upgraded):
            self._move(Input.UPGRADED)
        elif isinstance(event, Rejected):
            self._rejected(event)
        elif isinstance(event, PingReceived):
            self._pong = event.payload  # only the latest needs an answer: RFC 6455 5.5.3
        elif isinstance(event, CloseReceived):
            self._closed(event)
        elif isinstance(event, Broken):
            self._fail(event.code, event.reason)
        elif self.state is not LinkState.CLOSING:
            self._parse(event.text)

    def _parse(self, text: str) -> None:
        try:
            message = parse_gateway_message(text)
        except RemoteProtocolError as error:
            self._fail(error.hint, str(error))
        else:
            self._receive(message)

    def _rejected(self, answer: Rejected) -> None:
        status = answer.status
        refusal = Refusal.of_status(status)
        if refusal is not None:
            self._refuse(refusal, status)
        elif 300 <= status < 400:
            self._lose(f"redirect refused: HTTP {status}")
        else:
            if status in (429, 503) and answer.retry_after is not None:
                wanted = retry_after_ns(answer.retry_after, unix_ns=self._wall.unix_at(self._now))
                self._retry_after = min(wanted or 0, MAX_RETRY_AFTER)
            self._lose(f"the gateway answered the upgrade with HTTP {status}")

    def _closed(self, event: CloseReceived) -> None:
        if self._stream is not None:
            self._out += self._stream.close(event.code, "")
        refusal = Refusal.of_close_code(event.code)
        reason = f"closed by the gateway: {event.code} {event.reason}".rstrip()
        if refusal is not None:
            self._refuse(refusal, event.code)
            return
        self._lose(reason)
        if self._predecessors and event.code in _OVER_CONTENT:
            self._give_up_predecessor(reason)

    def _receive(self, message: GatewayMessage | UnknownMessage) -> None:
        if isinstance(message, UnknownMessage):
            self._answer_unknown(message)
        elif isinstance(message, Error):
            self._events.append(events.ErrorReceived(message.code, message.detail))
        elif isinstance(message, Welcome):
            self._welcomed(message)
        elif self.state is not LinkState.OPEN:
            self._fail(CloseCode.POLICY_VIOLATION, f"{message.type} before the welcome")
        elif isinstance(message, Ack):
            self._acknowledge(message.seq)
        elif isinstance(message, HeartbeatReply):
            self._measure(message)
        else:
            self._take(message)

    def _welcomed(self, welcome: Welcome) -> None:
        if self.state is not LinkState.GREETING:
            return self._fail(CloseCode.POLICY_VIOLATION, "a second welcome")
        if welcome.protocol != limits.PROTOCOL:
            return self._fail(CloseCode.UNSUPPORTED_PROTOCOL, f"the gateway speaks protocol {welcome.protocol}")
        if welcome.acknowledged > self._current.spool.highest_sent:
            return self._fail(CloseCode.POLICY_VIOLATION, f"acknowledged {welcome.acknowledged}, which was never sent")
        self._heartbeat_ns = min(welcome.heartbeat_s * SECOND, limits.HEARTBEAT)
        if not self._predecessors:
            opened = events.LinkOpened(welcome.worker_id, welcome.name, welcome.acknowledged, welcome.capacity)
            self._events.append(opened)
        self._acknowledge(welcome.acknowledged)
        self._move(Input.WELCOMED)
        self._hand_over_if_empty()
        return None

    def _acknowledge(self, seq: int) -> None:
        try:
            count = self._current.spool.acknowledge(seq)
        except LocalProtocolError:
            self._fail(CloseCode.POLICY_VIOLATION, f"acknowledged {seq}, which was never sent")
            return
        if count:
            self._strikes = 0
            self._events.append(events.Acknowledged(seq))
        self._hand_over_if_empty()

    def _hand_over_if_empty(self) -> None:
        """Go on with the next session once everything of an earlier one is committed."""
        if self.state is LinkState.OPEN and self._predecessors and not len(self._predecessors[0].spool):
            self._events.append(events.EarlierReportsDelivered(self._predecessors[0].session, self._left))
            self._move(Input.HANDED_OVER)
            self._leave_predecessor()

    def _give_up_predecessor(self, reason: str) -> None:
        """Leave what a gateway will not take, after three tries: it must not keep this worker away for ever."""
        self._strikes += 1
        if self._strikes < MAX_STRIKES:
            return
        session, spool = self._predecessors[0]
        self._events.append(events.EarlierReportsAbandoned(session, len(spool), _clean(reason)))
        spool.acknowledge(limits.MAX_SEQ)  # so that the disk is rid of it too
        self._leave_predecessor()

    def _leave_predecessor(self) -> None:
        self._predecessors.popleft()
        self._left = len(self._predecessors[0].spool) if self._predecessors else 0
        self._strikes = 0

    def _measure(self, reply: HeartbeatReply) -> None:
        if reply.sent_at_unix_ns != self._heartbeat_sent_at:
            return
        self._heartbeat_sent_at = 0
        arrived = self._wall.unix_at(self._now)
        if self.clock.add(reply.sent_at_unix_ns, reply.received_at_unix_ns, reply.replied_at_unix_ns, arrived):
            offset_ms, rtt_ms = self.clock.offset_ns / MILLISECOND, self.clock.rtt_ns / MILLISECOND
            self._events.append(events.ClockMeasured(offset_ms, rtt_ms))

    def _take(self, command: Command) -> None:
        if self._predecessors:
            return  # it comes again with the welcome of our own session
        answer = self._journal.answer_of(command.id)
        if answer is not None:
            self._send(answer)
        elif self._journal.is_known(command.id):
            return
        elif self._journal.is_full():
            self._send(CommandRejected(id=command.id, code="BUSY", detail="too many commands at a time"))
        else:
            self._journal.receive(command.id)
            self._events.append(events.CommandReceived(command.id, command.name, command.run_id, command.data))

    def _answer_unknown(self, message: UnknownMessage) -> None:
        self.unknown_messages += 1
        if self.unknown_messages > limits.MAX_ERRORS:
            self._fail(CloseCode.POLICY_VIOLATION, f"more than {limits.MAX_ERRORS} messages of unknown type")
        else:
            self._send(Error(code="UNKNOWN_TYPE", detail=f"unknown type of message: {message.type!r}"))

    # Private: what goes out.

    def _send_request(self) -> None:
        self._out.clear()
        self._stream = ClientStream(max_message_bytes=limits.MAX_TO_WORKER_BYTES)
        headers = [
            (b"Authorization", self._authorization),
            (limits.SESSION_HEADER.encode("ascii"), self._current.session.encode("ascii")),
        ]
        self._out += self._stream.request(host=self._host, path=limits.PATH, headers=headers)

    def _open(self) -> None:
        self.unknown_messages = 0
        self._timers.set(LinkTimer.HALF_OPEN, self._now + limits.HALF_OPEN)
        self._timers.set(LinkTimer.STABLE, self._now + STABLE)
        for answer in self._journal.take_unsent() if self.is_open else ():
            self._send(answer)
        self._beat()

    def _beat(self) -> None:
        self._heartbeat_sent_at = self._wall.unix_at(self._now)
        self._timers.set(LinkTimer.HEARTBEAT, self._now + self._heartbeat_ns)
        self._send(make_heartbeat(self._present(), self._heartbeat_sent_at, self._current.spool, self.clock))

    def _answer(self, answer: Answer, now: Nanos) -> None:
        text = _fit(serialize_message(answer))
        self._now = max(self._now, now)
        self._journal.answer(answer, is_sent=self.is_open)
        if self.is_open:
            self._send_text(text)

    def _send(self, message: WorkerMessage) -> None:
        self._send_text(serialize_message(message))

    def _send_text(self, text: str) -> None:
        if self._stream is None:
            return
        self._out += self._stream.text(text)
        if len(self._out) > _MAX_QUEUED_BYTES:
            self._out.clear()
            self._lose("the connection takes nothing")

    def _send_reports(self) -> None:
        assert self._stream is not None
        spool = self._current.spool
        while (frame := spool.next_to_send()) is not None:
            payload = frame.payload
            self._out += self._stream.text(payload) if isinstance(payload, str) else self._stream.binary(payload)


def _fit(text: str) -> str:
    size = len(text) if text.isascii() else len(text.encode())
    if size > limits.MAX_TO_GATEWAY_BYTES:
        raise LocalProtocolError(f"expected a message of at most {limits.MAX_TO_GATEWAY_BYTES} bytes, found {size}")
    return text


def _clean(reason: str) -> str:
    """Return a reason fit for a log line: what the peer wrote may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in reason)[:300]
