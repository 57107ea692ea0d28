"""One SIP connection: TCP, TLS, WS or WSS, opened by us or by others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from cmw.core.clock import Nanos
from cmw.net.sip_liveness import Due, Liveness
from cmw.sip.hop import Datagram, Hop
from cmw.sip.stream import MessageReceived, PongReceived, StreamEnded, StreamEvent, StreamFailed, StreamOpened


class FlowEnd(StrEnum):
    """Why a connection is no more, or never was; the name that it is counted by."""

    CLOSED_HERE = "closed here"
    CLOSED_BY_PEER = "closed by peer"
    CUT = "cut"
    CONNECT_FAILED = "connect failed"
    CONNECT_TIMED_OUT = "connect timed out"
    TLS_FAILED = "TLS failed"
    BROKEN_STREAM = "broken stream"
    NOT_READING = "peer does not read"
    NO_PONG = "no pong"
    NO_FIRST_MESSAGE = "no first message"
    UNFINISHED = "unfinished message"
    IDLE = "idle"
    TOO_MANY = "too many connections"
    TOO_MANY_FROM_ADDRESS = "too many connections from one address"


class Framing(Protocol):
    """Messages in and out of a stream of bytes: `MessageStream` or `WebSocketStream`."""

    is_open: bool
    close_expected: bool

    @property
    def is_inside_message(self) -> bool: ...

    def receive_data(self, data: bytes) -> None: ...

    def receive_eof(self) -> None: ...

    def next_event(self) -> StreamEvent | None: ...

    def data_to_send(self) -> bytes: ...

    def frame_message(self, message: bytes) -> bytes: ...

    def frame_ping(self) -> bytes: ...


class FlowOwner(Protocol):
    """Whoever keeps the connections."""

    clock: Callable[[], Nanos]

    def flow_connected(self, flow: Flow) -> str:
        """Look at a connection before anything is sent or read; return why it may not be used, "" if it may."""
        ...

    def flow_opened(self, flow: Flow) -> None: ...

    def flow_received(self, flow: Flow, message: bytes) -> None: ...

    def flow_sent(self, datagram: Datagram) -> None: ...

    def flow_changed(self, flow: Flow) -> None:
        """Note that the connection has to be woken at another time."""
        ...

    def flow_ended(self, flow: Flow, end: FlowEnd, reason: str) -> None: ...

    def flow_drained(self) -> None: ...

    def abort_later(self, transport: asyncio.WriteTransport) -> None:
        """Cut what is being closed if that takes long."""
        ...


class Flow(asyncio.Protocol):
    """One connection, from the first attempt to its end, which is told to the owner exactly once.

    Args:
        owner: who keeps it.
        number: its number, 1 and up, never used again.
        key: as requests name it: with the flow 0, or the negative one of its sender; of an inbound connection the other
            end, with the flow 0.
        is_outbound: whether we opened it.
        framing: messages in and out of bytes.
        liveness: its timers.
        waiting_bytes: how much may wait until it is open.
        unsent_bytes: how much may wait for a peer that does not read.
    """

    __slots__ = (
        "_dial",
        "_is_ended",
        "_owner",
        "_transport",
        "_unsent_bytes",
        "_waiting",
        "_waiting_bytes",
        "_waiting_room",
        "framing",
        "is_outbound",
        "key",
        "liveness",
        "number",
        "source",
        "was_open",
    )

    def __init__(
        self,
        owner: FlowOwner,
        number: int,
        key: Hop,
        *,
        is_outbound: bool,
        framing: Framing,
        liveness: Liveness,
        waiting_bytes: int,
        unsent_bytes: int,
    ) -> None:
        self.number = number
        self.key = key
        self.source = key._replace(flow=number)
        self.is_outbound = is_outbound
        self.was_open = False
        self.framing = framing
        self.liveness = liveness
        self._owner = owner
        self._transport: Any = None
        self._dial: asyncio.Future[Any] | None = None
        self._waiting: list[Datagram] = []
        self._waiting_bytes = 0
        self._waiting_room = waiting_bytes
        self._unsent_bytes = unsent_bytes
        self._is_ended = False

    # what the owner calls

    @property
    def is_ended(self) -> bool:
        """Tell whether it is over."""
        return self._is_ended

    @property
    def is_open(self) -> bool:
        """Tell whether messages go out at once."""
        return self._transport is not None and self.framing.is_open and not self._is_ended

    def dialled_by(self, dial: asyncio.Future[Any]) -> None:
        """Keep the attempt, so that it ends with the flow."""
        self._dial = dial

    def send(self, datagram: Datagram) -> bool:
        """Send a message, or keep it until the connection is open; return False when there is no room to keep it."""
        if not self.is_open:
            self._waiting_bytes += len(datagram.data)
            if self._waiting_bytes > self._waiting_room:
                return False
            self._waiting.append(datagram)
            return True
        self._write(self.framing.frame_message(datagram.data))
        self._owner.flow_sent(datagram)
        return True

    def wake(self) -> None:
        """Do what the timers call for."""
        due = self.liveness.handle_timeout(now=self._owner.clock())
        if due is Due.PING:
            self._write(self.framing.frame_ping())
        elif due is not None:
            self.end(*_ENDS[due])

    def end(self, end: FlowEnd, reason: str) -> None:
        """End the connection, at once if it is not by an agreement; nothing happens when it is over already."""
        if self._is_ended:
            return
        self._is_ended = True
        if self._dial is not None and not self._dial.done():
            self._dial.cancel()
        if self._transport is not None:
            if end in _POLITE:
                self._transport.close()
                self._owner.abort_later(self._transport)
            else:
                self._transport.abort()
        self._owner.flow_ended(self, end, reason)

    def peer_certificate(self) -> dict[str, Any]:
        """Return the verified certificate of the other end, empty when there is none."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return (tls.getpeercert() if tls is not None else None) or {}

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._is_ended:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._unsent_bytes // 4)
        refusal = self._owner.flow_connected(self)
        if refusal:
            self.end(FlowEnd.TLS_FAILED, refusal)
            self._owner.flow_drained()
            return
        if self.framing.is_open:
            self._opened()
        else:
            self._write(self.framing.data_to_send())
        self._owner.flow_drained()

    def data_received(self, data: bytes) -> None:
        if self._is_ended:
            return
        self.liveness.heard_at = self._owner.clock()
        self.framing.receive_data(data)
        self._take_events()

    def eof_received(self) -> bool:
        if not self._is_ended:
            self.framing.receive_eof()
            self._take_events()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.end(FlowEnd.CLOSED_BY_PEER, "the peer closed the connection")
        else:
            self.end(FlowEnd.CUT, f"the connection was cut: {_words(error)}")
        self._owner.flow_drained()

    def pause_writing(self) -> None:
        self.liveness.paused(now=self._owner.clock())
        self._owner.flow_changed(self)

    def resume_writing(self) -> None:
        self.liveness.resumed()

    # private

    def _opened(self) -> None:
        self.was_open = True
        self.liveness.opened(now=self._owner.clock())
        self._owner.flow_opened(self)
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        for datagram in waiting:
            if not self._is_ended:
                self.send(datagram)

    def _take_events(self) -> None:
        """Hand on what came; what the stream answers by itself goes out before."""
        while not self._is_ended:
            answer = self.framing.data_to_send()
            if answer:
                self._write(answer)
            event = self.framing.next_event()
            if event is None:
                break
            self._take(event)
        if not self._is_ended and self.liveness.message_goes_on(
            self.framing.is_inside_message, now=self.liveness.heard_at
        ):
            self._owner.flow_changed(self)
        self._owner.flow_drained()

    def _take(self, event: StreamEvent) -> None:
        match event:
            case MessageReceived():
                self.liveness.message_received()
                self._owner.flow_received(self, event.data)
            case PongReceived():
                self.liveness.pong_received()
                self._owner.flow_changed(self)
            case StreamOpened():
                self._opened()
            case StreamEnded():
                detail = f" ({event.detail})" if event.detail else ""
                self.end(FlowEnd.CLOSED_BY_PEER, f"the peer closed the connection{detail}")
            case StreamFailed():
                self.end(FlowEnd.BROKEN_STREAM, f"{event.fault}: {event.detail}")

    def _write(self, data: bytes) -> None:
        if self._is_ended or self._transport is None or not data:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._unsent_bytes:
            self.end(FlowEnd.NOT_READING, f"the peer does not read: over {self._unsent_bytes} bytes wait for it")


_POLITE = frozenset((FlowEnd.CLOSED_HERE, FlowEnd.CLOSED_BY_PEER, FlowEnd.BROKEN_STREAM, FlowEnd.IDLE))
"""What was written before these still goes out: an answer to what was broken, a close frame."""

_ENDS = {
    Due.CONNECT_LIMIT: (FlowEnd.CONNECT_TIMED_OUT, "connecting timed out"),
    Due.FIRST_MESSAGE_LIMIT: (FlowEnd.NO_FIRST_MESSAGE, "no message came after the connection was opened"),
    Due.MESSAGE_LIMIT: (FlowEnd.UNFINISHED, "a message took too long"),
    Due.PONG_LIMIT: (FlowEnd.NO_PONG, "the peer does not answer keep-alives any more"),
    Due.IDLE_LIMIT: (FlowEnd.IDLE, "nothing came for too long"),
    Due.STALL_LIMIT: (FlowEnd.NOT_READING, "the peer does not read"),
}


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, (ssl.SSLError, socket.gaierror)):
        return error.strerror
    return str(error) or type(error).__name__
