"""The worker's link on real sockets: a small gateway on loopback, with TLS and without."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import uvloop

from cmw.core.address import Address
from cmw.core.clock import WallClock
from cmw.errors import LocalProtocolError, SettingsError
from cmw.link import events
from cmw.link.gateway_link import GatewayLink
from cmw.link.presence import WorkerInfo
from cmw.link.refusal import Refusal
from cmw.link.url import GatewayUrl, parse_gateway_url
from cmw.net.ids import RandomIds
from cmw.net.link_client import LinkClient, tls_context
from cmw.net.spool_files import SpoolFiles
from tests.link.world import TOKEN, Server, Store, make_batch
from tests.support.ids import CountingIds

pytestmark = pytest.mark.loopback


class QuickIds(CountingIds):
    """The shortest back-off."""

    def unit(self) -> float:
        return 0.0


class Gateway(asyncio.Protocol):
    """One connection to a small gateway; all of them share a store."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.server = Server(listener.store, now=time.monotonic_ns(), status=listener.status, commit=listener.commit)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        self._listener.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self.server.receive_data(data, now=time.monotonic_ns())
        self.transport.write(self.server.data_to_send())
        if self.server.closed_by_worker is not None or self._listener.status != 101:
            self.transport.close()

    def say(self, command_id: str) -> None:
        self.server.link.send_command(command_id, "drain", now=time.monotonic_ns())
        self.server.drain(time.monotonic_ns())
        self.transport.write(self.server.data_to_send())


