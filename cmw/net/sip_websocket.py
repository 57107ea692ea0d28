"""SIP over WebSocket: the bytes of one connection in, SIP messages and keep-alives out. Source: RFC 7118, RFC 6455.

h11 and wsproto do the work; this asks for the subprotocol ``sip``, bounds what they gather, and speaks as
`cmw.sip.stream.MessageStream` does, so that a connection need not know which of them it has.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import h11
from wsproto import ConnectionType
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionState
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError
from wsproto.utilities import RemoteProtocolError as RefusedByWsproto

from cmw.sip.message import MAX_MESSAGE_BYTES
from cmw.sip.stream import (
    CRLF,
    PING,
    MessageReceived,
    PingReceived,
    PongReceived,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamFault,
    StreamOpened,
)

SUBPROTOCOL: Final = "sip"
_NORMAL, _TOO_BIG, _PROTOCOL_ERROR = 1000, 1009, 1002  # RFC 6455 7.4.1


class WebSocketStream:
    """One end of a WebSocket that carries SIP; made by `client` or `server`.

    Args:
        role: which end.
        max_message_bytes: longest message.
    """

    def __init__(self, role: ConnectionType, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.is_open = False
        self.close_expected = False
        self._max_bytes = max_message_bytes
        self._handshake: H11Handshake | None = H11Handshake(role)
        self._connection: Connection | None = None
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._is_inside = False
        self._events: deque[StreamEvent] = deque()
        self._out: list[bytes] = []

    @classmethod
    def client(
        cls, *, host: str, path: str = "/", origin: str = "", max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> WebSocketStream:
        """Return the end that asks for the upgrade; the request is in `data_to_send`.

        Args:
            host: value of the Host header.
            path: what is asked for.
            origin: value of Origin, "" for none.
        """
        stream = cls(ConnectionType.CLIENT, max_message_bytes=max_message_bytes)
        headers = [(b"Origin", origin.encode())] if origin else []
        request = ws.Request(host=host, target=path, subprotocols=[SUBPROTOCOL], extra_headers=headers)
        assert stream._handshake is not None
        stream._out.append(stream._handshake.send(request))
        return stream

    @classmethod
    def server(cls, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> WebSocketStream:
        """Return the end that waits for the upgrade; any path is served."""
        return cls(ConnectionType.SERVER, max_message_bytes=max_message_bytes)

    @property
    def is_inside_message(self) -> bool:
        """Tell whether a message has begun whose end is still to come."""
        return self._is_inside

    # inputs

    def receive_data(self, data: bytes) -> None:
        """Take bytes; never raises."""
        if self.close_expected:
            return
        try:
            if self._handshake is not None:
                self._shake_hands(data)
            else:
                self._receive_frames(data)
        except (ProtocolError, h11.ProtocolError, UnicodeError) as error:
            self._fail(StreamFault.NOT_WEBSOCKET, str(error)[:200], _PROTOCOL_ERROR)

    def receive_eof(self) -> None:
        """Take the peer's word that nothing more comes."""
        if self.close_expected:
            return
        if not self.is_open:
            self._fail(StreamFault.NOT_WEBSOCKET, "the connection ended before the upgrade", 0)
            return
        self._end("")

    # outputs

    def next_event(self) -> StreamEvent | None:
        """Return the next fact, None when all are drained."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Return what the handshake and the protocol want sent; drains."""
        if not self._out:
            return b""
        out, self._out = self._out, []
        return b"".join(out)

    def frame_message(self, message: bytes) -> bytes:
        """Return the frame of a message: text where it is UTF-8, else binary. Source: RFC 7118 5.1."""
        try:
            return self._frame(ws.TextMessage(data=message.decode()))
        except UnicodeDecodeError:
            return self._frame(ws.BytesMessage(data=message))

    def frame_ping(self) -> bytes:
        """Return a ping. Source: RFC 7118 6."""
        return self._frame(ws.Ping())

    # private

    def _frame(self, event: ws.Event) -> bytes:
        if self._connection is None or self._connection.state is not ConnectionState.OPEN:
            return b""
        return self._connection.send(event)

    def _shake_hands(self, data: bytes) -> None:
        handshake = self._handshake
        assert handshake is not None
        try:
            handshake.receive_data(data)
        except RefusedByWsproto as error:
            if isinstance(error.event_hint, ws.RejectConnection):
                self._out.append(handshake.send(error.event_hint))
            raise
        for event in handshake.events():
            if isinstance(event, ws.Request):
                self._take_request(handshake, event)
            elif isinstance(event, ws.AcceptConnection):
                self._take_acceptance(event)
            elif isinstance(event, ws.RejectConnection):
                self._fail(StreamFault.UPGRADE_REFUSED, f"expected HTTP 101, found {event.status_code}", 0)

    def _take_request(self, handshake: H11Handshake, request: ws.Request) -> None:
        if SUBPROTOCOL not in request.subprotocols:
            self._out.append(handshake.send(ws.RejectConnection(status_code=400)))
            found = ", ".join(request.subprotocols)[:80] or "none"
            self._fail(StreamFault.UPGRADE_REFUSED, f"expected the subprotocol sip, found {found!a}", 0)
            return
        self._out.append(handshake.send(ws.AcceptConnection(subprotocol=SUBPROTOCOL)))
        self._open(handshake)

    def _take_acceptance(self, event: ws.AcceptConnection) -> None:
        assert self._handshake is not None
        if event.subprotocol != SUBPROTOCOL:
            self._fail(StreamFault.UPGRADE_REFUSED, "the server does not confirm the subprotocol sip", 0)
            return
        self._open(self._handshake)

    def _open(self, handshake: H11Handshake) -> None:
        self._connection = handshake.connection
        self._handshake = None
        self.is_open = True
        self._events.append(StreamOpened())
        self._receive_frames(b"")

    def _receive_frames(self, data: bytes) -> None:
        connection = self._connection
        assert connection is not None
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, ws.TextMessage | ws.BytesMessage):
                self._gather(event)
            elif isinstance(event, ws.Ping):
                self._out.append(self._frame(event.response()))
                self._events.append(PingReceived())
            elif isinstance(event, ws.Pong):
                self._events.append(PongReceived())
            elif isinstance(event, ws.CloseConnection):
                self._take_close(connection, event)
            if self.close_expected:
                return

    def _gather(self, event: ws.TextMessage | ws.BytesMessage) -> None:
        piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        self._piece_bytes += len(piece)
        if self._piece_bytes > self._max_bytes:
            self._fail(StreamFault.MESSAGE_TOO_LONG, f"expected at most {self._max_bytes} bytes in a frame", _TOO_BIG)
            return
        if piece:  # empty ones cost the peer next to nothing
            self._pieces.append(piece)
        self._is_inside = not event.message_finished
        if event.message_finished:
            message = b"".join(self._pieces)
            self._pieces.clear()
            self._piece_bytes = 0
            self._take_message(message)

    def _take_message(self, message: bytes) -> None:
        """Take a whole message; browsers, which cannot send pings, send line ends. Source: RFC 5626 3.5.1."""
        if message.strip(CRLF):
            self._events.append(MessageReceived(message))
        elif message == PING:
            self._out.append(self._frame(ws.TextMessage(data="\r\n")))
            self._events.append(PingReceived())
        else:
            self._events.append(PongReceived())

    def _take_close(self, connection: Connection, event: ws.CloseConnection) -> None:
        """Tell a close frame of the peer from bytes that wsproto could not read."""
        if connection.state is ConnectionState.OPEN:
            self._fail(StreamFault.NOT_WEBSOCKET, f"broken frame: {event.reason}", int(event.code))
            return
        if connection.state is ConnectionState.REMOTE_CLOSING:
            self._out.append(connection.send(event.response()))
        self._end(f"code {int(event.code)}")

    def _end(self, detail: str) -> None:
        self.is_open = False
        self.close_expected = True
        self._events.append(StreamEnded(detail))

    def _fail(self, fault: StreamFault, detail: str, code: int) -> None:
        if code:
            self._out.append(self._frame(ws.CloseConnection(code=code)))
        self.is_open = False
        self.close_expected = True
        self._pieces.clear()
        self._events.append(StreamFailed(fault, detail))
