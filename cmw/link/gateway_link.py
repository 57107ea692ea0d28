"""The gateway's end of one connection, at the level of WebSocket messages.

The server owns the handshake and the frames; this machine takes whole messages in, gives whole messages out, and says
when to close. It lives as long as one connection; what outlives it is the store (the last committed sequence number of
each session) and the worker's `CommandOutbox`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cmw.core.clock import Nanos, WallClock
from cmw.core.timers import Deadline, TimerTable
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link import events
from cmw.link.commands import Answer, CommandOutbox
from cmw.link.gateway_states import TRANSITIONS, GatewayAction, GatewayInput, GatewayState
from cmw.link.limits import HALF_OPEN, HEARTBEAT, HELLO_LIMIT, MAX_ERRORS, MAX_TO_GATEWAY_BYTES, PROTOCOL
from cmw.link.messages import (
    Ack,
    Command,
    CommandAccepted,
    CommandDone,
    CommandRejected,
    Error,
    GatewayMessage,
    Heartbeat,
    HeartbeatReply,
    Hello,
    JsonObject,
    Report,
    UnknownMessage,
    Welcome,
    WorkerMessage,
    parse_worker_message,
    serialize_message,
)
from cmw.link.refusal import CloseCode, Refusal
from cmw.link.samples import decode_samples

MAX_QUEUED_FRAMES: Final = 4096
"""Messages that wait for a connection that takes nothing; above `MAX_OUTSTANDING` commands and their answers."""


class GatewayTimer(Enum):
    """The timers of the gateway's end."""

    HELLO_LIMIT = auto()
    """No hello within 10 s of the upgrade."""
    HALF_OPEN = auto()
    """Nothing heard for 45 s."""


@dataclass(frozen=True, slots=True)
class Close:
    """How the server has to close the WebSocket."""

    code: int
    reason: str