class Listener:
    """A gateway's port."""

    def __init__(self, *, status: int = 101, commit: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self.store = Store()
        self.status = status
        self.commit = commit
        self.connections: list[Gateway] = []
        self._tls = tls
        self.port = 0

    async def __aenter__(self) -> Listener:
        await self.listen()
        return self

    async def listen(self, host: str = "127.0.0.1") -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Gateway(self), host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()


class Watcher:
    """Collects events; `seen` waits for one of a kind."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self._changed = asyncio.Event()

    def __call__(self, event: object) -> None:
        self.events.append(event)
        self._changed.set()

    async def seen(self, kind: type, count: int = 1) -> object:
        async with asyncio.timeout(10):
            while sum(isinstance(event, kind) for event in self.events) < count:
                self._changed.clear()
                await self._changed.wait()
        return [event for event in self.events if isinstance(event, kind)][count - 1]


def make_client(
    port: int,
    watcher: Callable[[object], None],
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
    )


def on_loop(test: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())  # type: ignore[arg-type]


def test_reports_arrive_and_are_acknowledged() -> None:
    async def body() -> None:
        async with Listener() as gateway:
            watcher = Watcher()
            client = make_client(gateway.port, watcher)
            client.start()
            await watcher.seen(events.LinkOpened)
            client.run(lambda link, now: link.report("endpoint", "run-1", {"n": 1}, now=now))
            client.run(lambda link, now: link.send_samples(make_batch(endpoints=50_000), now=now))
            assert await client.flush(10)
            assert [seq for _, seq, _ in gateway.store.rows] == [1, 2]
            await client.close()
            assert watcher.events[-1] == events.LinkClosed()
            assert gateway.connections[0].server.closed_by_worker == 1001

    on_loop(body)


def test_a_cut_connection_loses_nothing() -> None:
    async def body() -> None:
        async with Listener(commit=False) as gateway:
            watcher = Watcher()
            client = make_client(gateway.port, watcher)
            client.start()
            await watcher.seen(events.LinkOpened)
            for number in range(20):
                client.run(lambda link, now, n=number: link.report("endpoint", "run-1", {"n": n}, now=now))
            gateway.connections[0].transport.abort()
            await watcher.seen(events.LinkLost)
            gateway.commit = True
            await watcher.seen(events.LinkOpened, 2)
            assert await client.flush(10)
            assert [content for _, _, content in gateway.store.rows] == [{"n": n} for n in range(20)]
            await client.close()

    on_loop(body)


def test_a_gateway_that_comes_later_is_found() -> None:
    async def body() -> None:
        gateway = Listener()
        await gateway.listen()
        gateway.stop()
        watcher = Watcher()
        client = make_client(gateway.port, watcher)
        client.start()
        lost = await watcher.seen(events.LinkLost)
        assert isinstance(lost, events.LinkLost)
        assert "Connection refused" in lost.reason
        async with gateway:
            await watcher.seen(events.LinkOpened)
            await client.close()

    on_loop(body)


def test_commands_are_carried_out_from_events() -> None:
    async def body() -> None:
        async with Listener() as gateway:
            watcher = Watcher()

            def on_event(event: object) -> None:
                watcher(event)
                if isinstance(event, events.CommandReceived):
                    client.run(lambda link, now: link.accept(event.id, now=now))
                    client.run(lambda link, now: link.done(event.id, {"ok": True}, now=now))
                    client.run(lambda link, now: link.report("event", None, {"done": event.id}, now=now))

            client = make_client(gateway.port, on_event)
            client.start()
            await watcher.seen(events.LinkOpened)
            gateway.connections[0].say("c-1")
            await watcher.seen(events.Acknowledged)
            assert gateway.store.answers == [
                events.CommandWasAccepted("c-1"),
                events.CommandWasDone("c-1", {"ok": True}),
            ]
            await client.close()

    on_loop(body)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refusal_is_told_word_for_word(refusal: Refusal) -> None:
    async def body() -> None:
        async with Listener(status=refusal.status) as gateway:
            watcher = Watcher()
            client = make_client(gateway.port, watcher)
            client.start()
            refused = await watcher.seen(events.LinkRefused)
            assert isinstance(refused, events.LinkRefused)
            assert refused.message == refusal.message
            await client.close()
            assert TOKEN not in repr(watcher.events) + repr(client) + repr(client.link)

    on_loop(body)


def test_an_error_in_an_event_handler_stops_nothing() -> None:
    async def body() -> None:
        async with Listener() as gateway:
            watcher = Watcher()
            told: list[dict[str, object]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

            def on_event(event: object) -> None:
                watcher(event)
                if isinstance(event, events.LinkOpened):
                    raise RuntimeError("no")

            client = make_client(gateway.port, on_event)
            client.start()
            client.run(lambda link, now: link.report("event", None, {}, now=now))
            assert await client.flush(10)
            assert len(told) == 1
            await client.close()

    on_loop(body)


def test_an_illegal_command_raises_and_changes_nothing() -> None:
    async def body() -> None:
        client = make_client(1, Watcher())
        with pytest.raises(LocalProtocolError):
            client.run(lambda link, now: link.report("endpoint", "run-1", {"x": float("nan")}, now=now))
        assert client.link.pending == 0
        await client.close()

    on_loop(body)


def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    async def body() -> None:
        async with Listener() as gateway:
            watcher = Watcher()
            client = make_client(gateway.port, watcher)

            async def look_up() -> list[str]:
                return ["127.0.0.9", "127.0.0.1"]

            client._look_up = look_up  # type: ignore[method-assign]
            client.start()
            await watcher.seen(events.LinkOpened)
            assert not any(isinstance(event, events.LinkLost) for event in watcher.events)
            await client.close()

    on_loop(body)


def test_close_while_dialling_ends_at_once() -> None:
    async def body() -> None:
        watcher = Watcher()
        client = make_client(9, watcher)

        async def look_up() -> list[str]:
            await asyncio.Event().wait()
            return []

        client._look_up = look_up  # type: ignore[method-assign]
        client.start()
        await asyncio.sleep(0)
        await client.close()
        assert watcher.events == [events.LinkClosed()]

    on_loop(body)


def spool_files(directory: Path) -> list[Path]:
    return list(directory.glob("*/*.spool"))


class TestSpoolOnDisk:
    """What the gateway has not taken outlives the process; each client here stands for one."""

    @staticmethod
    def client(port: int, watcher: Watcher, directory: Path, max_bytes: int = 64 << 20) -> LinkClient:
        return LinkClient(
            url=GatewayUrl(Address("127.0.0.1", port), False),
            token=TOKEN,
            info=WorkerInfo(capacity=10),
            on_event=watcher,
            ids=RandomIds(),
            files=SpoolFiles(directory, TOKEN, max_bytes=max_bytes),
        )

    @staticmethod
    def report(client: LinkClient, number: int) -> None:
        client.run(lambda link, now: link.report("endpoint", "run-1", {"n": number}, now=now))
        client.run(lambda link, now: link.send_samples(make_batch(number), now=now))

    def test_a_successor_sends_what_was_left(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with Listener() as gateway:
                port = gateway.port
                first = self.client(port, watcher := Watcher(), tmp_path)
                first.start()
                await watcher.seen(events.LinkOpened)
                self.report(first, 1)
                assert await first.flush(10)
                gateway.stop()
                await watcher.seen(events.LinkLost)
                for number in (2, 3):
                    self.report(first, number)
                await first.close()
                await gateway.listen()
                second = self.client(port, watcher := Watcher(), tmp_path)
                second.start()
                self.report(second, 4)
                delivered = await watcher.seen(events.EarlierReportsDelivered)
                assert delivered == events.EarlierReportsDelivered(first.link.session, 4)
                await watcher.seen(events.LinkOpened)
                assert await second.flush(10)
                ours = [row[1:] for row in gateway.store.rows if row[0] == first.link.session]
                assert ours == [(1, {"n": 1}), (2, 1), (3, {"n": 2}), (4, 2), (5, {"n": 3}), (6, 3)]
                assert [row[1:] for row in gateway.store.rows[6:]] == [(1, {"n": 4}), (2, 4)]
                await second.close()
                assert not spool_files(tmp_path)

        on_loop(body)

    def test_what_a_killed_process_wrote_is_found(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with Listener() as gateway:
                first = self.client(9, Watcher(), tmp_path)
                first.start()
                self.report(first, 1)
                assert first._keeper is not None
                await first._keeper._write(2)
                left = {path: path.read_bytes() for path in spool_files(tmp_path)}
                await first.close()
                for path, content in left.items():
                    path.write_bytes(content)  # as it was when the process was killed
                second = self.client(gateway.port, watcher := Watcher(), tmp_path)
                second.start()
                await watcher.seen(events.LinkOpened)
                assert [row[1:] for row in gateway.store.rows] == [(1, {"n": 1}), (2, 1)]
                await second.close()

        on_loop(body)

    def test_a_link_that_works_writes_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with Listener() as gateway:
                client = self.client(gateway.port, watcher := Watcher(), tmp_path)
                client.start()
                await watcher.seen(events.LinkOpened)
                for number in range(20):
                    self.report(client, number)
                    assert await client.flush(10)
                assert not spool_files(tmp_path)
                await client.close()

        on_loop(body)

    def test_a_full_disk_stops_nothing_and_is_written_to_when_it_has_room(self, small_disk: Path) -> None:
        async def body() -> None:
            async with Listener() as gateway:
                port = gateway.port
                gateway.stop()
                client = self.client(port, watcher := Watcher(), small_disk)
                ballast = small_disk / "ballast"
                with contextlib.suppress(OSError):
                    ballast.write_bytes(b"x" * (2 << 20))
                client.start()
                await watcher.seen(events.LinkLost)
                keeper = client._keeper
                assert keeper is not None
                self.report(client, 1)
                await keeper._write(2)
                assert keeper.fault == "No space left on device"
                assert client.link.pending == 2
                ballast.unlink()
                await keeper._write(2)
                assert keeper.fault == ""
                assert spool_files(small_disk)
                await gateway.listen()
                await watcher.seen(events.LinkOpened)
                assert await client.flush(10)
                assert [row[1:] for row in gateway.store.rows] == [(1, {"n": 1}), (2, 1)]
                await client.close()

        on_loop(body)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount = shutil.which("mount", path="/bin:/usr/bin:/sbin")
    directory = tmp_path / "disk"
    directory.mkdir()
    words = ("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory))
    if mount is None or subprocess.run([mount, *words], capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


class TestWarning:
    @pytest.mark.parametrize("text", ["ws://gateway.example:8080", "ws://10.0.0.1:80"])
    def test_without_tls_there_is_one(self, text: str) -> None:
        warnings: list[str] = []

        async def body() -> None:
            client = LinkClient(
                url=parse_gateway_url(text),
                token=TOKEN,
                info=WorkerInfo(capacity=1),
                on_event=lambda _: None,
                on_warning=warnings.append,
            )
            client.start()
            await client.close()

        on_loop(body)
        assert len(warnings) == 1
        assert "without TLS" in warnings[0]
        assert TOKEN not in warnings[0]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a certificate for localhost, one for another host, and one that has expired."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=cmw test CA")
    for name, host, days in (
        ("good", "localhost", "1"),
        ("other", "other.example", "1"),
        ("expired", "localhost", "-1"),
    ):
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
        (folder / "san.cnf").write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", days),
            *("-extfile", "san.cnf", "-out", f"{name}.pem"),
        )
    _make_chains(folder, run, new_key)
    return folder


def _make_chains(folder: Path, run: Callable[..., None], new_key: tuple[str, ...]) -> None:
    """Make one certificate that vouches for itself, one of an authority nobody knows, and one with another between."""
    san = ("-addext", "subjectAltName=DNS:localhost")
    run("req", "-x509", *new_key, "-keyout", "self.key", "-out", "self.pem", "-days", "1", "-subj", "/CN=x", *san)
    run("req", "-x509", *new_key, "-keyout", "ca2.key", "-out", "ca2.pem", "-days", "2", "-subj", "/CN=another CA")
    (folder / "ca.cnf").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
    (folder / "san.cnf").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    for name, signer, extensions in (
        ("unknown", "ca2", "san.cnf"),
        ("between", "ca", "ca.cnf"),
        ("leaf", "between", "san.cnf"),
    ):
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed_by = ("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-CAcreateserial")
        run(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signed_by,
            "-days",
            "1",
            "-extfile",
            extensions,
            "-out",
            f"{name}.pem",
        )
    for name, parts in (("chain", ("leaf", "between")), ("disorder", ("leaf", "ca", "between"))):
        (folder / f"{name}.pem").write_text("".join((folder / f"{part}.pem").read_text() for part in parts))
        shutil.copy(folder / "leaf.key", folder / f"{name}.key")


def server_tls(certificates: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


class TestTls:
    @pytest.mark.parametrize("name", ["good", "chain", "disorder"])
    def test_a_certificate_of_the_ca_file_for_this_host_is_taken(self, certificates: Path, name: str) -> None:
        """In whatever order the chain comes. Source: RFC 8446 4.4.2."""

        async def body() -> None:
            async with Listener(tls=server_tls(certificates, name)) as gateway:
                watcher = Watcher()
                ca_file = str(certificates / "ca.pem")
                client = make_client(gateway.port, watcher, tls=True, host="localhost", ca_file=ca_file)
                client.start()
                await watcher.seen(events.LinkOpened)
                client.run(lambda link, now: link.report("event", None, {}, now=now))
                assert await client.flush(10)
                gateway.connections[0].transport.abort()
                await watcher.seen(events.LinkOpened, 2)
                await client.close()

        on_loop(body)

    @pytest.mark.parametrize(
        ("name", "with_ca", "expected"),
        [
            ("other", True, "Hostname mismatch"),
            ("expired", True, "expired"),
            ("good", False, "unable to get local issuer certificate"),
            ("self", True, "self-signed certificate"),
            ("unknown", True, "unable to get local issuer certificate"),
            ("leaf", True, "unable to get local issuer certificate"),
        ],
    )
    def test_others_are_refused_before_the_token_is_sent(
        self, certificates: Path, name: str, with_ca: bool, expected: str
    ) -> None:
        async def body() -> None:
            async with Listener(tls=server_tls(certificates, name)) as gateway:
                watcher = Watcher()
                ca_file = str(certificates / "ca.pem") if with_ca else None
                client = make_client(gateway.port, watcher, tls=True, host="localhost", ca_file=ca_file)
                client.start()
                lost = await watcher.seen(events.LinkLost)
                assert isinstance(lost, events.LinkLost)
                assert "TLS certificate refused" in lost.reason
                assert expected in lost.reason
                assert all(connection.server.request is None for connection in gateway.connections)
                await client.close()

        on_loop(body)

    def test_old_versions_are_not_spoken(self) -> None:
        assert tls_context().minimum_version == ssl.TLSVersion.TLSv1_2
        assert tls_context().check_hostname

    def test_a_ca_file_that_is_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="CLOUD_CA_FILE"):
            tls_context(str(tmp_path / "missing.pem"))


class UvicornGateway:
    """The gateway's role behind uvicorn, as an ASGI application."""

    def __init__(self) -> None:
        self.received: list[object] = []
        self.accept = True

    async def __call__(self, scope: dict[str, object], receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
        if scope["type"] != "websocket":
            return
        await receive()
        if not self.accept:
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"{}"})
            return
        await send({"type": "websocket.accept", "subprotocol": "cmw.link.v1"})
        now = time.monotonic_ns
        link = GatewayLink(wall=WallClock(now(), time.time_ns()), now=now())
        while link.close is None:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                link.receive_text(message["text"], now=now())
            else:
                link.receive_bytes(message["bytes"], now=now())
            await self._drain(link, send)
        await send({"type": "websocket.close", "code": link.close.code, "reason": link.close.reason})

    async def _drain(self, link: GatewayLink, send: Callable) -> None:  # type: ignore[type-arg]
        while (event := link.next_event()) is not None:
            if isinstance(event, events.HelloReceived):
                link.welcome(worker_id="w-1", name="lab", acknowledged=0, now=time.monotonic_ns())
            elif isinstance(event, events.ReportReceived | events.SamplesReceived):
                self.received.append(event)
                link.committed(event.seq, now=time.monotonic_ns())
        for frame in link.frames_to_send():
            await send({"type": "websocket.send", "text": frame})


def test_uvicorn_with_wsproto_as_the_server() -> None:
    uvicorn = pytest.importorskip("uvicorn")

    async def body() -> None:
        application = UvicornGateway()
        config = uvicorn.Config(application, host="127.0.0.1", port=0, ws="wsproto", http="h11", log_level="error")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110, uvicorn has no event to wait for
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        watcher = Watcher()
        client = make_client(port, watcher)
        client.start()
        await watcher.seen(events.LinkOpened)
        for second in range(30):
            client.run(lambda link, now, s=second: link.send_samples(make_batch(s, endpoints=2000), now=now))
        client.run(lambda link, now: link.report("run_done", "run-1", {}, now=now))
        assert await client.flush(10)
        assert [getattr(event, "seq", 0) for event in application.received] == list(range(1, 32))
        await client.close()
        application.accept = False
        refused = make_client(port, watcher)
        refused.start()
        event = await watcher.seen(events.LinkRefused)
        assert isinstance(event, events.LinkRefused)
        assert event.message == "authentication failed: worker disabled"
        await refused.close()
        server.should_exit = True
        await serving

    on_loop(body)
