"""One WebSocket from the client's side: bytes of a TCP stream on one side, whole messages on the other.

h11 and wsproto do the work; this bounds what they gather, and names what comes out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO

import h11
from wsproto import ConnectionType
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionState
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from cmw.errors import RemoteProtocolError
from cmw.link.limits import SUBPROTOCOL
from cmw.link.refusal import CloseCode


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The gateway has switched to our subprotocol."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The gateway answered the upgrade with another HTTP status."""

    status: int
    retry_after: str | None = None
    """The header Retry-After as it came."""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """One whole text message."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PingReceived:
    """A ping that wants this payload back."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The gateway's close frame; code 1005 if it carried none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that break HTTP/1.1, RFC 6455 or a limit; nothing more comes after it."""

    code: int
    reason: str


StreamEvent = Upgraded | Rejected | TextReceived | PingReceived | CloseReceived | Broken


class ClientStream:
    """The client's end of one WebSocket connection. After an error it is of no more use.

    Args:
        max_message_bytes: longest text message that is gathered, in characters.
    """

    def __init__(self, *, max_message_bytes: int) -> None:
        self.progress = 0
        """Counts pieces of messages, so that one that takes long to arrive is a sign of life."""
        self._max_message_bytes = max_message_bytes
        self._handshake: H11Handshake | None = H11Handshake(ConnectionType.CLIENT)
        self._connection: Connection | None = None
        self._message = StringIO()

    def request(self, *, host: str, path: str, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the bytes of the HTTP upgrade. No extension is offered."""
        assert self._handshake is not None
        request = ws.Request(host=host, target=path, subprotocols=[SUBPROTOCOL], extra_headers=list(headers))
        return self._handshake.send(request)

    def receive(self, data: bytes) -> list[StreamEvent]:
        """Take bytes in and return what they complete."""
        received: list[StreamEvent] = []
        try:
            self._receive(data, received)
        except RemoteProtocolError as error:
            received.append(Broken(error.hint, str(error)))
        except (ProtocolError, h11.ProtocolError, UnicodeError) as error:
            received.append(Broken(CloseCode.PROTOCOL_ERROR, f"no valid answer to the upgrade: {error}"))
        return received

    def text(self, text: str) -> bytes:
        """Return the bytes of a text message."""
        return self._send(ws.TextMessage(data=text))

    def binary(self, data: bytes) -> bytes:
        """Return the bytes of a binary message."""
        return self._send(ws.BytesMessage(data=data))

    def pong(self, payload: bytes) -> bytes:
        """Return the bytes of a pong."""
        return self._send(ws.Pong(payload=payload))

    def close(self, code: int, reason: str) -> bytes:
        """Return the bytes of a close frame; nothing when the connection is closed, or was never open."""
        return self._send(ws.CloseConnection(code=code, reason=reason))

    def _send(self, event: ws.Event) -> bytes:
        if self._connection is None or self._connection.state in (
            ConnectionState.CLOSED,
            ConnectionState.LOCAL_CLOSING,
        ):
            return b""
        return self._connection.send(event)

    def _receive(self, data: bytes, received: list[StreamEvent]) -> None:
        if self._connection is not None:
            return self._receive_frames(data, received)
        assert self._handshake is not None
        self._handshake.receive_data(data)
        for event in self._handshake.events():
            if isinstance(event, ws.RejectConnection):
                headers = {name.lower(): value for name, value in event.headers}
                retry_after = headers.get(b"retry-after")
                text = retry_after.decode("latin-1") if retry_after is not None else None
                received.append(Rejected(event.status_code, text))
                return None
            if isinstance(event, ws.AcceptConnection):
                return self._upgrade(event, received)
        return None

    def _upgrade(self, event: ws.AcceptConnection, received: list[StreamEvent]) -> None:
        assert self._handshake is not None
        if event.subprotocol != SUBPROTOCOL:
            raise RemoteProtocolError(f"the gateway does not speak {SUBPROTOCOL}", hint=CloseCode.PROTOCOL_ERROR)
        self._connection = self._handshake.connection
        self._handshake = None  # it holds the token
        received.append(Upgraded())
        self._receive_frames(b"", received)

    def _receive_frames(self, data: bytes, received: list[StreamEvent]) -> None:
        assert self._connection is not None
        if self._connection.state in (ConnectionState.CLOSED, ConnectionState.REMOTE_CLOSING):
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, ws.TextMessage):
                received += self._gather(event)
            elif isinstance(event, ws.BytesMessage):
                raise RemoteProtocolError("a binary message to a worker", hint=CloseCode.UNSUPPORTED_DATA)
            elif isinstance(event, ws.Ping):
                received.append(PingReceived(bytes(event.payload)))
            elif isinstance(event, ws.CloseConnection):
                received.append(self._closed(event))

    def _gather(self, event: ws.TextMessage) -> list[StreamEvent]:
        self.progress += 1
        if self._message.tell() + len(event.data) > self._max_message_bytes:
            raise RemoteProtocolError(f"a message above {self._max_message_bytes} bytes", hint=CloseCode.TOO_BIG)
        self._message.write(event.data)
        if not event.message_finished:
            return []
        text = self._message.getvalue()
        self._message = StringIO()
        return [TextReceived(text)]

    def _closed(self, event: ws.CloseConnection) -> CloseReceived:
        """Tell a close frame of the gateway from bytes that wsproto could not parse."""
        assert self._connection is not None
        if self._connection.state is ConnectionState.OPEN:
            raise RemoteProtocolError(f"broken WebSocket frame: {event.reason}", hint=int(event.code))
        return CloseReceived(int(event.code), event.reason or "")
