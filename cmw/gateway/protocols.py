"""uvicorn's two protocols, with the bounds that they leave out: on time, on memory, and what a broken frame is told."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto import events
from wsproto.connection import ConnectionState

HEAD_S = 10.0
"""From the first byte of a connection, or of a further request on it, to the end of the request's head."""

BODY_S = 60.0
"""From the end of the head to the end of the body."""

LINGER_S = 10.0
"""How long a peer may take to read what is left when its WebSocket is closed."""


class BoundedHttp(H11Protocol):
    """HTTP/1.1 for peers that do not take for ever to say what they want."""

    _waits_for: str | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for("head")

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and look what is still to come."""
        super().data_received(data)
        self._wait_for(self._missing())

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_for(None)
        super().connection_lost(exc)

    def _missing(self) -> str | None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return None  # it is a WebSocket from here on
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        return "head" if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] else None

    def _wait_for(self, part: str | None) -> None:
        if part == self._waits_for:
            return
        self._waits_for = part
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if part is not None:
            self._timer = self.loop.call_later(HEAD_S if part == "head" else BODY_S, self._give_up)

    def _give_up(self) -> None:
        if self._waits_for == "head":
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self._waits_for = None
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)


class LinkWebSocket(WSProtocol):
    """A WebSocket that tells a peer what it broke, owes it one pong at most, and does not linger."""

    _owed_ping: events.Ping | None = None
    _is_lingering = False

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        super().data_received(data)
        self._linger()

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        owed, self._owed_ping = self._owed_ping, None
        if owed is not None and self.conn.state is ConnectionState.OPEN and not self.transport.is_closing():
            super().handle_ping(owed)

    def handle_ping(self, event: events.Ping) -> None:
        """Answer a ping: when the peer takes our answers, else only the latest. Source: RFC 6455 5.5.3."""
        if self.writable.is_set():
            super().handle_ping(event)
        else:
            self._owed_ping = event

    def handle_close(self, event: events.CloseConnection) -> None:
        """Answer a close frame; bytes that wsproto could not parse look like one, but are closed by us, with why."""
        if self.conn.state is ConnectionState.OPEN and not self.close_sent and not self.transport.is_closing():
            self.transport.write(self.conn.send(events.CloseConnection(code=event.code, reason=event.reason)))
        super().handle_close(event)

    async def run_asgi(self) -> None:
        """Run the application, and see the connection closed after it."""
        try:
            await super().run_asgi()
        finally:
            self._linger()

    def _linger(self) -> None:
        if self.transport.is_closing() and not self._is_lingering:
            self._is_lingering = True
            self.loop.call_later(LINGER_S, self.transport.abort)
