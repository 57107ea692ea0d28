"""Runs a worker's end of the link on real connections: dials, moves bytes, keeps the timers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.errors import SettingsError
from cmw.link.events import ConnectDue, LinkLost, LinkRefused, WorkerEvent
from cmw.link.limits import CLOSE_LIMIT
from cmw.link.presence import WorkerInfo
from cmw.link.spool import Spool
from cmw.link.url import GatewayUrl, ProxyUrl
from cmw.link.worker_link import WorkerLink
from cmw.net.clock import monotonic_ns, wall_clock
from cmw.net.ids import RandomIds
from cmw.net.link_proxy import Tunnel
from cmw.net.spool_files import SpoolFiles
from cmw.net.spool_keeper import SpoolKeeper

ResultT = TypeVar("ResultT")

ADDRESS_LIMIT_S: Final = 5.0
"""Time that one of several addresses of a name gets for TCP and TLS."""


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that checks name and chain, TLS 1.2 or newer.

    Args:
        ca_file: PEM file of the only certificate authorities to trust; the system's if None.

    Raises:
        SettingsError: the file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"CLOUD_CA_FILE: found {ca_file!r}, expected a PEM file of certificates: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class LinkClient:
    """A worker's link on the running event loop.

    Begin with `start`; give orders by `run`; events come to `on_event`, in order, never from within `run` or another
    event. Use it from the loop's thread only.

    Args:
        url: where the gateway is.
        token: the worker's secret.
        info: what the hello says.
        on_event: takes every event of the link but `ConnectDue`.
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
        ids: source of randomness.
        spool: where reports wait, if they are to wait in memory only.
        files: where they wait on disk beside it, and what earlier processes left there; closed with the link.
        proxy: the HTTP proxy to go through; what the environment says of proxies is never looked at.
        on_warning: takes one sentence if the token travels without TLS; logged if None.
    """

    def __init__(
        self,
        *,
        url: GatewayUrl,
        token: str,
        info: WorkerInfo,
        on_event: Callable[[WorkerEvent], None],
        ca_file: str | None = None,
        ids: Ids | None = None,
        spool: Spool | None = None,
        files: SpoolFiles | None = None,
        proxy: ProxyUrl | None = None,
        on_warning: Callable[[str], None] | None = None,
        clock: Callable[[], Nanos] = monotonic_ns,
    ) -> None:
        self.url = url
        if files is not None:
            spool = Spool(max_bytes=files.own_max_bytes, shelf=files)
        self.link = WorkerLink(
            host=url.host_header,
            token=token,
            info=info,
            ids=ids or RandomIds(),
            wall=wall_clock(),
            now=clock(),
            spool=spool,
            predecessors=files.predecessors() if files is not None else (),
        )
        self._keeper = SpoolKeeper(self.link, files) if files is not None else None
        self._proxy = proxy
        self._log = structlog.get_logger("cmw.link")
        self._on_event = on_event
        self._on_warning = on_warning or self._log.warning
        self._tls = tls_context(ca_file) if url.tls else None
        self._proxy_tls = tls_context(ca_file) if proxy is not None and proxy.tls else None
        self._clock = clock
        self._connection: _Connection | None = None
        self._dial: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_draining = False
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def start(self) -> None:
        """Open the link and keep it open until `close`."""
        if self.url.warning:
            self._on_warning(self.url.warning)
        if self._keeper is not None:
            self._keeper.start()
        self.run(lambda link, now: link.start(now=now))

    def run(self, command: Callable[[WorkerLink, Nanos], ResultT]) -> ResultT:
        """Carry out one command on the link, then send what it brought about.

        Raises:
            LocalProtocolError: from the command; nothing was changed.
        """
        try:
            return command(self.link, self._clock())
        finally:
            self._drain_soon()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the gateway has committed every report; return False if that took too long."""
        return await self._wait(lambda: self.link.pending == 0, timeout_s)

    async def close(self, timeout_s: float = CLOSE_LIMIT / SECOND) -> None:
        """End the link: say goodbye if there is a connection, and wait for the gateway's goodbye that long at most."""
        self.run(lambda link, now: link.close(now=now))
        await self._wait(lambda: self.link.close_expected, timeout_s)
        self._drain()
        self._forget_dial()
        self._arm(None)
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        if self._keeper is not None:
            await self._keeper.close()

    # Inputs from the connection.

    def connection_made(self, connection: _Connection) -> None:
        """Take a connection over if it is still wanted."""
        if self._connection is not None or self._dial is None:
            connection.abort()
            return
        self._connection = connection
        self.link.connect(now=self._clock())
        self._drain()

    def data_received(self, connection: _Connection, data: bytes) -> None:
        """Feed bytes in; those of a connection that was given up are ignored."""
        if connection is self._connection:
            self.link.receive_data(data, now=self._clock())
            self._drain()

    def connection_lost(self, connection: _Connection, reason: str) -> None:
        """Note that a connection is gone."""
        if connection is self._connection:
            self._connection = None
            self.link.receive_eof(now=self._clock(), reason=reason)
            self._drain()

    def writable(self, connection: _Connection) -> None:
        """Go on sending."""
        if connection is self._connection:
            self._drain()

    # The driver's loop: one input, then drain until quiet, then arm.

    def _drain_soon(self) -> None:
        """Drain from the loop, so that `run` never calls back into its caller."""
        if not self._is_draining:
            self._arm(0.0)

    def _drain(self) -> None:
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while self._send() or self._hand_out():
                pass
        finally:
            self._is_draining = False
        self._wake_waiters()
        deadline = self.link.next_timeout()
        self._arm(None if deadline is None else max(0, deadline.at - self._clock()) / SECOND)

    def _send(self) -> bool:
        """Write what is to be sent; close what is to be closed. Returns True if something went out."""
        connection = self._connection
        if connection is None or not (connection.is_writable or self.link.close_expected):
            return False
        data = self.link.data_to_send()
        if data:
            connection.write(data)
        if self.link.close_expected:
            self._connection = None
            connection.close()
        return bool(data)

    def _hand_out(self) -> bool:
        event = self.link.next_event()
        if event is None:
            return False
        if isinstance(event, ConnectDue):
            self._dial = asyncio.get_running_loop().create_task(self._connect(event.attempt))
            return True
        if isinstance(event, LinkLost | LinkRefused):
            self._forget_dial()
        try:
            self._on_event(event)
        except Exception as error:
            context = {"message": f"on_event failed on {type(event).__name__}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
        return True

    def _arm(self, delay_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if delay_s is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        """Let time pass. uvloop's timers may be up to 1 ms early, so a deadline counts as reached when it woke us."""
        now = self._clock()
        deadline = self.link.next_timeout()
        if deadline is not None and 0 < deadline.at - now < 2_000_000:
            now = deadline.at
        self.link.handle_timeout(now=now)
        self._drain()

    async def _wait(self, is_reached: Callable[[], bool], timeout_s: float) -> bool:
        if not is_reached():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((is_reached, waiter))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiter, timeout_s)
        return is_reached()

    def _wake_waiters(self) -> None:
        for is_reached, waiter in self._waiters:
            if not waiter.done() and is_reached():
                waiter.set_result(None)
        self._waiters = [entry for entry in self._waiters if not entry[1].done()]

    # Dialling.

    async def _connect(self, attempt: int) -> None:
        """Try the addresses of the gateway in turn, beginning with another one at each attempt."""
        try:
            reason = await self._try_addresses(attempt)
        except OSError as error:
            reason = _reason(error)
        if reason is not None:
            self._dial = None
            way = f" by way of {self._proxy}" if self._proxy is not None else ""
            self.link.connect_failed(f"cannot connect to {self.url.address}{way}: {reason}", now=self._clock())
            self._drain()

    async def _try_addresses(self, attempt: int) -> str | None:
        """Return None when connected, else why the last try failed."""
        addresses = await self._look_up()
        first = (attempt - 1) % len(addresses) if addresses else 0
        reason = "the name has no address"
        for address in addresses[first:] + addresses[:first]:
            try:
                async with asyncio.timeout(ADDRESS_LIMIT_S):
                    await self._open(address)
            except (OSError, TimeoutError) as error:
                reason = _reason(error)
            else:
                return None
        return reason

    async def _open(self, address: str) -> None:
        """Open a connection to the gateway by one address, of itself or of the proxy."""
        if self._proxy is not None:
            await self._open_tunnel(self._proxy, address)
            return
        host, port = self.url.address
        await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), address, port, ssl=self._tls, server_hostname=host if self._tls else None
        )

    async def _open_tunnel(self, proxy: ProxyUrl, address: str) -> None:
        loop = asyncio.get_running_loop()
        transport, tunnel = await loop.create_connection(
            lambda: Tunnel(proxy, str(self.url.address)),
            address,
            proxy.address.port,
            ssl=self._proxy_tls,
            server_hostname=proxy.address.host if self._proxy_tls else None,
        )
        try:
            await tunnel.opened
            connection = _Connection(self)
            through: asyncio.BaseTransport | None = transport
            if self._tls is not None:
                host = self.url.address.host
                through = await loop.start_tls(transport, connection, self._tls, server_hostname=host)
            else:
                transport.set_protocol(connection)
            assert through is not None
            connection.connection_made(through)
        except BaseException:
            transport.abort()
            raise

    async def _look_up(self) -> list[str]:
        """Return the addresses of the gateway's name, or of the proxy's, each once."""
        host, port = self._proxy.address if self._proxy is not None else self.url.address
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(info[4][0]) for info in found))

    def _forget_dial(self) -> None:
        dial, self._dial = self._dial, None
        if dial is not None and not dial.done():
            dial.cancel()


class _Connection(asyncio.Protocol):
    """One TCP or TLS connection; hands everything to its client."""

    def __init__(self, client: LinkClient) -> None:
        self.is_writable = True
        self._client = client
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._client.connection_made(self)

    def data_received(self, data: bytes) -> None:
        self._client.data_received(self, data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        reason = "connection cut without a close frame" if error is None else f"connection lost: {_reason(error)}"
        self._client.connection_lost(self, reason)

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        self._client.writable(self)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def close(self) -> None:
        """Send what is left and close; a path that takes nothing gets 5 s."""
        self._transport.close()
        asyncio.get_running_loop().call_later(CLOSE_LIMIT / SECOND, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _reason(error: BaseException) -> str:
    """Return what went wrong in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
