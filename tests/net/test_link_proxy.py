"""The link through an HTTP proxy, when CLOUD_PROXY says so, and never otherwise."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.link import events
from cmw.link.presence import WorkerInfo
from cmw.link.url import GatewayUrl, ProxyUrl, parse_proxy_url
from cmw.net import link_client
from cmw.net.link_client import LinkClient
from tests.link.world import TOKEN
from tests.net.test_link_client import (
    Listener,
    QuickIds,
    Watcher,
    certificates,  # noqa: F401, a fixture
    on_loop,
    server_tls,
)

HOST = "127.26.1.1"


class Proxy:
    """Opens tunnels, or answers what it is told to.

    Args:
        answer: sent instead of opening a tunnel; empty: nothing is ever answered.
    """

    def __init__(self, *, credentials: str | None = None, answer: bytes | None = None) -> None:
        self.heads: list[str] = []
        self.port = 0
        self._credentials = credentials
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, tls: ssl.SSLContext | None = None, host: str = HOST) -> None:
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self._answer is not None:
            writer.write(self._answer)
            return
        if self._credentials is not None:
            wanted = f"Proxy-Authorization: Basic {base64.b64encode(self._credentials.encode()).decode()}"
            if wanted.lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
                return
        host, _, port = head.split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(_pump(source, sink))
            self._tasks.add(task)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except (OSError, ssl.SSLError):
        pass
    finally:
        sink.close()


def make_client(
    port: int,
    watcher: Callable[[object], None],
    proxy: ProxyUrl | None,
    *,
    tls: bool = False,
    host: str = "127.0.0.1",
    ca_file: str | None = None,
) -> LinkClient:
    return LinkClient(
        url=GatewayUrl(Address(host, port), tls),
        token=TOKEN,
        info=WorkerInfo(capacity=10),
        on_event=watcher,
        ca_file=ca_file,
        ids=QuickIds(),
        proxy=proxy,
    )


@pytest.mark.loopback
class TestTunnel:
    def test_the_link_goes_through_the_proxy_with_its_credentials(self) -> None:
        async def body() -> None:
            proxy = Proxy(credentials="us er:p@ss:word")
            await proxy.listen()
            async with Listener() as gateway:
                watcher = Watcher()
                url = parse_proxy_url(f"http://us%20er:p%40ss%3Aword@{HOST}:{proxy.port}")
                client = make_client(gateway.port, watcher, url)
                client.start()
                await watcher.seen(events.LinkOpened)
                client.run(lambda link, now: link.report("event", None, {}, now=now))
                assert await client.flush(10)
                assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{gateway.port} HTTP/1.1\r\n")
                assert TOKEN not in "".join(proxy.heads)
                await client.close()
            await proxy.stop()

        on_loop(body)

    @pytest.mark.parametrize("proxy_tls", [False, True])
    def test_tls_to_the_gateway_is_checked_through_it(self, certificates: Path, proxy_tls: bool) -> None:  # noqa: F811
        async def body() -> None:
            proxy = Proxy()
            await proxy.listen(server_tls(certificates, "good") if proxy_tls else None, "localhost")
            async with Listener(tls=server_tls(certificates, "good")) as gateway:
                watcher = Watcher()
                url = ProxyUrl(Address("localhost", proxy.port), proxy_tls)
                ca_file = str(certificates / "ca.pem")
                client = make_client(gateway.port, watcher, url, tls=True, host="localhost", ca_file=ca_file)
                client.start()
                await watcher.seen(events.LinkOpened)
                client.run(lambda link, now: link.report("event", None, {}, now=now))
                assert await client.flush(10)
                await client.close()
            await proxy.stop()

        on_loop(body)

    def test_a_gateway_of_another_name_is_refused_through_it_too(self, certificates: Path) -> None:  # noqa: F811
        async def body() -> None:
            proxy = Proxy()
            await proxy.listen()
            async with Listener(tls=server_tls(certificates, "other")) as gateway:
                watcher = Watcher()
                url = ProxyUrl(Address(HOST, proxy.port), False)
                ca_file = str(certificates / "ca.pem")
                client = make_client(gateway.port, watcher, url, tls=True, host="localhost", ca_file=ca_file)
                client.start()
                lost = await watcher.seen(events.LinkLost)
                assert isinstance(lost, events.LinkLost)
                assert "TLS certificate refused: Hostname mismatch" in lost.reason
                await client.close()
            await proxy.stop()

        on_loop(body)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "the proxy answered HTTP 407"),
            (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", "the proxy answered HTTP 302"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "the proxy's answer is no HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\nearly", "bytes that the gateway cannot have sent"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, "the proxy's answer is no HTTP"),
            (b"", "timed out"),
        ],
    )
    def test_what_is_no_tunnel_is_told(self, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str) -> None:
        monkeypatch.setattr(link_client, "ADDRESS_LIMIT_S", 0.3 if not answer else 5.0)

        async def body() -> None:
            proxy = Proxy(answer=answer)
            await proxy.listen()
            watcher = Watcher()
            url = parse_proxy_url(f"http://user:secret-word@{HOST}:{proxy.port}")
            client = make_client(9, watcher, url)
            client.start()
            lost = await watcher.seen(events.LinkLost)
            assert isinstance(lost, events.LinkLost)
            assert reason in lost.reason
            assert f"by way of http://{HOST}:{proxy.port}" in lost.reason
            assert "secret-word" not in lost.reason + repr(url)
            await client.close()
            await proxy.stop()

        on_loop(body)

    def test_the_environment_has_no_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def body() -> None:
            proxy = Proxy()
            await proxy.listen()
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://{HOST}:{proxy.port}")
            async with Listener() as gateway:
                watcher = Watcher()
                client = make_client(gateway.port, watcher, None)
                client.start()
                await watcher.seen(events.LinkOpened)
                await client.close()
            assert proxy.heads == []
            await proxy.stop()

        on_loop(body)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example:3128", ProxyUrl(Address("proxy.example", 3128), False)),
        (" https://[2001:db8::1]:443/ ", ProxyUrl(Address("2001:db8::1", 443), True)),
        ("http://me:@10.0.0.1:80", ProxyUrl(Address("10.0.0.1", 80), False, "me", "")),
        ("http://me@10.0.0.1:80", ProxyUrl(Address("10.0.0.1", 80), False, "me", None)),
        ("http://m%3Ae:a%2Fb@p:1", ProxyUrl(Address("p", 1), False, "m:e", "a/b")),
    ],
)
def test_proxies_are_read(text: str, proxy: ProxyUrl) -> None:
    assert parse_proxy_url(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        *("", "proxy:3128", "http://proxy", "http://proxy:0", "http://proxy:70000", "socks5://proxy:1"),
        *("http://a:b:c@p:1", "http://pass word@p:1", "http://secret:word@:1", "http://p:1/path", "http://p:1?x"),
        *("http://word..p:1", f"http://{'word' * 16}:1"),
    ],
)
def test_what_is_no_proxy_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="CLOUD_PROXY: expected http://") as refused:
        parse_proxy_url(text)
    assert "word" not in str(refused.value).replace("password", "")
