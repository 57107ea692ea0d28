"""The worker's pages, `/health`, `/live`, `/ready` and `/metrics`, on h11 under a small protocol of ours, all bounded.

`HealthConversation` is the machine (bytes in, bytes out, no clock, no socket); `HealthServer` adds sockets and time.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, cast

import h11

from cmw.errors import SettingsError

HEAD_BYTES = 8192
"""A request line and its headers may take this much together."""

PIECE_BYTES = 1024
"""So much is looked at in one go: h11 bounds what is not whole yet, and a large head may come whole."""

REQUESTS_PER_CONNECTION = 100
"""Bounds what a peer can make us queue that sends requests and reads no answer."""

CONNECTIONS = 64
"""Open connections at one time; one more costs the oldest its place, so that idle ones cannot keep a probe out."""

PATIENCE_S = 5.0
"""How long a connection may wait for its next whole request, and how long an answer may take to leave."""


class HealthState(NamedTuple):
    """What the page shows.

    Args:
        healthy: whether nothing is wrong that only people can mend.
        connected: whether the link to the gateway is open.
        uptime_s: seconds since the worker started.
        reason: what is wrong; "" while it is healthy.
        unready: why no new run would be taken now; "" when one would.
    """

    healthy: bool
    connected: bool
    uptime_s: float
    reason: str = ""
    unready: str = ""


class Page(NamedTuple):
    """An answer to a request."""

    status: HTTPStatus
    content_type: str
    body: bytes


JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"


class HealthConversation:
    """One connection to the pages, as a stream machine.

    Args:
        state: asked once for each request.
        metrics: returns the page of figures; None where there is none.
    """

    def __init__(self, state: Callable[[], HealthState], metrics: Callable[[], Page] | None = None) -> None:
        self._state = state
        self._metrics = metrics
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._requests = 0
        self._out = bytearray()
        self._closing = False

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; never raises on what they say. Call `data_to_send` and `close_expected` next."""
        if self._closing:
            return
        try:
            for start in range(0, len(data), PIECE_BYTES):
                self._http.receive_data(data[start : start + PIECE_BYTES])
                self._answer_all()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def receive_timeout(self) -> None:
        """Give up on a peer that did not finish its request in time."""
        if not self._closing and self._http.their_state is h11.IDLE and self._http.trailing_data[0]:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        self._closing = True

    def data_to_send(self) -> bytes:
        """Return the bytes to send; drains."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def close_expected(self) -> bool:
        """Tell whether to close the connection once everything is sent."""
        return self._closing

    def _answer_all(self) -> None:
        while not self._closing:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._answer(event)
            elif isinstance(event, h11.ConnectionClosed):
                self._closing = True
            else:
                return

    def _answer(self, request: h11.Request) -> None:
        self._requests += 1
        has_body = self._http.next_event() is h11.NEED_DATA or self._http.their_state is h11.SEND_BODY
        page, headers = self._page(request)
        last = has_body or self._requests == REQUESTS_PER_CONNECTION
        self._respond(page, headers, last=last, with_body=request.method != b"HEAD")
        if last or self._http.our_state is not h11.DONE:
            self._closing = True
        else:
            self._http.start_next_cycle()

    def _page(self, request: h11.Request) -> tuple[Page, list[tuple[str, str]]]:
        make = self._maker(_path(request.target))
        if make is None:
            paths = "/health, /live, /ready" + (", /metrics" if self._metrics is not None else "")
            return _text(HTTPStatus.NOT_FOUND, f"not found: the pages are {paths}"), []
        if request.method not in (b"GET", b"HEAD"):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD"), [("Allow", "GET, HEAD")]
        return make(), []

    def _maker(self, path: bytes) -> Callable[[], Page] | None:
        if path == b"/metrics":
            return self._metrics
        pages = {b"/health": self._health, b"/live": self._live, b"/ready": self._ready}
        return pages.get(path)

    def _health(self) -> Page:
        state = self._state()
        status = HTTPStatus.OK if state.healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, JSON_TYPE, health_body(state).encode())

    def _live(self) -> Page:
        return _text(HTTPStatus.OK, "live")

    def _ready(self) -> Page:
        unready = self._state().unready
        return _text(HTTPStatus.SERVICE_UNAVAILABLE, unready) if unready else _text(HTTPStatus.OK, "ready")

    def _refuse(self, status: int) -> None:
        self._closing = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._respond(_text(HTTPStatus(status), HTTPStatus(status).phrase.lower()), [], last=True)

    def _respond(self, page: Page, extra: list[tuple[str, str]], *, last: bool, with_body: bool = True) -> None:
        headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))]
        headers += [("Cache-Control", "no-store"), *extra] + ([("Connection", "close")] if last else [])
        response = h11.Response(status_code=page.status, headers=headers, reason=page.status.phrase)
        self._out += self._http.send(response) or b""
        if with_body:
            self._out += self._http.send(h11.Data(data=page.body)) or b""
        self._out += self._http.send(h11.EndOfMessage()) or b""


def health_body(state: HealthState) -> str:
    """Return the page's body; an unhealthy worker adds the reason."""
    fields: dict[str, object] = {
        "status": "healthy" if state.healthy else "unhealthy",
        "connected": state.connected,
        "uptime": int(state.uptime_s),
    }
    if not state.healthy:
        fields["reason"] = state.reason
    return json.dumps(fields, indent=2) + "\n"


