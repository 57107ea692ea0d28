"""A tunnel through an HTTP proxy: CONNECT, then bytes. Source: RFC 9110 9.3.6."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import h11

from cmw.link.url import ProxyUrl


class ProxyError(OSError):
    """The proxy did not open the tunnel."""


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel as soon as it is connected; `opened` says how that went.

    Args:
        proxy: for its credentials.
        target: host:port of the gateway.
    """

    def __init__(self, proxy: ProxyUrl, target: str) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self._proxy = proxy
        self._target = target
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=16384)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = transport
        request = h11.Request(method="CONNECT", target=self._target, headers=tunnel_headers(self._proxy, self._target))
        self.transport.write(self._http.send(request))
        self.transport.write(self._http.send(h11.EndOfMessage()))

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        if self.opened.done():
            return
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._fail(f"the proxy's answer is no HTTP: {error}")
            return
        if isinstance(event, h11.Response):
            self._answered(event)
        elif event is not h11.NEED_DATA:
            self._fail("the proxy closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the proxy is gone."""
        self._fail("the proxy closed the connection")

    def _answered(self, answer: h11.Response) -> None:
        if not 200 <= answer.status_code < 300:
            self._fail(f"the proxy answered HTTP {answer.status_code}")
        elif self._http.trailing_data[0]:
            self._fail("the proxy sent bytes that the gateway cannot have sent yet")
        elif not self.opened.done():
            self.opened.set_result(None)

    def _fail(self, reason: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(ProxyError(reason))


def tunnel_headers(proxy: ProxyUrl, target: str) -> list[tuple[str, str]]:
    """Return the headers of a CONNECT to a gateway, credentials among them."""
    headers = [("Host", target)]
    if proxy.user is not None:
        pair = f"{proxy.user}:{proxy.password or ''}".encode()
        headers.append(("Proxy-Authorization", f"Basic {base64.b64encode(pair).decode()}"))
    return headers
