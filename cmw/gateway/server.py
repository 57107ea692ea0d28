"""A gateway on the network: uvicorn on the running loop, with sockets of our own and no signal handlers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from cmw.errors import SettingsError
from cmw.gateway.protocols import BoundedHttp, LinkWebSocket
from cmw.gateway.rest.app import ApiLimits, create_app
from cmw.gateway.service import Gateway
from cmw.link.limits import MAX_TO_GATEWAY_BYTES

GRACEFUL_STOP_S = 5
BACKLOG = 1024


class RunningServer:
    """A gateway that listens; `stop` ends it.

    Args:
        host, port: where it really listens.
    """

    def __init__(self, server: _Server, task: asyncio.Task[None], host: str, port: int, *, is_tls: bool) -> None:
        self._server = server
        self._task = task
        self.host = host
        self.port = port
        self.is_tls = is_tls

    @property
    def authority(self) -> str:
        """Return host and port as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Return where the REST API is."""
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"

    @property
    def link_url(self) -> str:
        """Return what a worker here takes as CLOUD_URL."""
        return self.authority if self.is_tls else f"ws://{self.authority}"

    async def stop(self) -> None:
        """Stop to listen, let requests end, close the links."""
        self._server.should_exit = True
        await self._task

    async def wait(self) -> None:
        """Wait until the server has ended, for whatever reason."""
        await asyncio.shield(self._task)


async def serve(
    gateway: Gateway,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    limits: ApiLimits | None = None,
) -> RunningServer:
    """Put a gateway on the network and return once it listens.

    Args:
        host: a literal address.
        port: 0 for any that is free.
        tls_cert, tls_key: PEM files; without `tls_key` the key is in the certificate's file.
        limits: how often the API may be asked.

    Raises:
        SettingsError: the address cannot be listened on, or the certificate cannot be used.
    """
    if tls_cert is not None:
        _check_tls(tls_cert, tls_key)
    listener = _listen(host, port)
    config = uvicorn.Config(
        create_app(gateway, limits),
        loop="none",
        http=BoundedHttp,
        ws=LinkWebSocket,
        ws_max_size=MAX_TO_GATEWAY_BYTES,
        ws_ping_interval=None,  # the link has heartbeats, and theirs would end it when our own store is slow
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="gateway server")
    started = asyncio.create_task(server.has_started.wait())
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if task.done():
        listener.close()
        task.result()
        raise SettingsError(f"{host}:{port}: the server ended before it listened")
    address = listener.getsockname()
    return RunningServer(server, task, address[0], address[1], is_tls=tls_cert is not None)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a literal address."""
    return ipaddress.ip_address(host).is_loopback


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: who runs the loop decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.has_started.set()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise SettingsError(f"listen address: expected a literal IP address, found {host!r}") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port}: expected an address that is free to listen on, found: {error.strerror}"
        ) from None
    return listener


def _check_tls(cert: Path, key: Path | None) -> None:
    """Find out what is wrong with a certificate before uvicorn does; both use Python's defaults, TLS 1.2 or newer."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        expected = f"a certificate in PEM that fits its key {key}" if key else "a certificate and its key in PEM"
        raise SettingsError(f"{cert}: expected {expected}, found: {error.strerror or error}") from None