def _path(target: bytes) -> bytes:
    """Return the path of a request target, which may be a whole URL. Source: RFC 9112 3.2.2."""
    path = target.partition(b"?")[0]
    return b"/" + path[7:].partition(b"/")[2] if path[:7].lower() == b"http://" else path


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(status, TEXT_TYPE, f"{text}\n".encode())


class HealthServer:
    """Serves the pages on every address of the machine, or on one.

    Args:
        port: TCP port; 0 takes a free one.
        state: asked once for each request.
        metrics: returns the page of figures; None where there is none.
        host: an address; None means all of them, IPv6 too where there is any.
    """

    def __init__(
        self,
        port: int,
        state: Callable[[], HealthState],
        *,
        metrics: Callable[[], Page] | None = None,
        host: str | None = None,
    ) -> None:
        self._asked_port = port
        self._make: Callable[[], HealthConversation] = partial(HealthConversation, state, metrics)
        self._host = host
        self._open: dict[_HealthProtocol, None] = {}  # in the order they came
        self._server: asyncio.Server | None = None
        self.port = port

    async def start(self) -> None:
        """Bind and serve; `port` then is the one that was bound.

        Raises:
            SettingsError: the port is taken or not allowed to us.
        """
        try:
            listener = listen_on(self._host, self._asked_port)
        except OSError as error:
            why = "which another program has taken" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
            raise SettingsError(f"HEALTH_PORT: found {self._asked_port}, {why}, expected a free TCP port") from error
        self.port = listener.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _HealthProtocol(self._make(), self._open), sock=listener)

    async def close(self) -> None:
        """Stop serving and drop what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for protocol in list(self._open):
            protocol.abort()


class _HealthProtocol(asyncio.Protocol):
    """The shell of one conversation: one input, then everything out, then the timer."""

    def __init__(self, conversation: HealthConversation, open_ones: dict[_HealthProtocol, None]) -> None:
        self._conversation = conversation
        self._open = open_ones
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._open) >= CONNECTIONS:
            next(iter(self._open)).abort()
        self._open[self] = None
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._conversation.receive_data(data)
        if self._flush():
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)
        self._disarm()

    def abort(self) -> None:
        """Drop the connection now."""
        self._open.pop(self, None)
        self._disarm()
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> bool:
        """Send what there is and tell whether there was anything."""
        data = self._conversation.data_to_send()
        if self._transport is None or self._transport.is_closing():
            return False
        if data:
            self._transport.write(data)
        if self._conversation.close_expected():
            self._finish(self._transport)
        return bool(data)

    def _finish(self, transport: asyncio.Transport) -> None:
        """Say that nothing follows, and let the peer close: closing over unread bytes would take back our answer."""
        if not self._finished:
            self._finished = True
            transport.write_eof()

    def _arm(self) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._out_of_patience)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_patience(self) -> None:
        if self._finished:
            self.abort()
            return
        self._conversation.receive_timeout()
        self._flush()
        self._arm()


def listen_on(host: str | None, port: int) -> socket.socket:
    """Return a TCP socket that listens; without a host on every address of both IP versions, where there are two.

    Raises:
        OSError: the port is taken, or not allowed to us.
    """
    if host is None and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # IPv6 compiled in but turned off
                raise
    family = socket.AF_INET6 if host and ":" in host else socket.AF_INET
    return socket.create_server((host or "0.0.0.0", port), family=family)  # noqa: S104