class GatewayLink:
    """One worker's connection, gateway's role.

    After every input, send `frames_to_send()`, handle `next_event()` until None, then close the WebSocket if `close` is
    set.

    Args:
        wall: the wall clock, for the timestamps in heartbeats.
        outbox: the commands of this worker that are not finished; sent again after the welcome.
    """

    def __init__(self, *, wall: WallClock, now: Nanos, outbox: CommandOutbox | None = None) -> None:
        self.outbox = outbox if outbox is not None else CommandOutbox()
        self.state = GatewayState.AWAITING_HELLO
        self.hello: Hello | None = None
        self.close: Close | None = None
        self.duplicates = 0
        self.unknown_messages = 0
        self.last_heard_at = now
        self._wall = wall
        self._now = now
        self._received = 0
        self._committed = 0
        self._ack_due = False
        self._frames: deque[str] = deque()
        self._events: deque[events.GatewayEvent] = deque()
        self._timers: TimerTable[GatewayTimer] = TimerTable()
        self._timers.set(GatewayTimer.HELLO_LIMIT, now + HELLO_LIMIT)

    # Inputs.

    def receive_text(self, text: str, *, now: Nanos) -> None:
        """Take the text of one whole message in."""
        self._hear(now)
        if self.state is GatewayState.CLOSED:
            return None
        if len(text) > MAX_TO_GATEWAY_BYTES:
            return self._fail(CloseCode.TOO_BIG, f"message above {MAX_TO_GATEWAY_BYTES} bytes")
        try:
            message = parse_worker_message(text)
        except RemoteProtocolError as error:
            return self._fail(error.hint, str(error))
        return self._receive(message)

    def receive_bytes(self, data: bytes, *, now: Nanos) -> None:
        """Take the bytes of one whole binary message in."""
        self._hear(now)
        if self.state is GatewayState.CLOSED:
            return None
        if self._move(GatewayInput.SAMPLES) is GatewayAction.REFUSE:
            return self._violated("samples before the welcome")
        if len(data) > MAX_TO_GATEWAY_BYTES:
            return self._fail(CloseCode.TOO_BIG, f"message above {MAX_TO_GATEWAY_BYTES} bytes")
        try:
            seq, batch = decode_samples(data)
        except RemoteProtocolError as error:
            return self._fail(error.hint, str(error))
        if self._is_new(seq):
            self._events.append(events.SamplesReceived(seq, batch, data))
        return None

    def receive_close(self, code: int | None = None, *, now: Nanos) -> None:
        """Note that the connection is gone; `code` is the peer's close code, None if there was none."""
        self._now = max(self._now, now)
        if self._move(GatewayInput.LOST) is GatewayAction.FORGET:
            on_purpose = code in (CloseCode.NORMAL, CloseCode.GOING_AWAY)
            self._forget("closed by the worker" if on_purpose else f"connection lost ({code or 'no close'})")

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let time pass."""
        self._now = max(self._now, now)
        for timer in self._timers.expired(self._now):
            if timer is GatewayTimer.HELLO_LIMIT:
                self._fail(CloseCode.SILENCE, "no hello within 10 s")
            else:
                self._fail(CloseCode.SILENCE, "nothing heard for 45 s")

    # Commands.

    def welcome(self, *, worker_id: str, name: str, acknowledged: int, capacity: int | None = None, now: Nanos) -> None:
        """Open the link, and send the outstanding commands again.

        Args:
            acknowledged: highest committed sequence number of the hello's session; 0 for none.
            capacity: endpoints that the worker was set up for, for it to say when fewer fit.

        Raises:
            LocalProtocolError: there is no hello to answer.
        """
        self._move(GatewayInput.WELCOME)
        self._now = max(self._now, now)
        self._received = self._committed = acknowledged
        heartbeat_s = HEARTBEAT // 1_000_000_000
        self._send(
            Welcome(
                protocol=PROTOCOL,
                worker_id=worker_id,
                name=name,
                acknowledged=acknowledged,
                heartbeat_s=heartbeat_s,
                capacity=capacity,
            )
        )
        for command in self.outbox.outstanding():
            self._send(command)

    def refuse(self, refusal: Refusal, *, now: Nanos) -> None:
        """Close with the refusal's code and its exact message; legal at any time, nothing happens when closed."""
        self.end(refusal.close_code, refusal.message, now=now)

    def end(self, code: int, reason: str, *, now: Nanos) -> None:
        """Close the link with any code; nothing happens when closed."""
        self._now = max(self._now, now)
        self._fail(code, reason)

    def committed(self, seq: int, *, now: Nanos) -> None:
        """Acknowledge everything up to and with `seq`; call it after the commit. Smaller numbers change nothing.

        Raises:
            LocalProtocolError: nothing with that number has come.
        """
        if seq > self._received:
            raise LocalProtocolError(f"expected at most {self._received} as committed, found {seq}")
        self._now = max(self._now, now)
        if seq > self._committed:
            self._committed = seq
            self._ack_due = True

    def send_command(
        self, command_id: str, name: str, run_id: str | None = None, data: JsonObject | None = None, *, now: Nanos
    ) -> None:
        """Put a command into the outbox and send it if the link is open; else the next welcome does.

        Raises:
            LocalProtocolError: that id is outstanding already, or the data is no JSON.
        """
        self._now = max(self._now, now)
        command = Command(id=command_id, name=name, run_id=run_id, data=data or {})
        self.outbox.submit(command)
        if self.state is GatewayState.OPEN:
            self._send(command)

    # Outputs.

    def frames_to_send(self) -> list[str]:
        """Return the texts to send, each as one message, in order; drains."""
        frames = list(self._frames)
        self._frames.clear()
        if self._ack_due and self.state is GatewayState.OPEN:
            self._ack_due = False
            frames.append(serialize_message(Ack(seq=self._committed)))
        return frames

    def next_event(self) -> events.GatewayEvent | None:
        """Return the next fact, or None; drains one."""
        return self._events.popleft() if self._events else None

    @property
    def has_events(self) -> bool:
        """Whether `next_event` would return one; looks only."""
        return bool(self._events)

    def next_timeout(self) -> Deadline | None:
        """Return when to call `handle_timeout`; looks only."""
        return self._timers.soonest()

    # Private.

    def _receive(self, message: WorkerMessage | UnknownMessage) -> None:
        action = self._move(_INPUTS[type(message)])
        if action is GatewayAction.REFUSE:
            self._violated("a second hello" if isinstance(message, Hello) else f"{message.type} before the welcome")
        elif isinstance(message, UnknownMessage):
            self._answer_unknown(message)
        elif isinstance(message, Error):
            self._events.append(events.ErrorReceived(message.code, message.detail))
        elif isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Heartbeat):
            self._reply(message)
        elif isinstance(message, Report):
            if self._is_new(message.seq):
                self._events.append(events.ReportReceived(message.seq, message.kind, message.run_id, message.data))
        else:
            self._settle(message)

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self._fail(CloseCode.UNSUPPORTED_PROTOCOL, f"expected protocol {PROTOCOL}, found {hello.protocol}")
            return
        self._timers.stop(GatewayTimer.HELLO_LIMIT)
        self._timers.set(GatewayTimer.HALF_OPEN, self._now + HALF_OPEN)
        self.hello = hello
        self._events.append(events.HelloReceived(hello))

    def _reply(self, heartbeat: Heartbeat) -> None:
        unix_ns = self._wall.unix_at(self._now)
        self._send(
            HeartbeatReply(
                sent_at_unix_ns=heartbeat.sent_at_unix_ns, received_at_unix_ns=unix_ns, replied_at_unix_ns=unix_ns
            )
        )
        self._events.append(events.HeartbeatReceived(heartbeat))

    def _settle(self, answer: Answer) -> None:
        if not self.outbox.settle(answer):
            return
        if isinstance(answer, CommandAccepted):
            self._events.append(events.CommandWasAccepted(answer.id))
        elif isinstance(answer, CommandDone):
            self._events.append(events.CommandWasDone(answer.id, answer.result))
        elif isinstance(answer, CommandRejected):
            self._events.append(events.CommandWasRejected(answer.id, answer.code, answer.detail))

    def _is_new(self, seq: int) -> bool:
        """Tell whether `seq` is new. Numbers rise on a connection; a gap is what the worker had to drop."""
        if seq > self._received:
            self._received = seq
            return True
        self.duplicates += 1
        self._ack_due = self._ack_due or seq <= self._committed
        return False

    def _answer_unknown(self, message: UnknownMessage) -> None:
        self.unknown_messages += 1
        if self.unknown_messages > MAX_ERRORS:
            return self._fail(CloseCode.POLICY_VIOLATION, f"more than {MAX_ERRORS} messages of unknown type")
        self._send(Error(code="UNKNOWN_TYPE", detail=f"unknown type of message: {message.type!r}"))
        return None

    def _send(self, message: GatewayMessage) -> None:
        self._frames.append(serialize_message(message))
        if len(self._frames) > MAX_QUEUED_FRAMES:
            self._frames.clear()
            self._fail(CloseCode.POLICY_VIOLATION, "the connection takes nothing")

    def _hear(self, now: Nanos) -> None:
        self._now = self.last_heard_at = max(self._now, now)
        if self._timers.is_set(GatewayTimer.HALF_OPEN):
            self._timers.set(GatewayTimer.HALF_OPEN, self._now + HALF_OPEN)

    # Private: the table at work.

    def _move(self, given: GatewayInput) -> GatewayAction:
        """Enter the next state and return what is to be done.

        Raises:
            LocalProtocolError: we may not do that now; nothing was changed.
        """
        transition = TRANSITIONS.get((self.state, given))
        if transition is None:
            raise LocalProtocolError(f"{given.name} is illegal in state {self.state.name}")
        self.state, action = transition
        return action

    def _violated(self, reason: str) -> None:
        self.close = Close(CloseCode.POLICY_VIOLATION, _fit(reason))
        self._forget(reason)

    def _fail(self, code: int, reason: str) -> None:
        if self._move(GatewayInput.END) is GatewayAction.CLOSE:
            self.close = Close(code, _fit(reason))
            self._forget(reason)

    def _forget(self, reason: str) -> None:
        self._timers.clear()
        self._events.append(events.LinkLost(reason, None))


_INPUTS: Final[dict[type, GatewayInput]] = {
    Hello: GatewayInput.HELLO,
    Heartbeat: GatewayInput.HEARTBEAT,
    Report: GatewayInput.REPORT,
    CommandAccepted: GatewayInput.ANSWER,
    CommandDone: GatewayInput.ANSWER,
    CommandRejected: GatewayInput.ANSWER,
    Error: GatewayInput.ERROR,
    UnknownMessage: GatewayInput.UNKNOWN,
}


def _fit(reason: str) -> str:
    """Return what fits into a close frame: 123 bytes of UTF-8. Source: RFC 6455 5.5."""
    return reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
