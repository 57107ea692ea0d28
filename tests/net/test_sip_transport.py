"""A user agent on connections: TCP, TLS, WebSocket; both ends, both ways, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cmw.core.clock import MILLISECOND, SECOND
from cmw.net.dns import DnsClient
from cmw.net.ids import RandomIds
from cmw.net.sip_flow import FlowEnd
from cmw.net.sip_flows import FlowSettings
from cmw.net.sip_liveness import FlowLimits
from cmw.net.sip_locator import SipLocator
from cmw.net.sip_tls import TlsSettings
from cmw.sip.events import CallAnswered, CallProceeding, CallRejected
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import Request, make_response, parse_message, serialize_message
from tests.support.certificates import Authority
from tests.support.dns_server import DnsServer
from tests.support.phone import ALL, IP, PATIENCE_S, TCP, TLS, UDP, WS, WSS, phone

Scene = Callable[[], Coroutine[Any, Any, None]]

pytestmark = pytest.mark.loopback


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    runner: Callable[[Coroutine[Any, Any, None]], None] = request.param
    return runner


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_tls(authority: Authority) -> TlsSettings:
    return TlsSettings(certificate=authority.issue(addresses=[IP], domains=["pbx.example"]))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> FlowSettings:
    return FlowSettings(tls=TlsSettings(ca_file=authority.file))


def limits(**keywords: Any) -> FlowSettings:
    return FlowSettings(limits=replace(FlowLimits(), **keywords))


async def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, tuple(address))
    return sock


async def receive(sock: socket.socket, enough: bytes = b"\r\n\r\n") -> bytes:
    """Read until something was seen, or the end."""
    loop = asyncio.get_running_loop()
    data = b""
    while enough not in data:
        piece = await asyncio.wait_for(loop.sock_recv(sock, 65536), PATIENCE_S)
        if not piece:
            break
        data += piece
    return data


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so that nothing tells of."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def is_cut(sock: socket.socket) -> bool:
    try:
        while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), PATIENCE_S):
            pass
    except ConnectionError:
        pass
    return True


def request(method: str = "OPTIONS", length: str = "Content-Length: 0\r\n", branch: str = "1") -> bytes:
    return (
        f"{method} sip:bob@{IP} SIP/2.0\r\nVia: SIP/2.0/TCP {IP};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@{IP}>;tag=1\r\nTo: <sip:bob@{IP}>\r\nCall-ID: {branch}@a\r\nCSeq: 1 {method}\r\n{length}\r\n"
    ).encode()


# Calls.


@pytest.mark.parametrize("transport", ALL)
def test_calls_both_ways(run: Any, transport: Transport, server_tls: TlsSettings, trusting: FlowSettings) -> None:
    async def scene() -> None:
        async with (
            phone(transport, server_tls=server_tls, settings=trusting) as one,
            phone(transport, server_tls=server_tls, settings=trusting) as two,
        ):
            for caller, callee in ((one, two), (two, one)):
                for _ in range(5):
                    caller.call(callee.uri(transport))
                for _ in range(5):
                    assert (await caller.outcome()).status == 200
            assert {source.transport for source in one.sources} == {transport}
            if transport is not UDP:
                # one connection each way carries all five calls, and answers come back over it
                assert [len(each.transport.flows) for each in (one, two)] == [2, 2]

    run(scene())


@pytest.mark.parametrize("transport", [WS, WSS])
def test_a_websocket_client_is_called_back_over_its_connection(
    run: Any, transport: Transport, server_tls: TlsSettings, trusting: FlowSettings
) -> None:
    async def scene() -> None:
        async with (
            phone(transport, server_tls=server_tls) as server,
            phone(UDP, settings=trusting) as client,
        ):
            client.call(server.uri(transport))
            assert (await client.outcome()).status == 200
            flow = server.sources[0]
            assert flow.flow > 0
            server.call(f"sip:alice@{flow.host}", flow)
            assert (await server.outcome()).status == 200
            assert len(client.transport.flows) == 1

    run(scene())


def test_a_request_goes_back_over_the_connection_of_the_other(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server, phone(TCP) as client:
            client.call(server.uri(TCP))
            await client.outcome()
            flow = server.sources[0]
            for hop in (flow, flow._replace(flow=0)):  # by its number, and by the address of its other end
                client.sources.clear()
                server.call(f"sip:alice@{IP}", hop)
                assert (await server.outcome()).status == 200
                assert client.sources[0] == Hop(*server.transport.local_of(TCP), TCP, flow=1)

    run(scene())


def test_endpoints_may_have_connections_of_their_own(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server, phone(UDP) as client:
            hop = Hop(*server.transport.local_of(TCP), TCP)
            for flow in (0, -1, -2, -1, 0):
                client.call(server.uri(TCP), hop._replace(flow=flow))
                assert (await client.outcome()).status == 200
            assert len(server.transport.flows) == 3
            assert {source.flow for source in server.sources} == {1, 2, 3}

    run(scene())


def test_200_connections_at_once(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server, phone(UDP) as client:
            hop = Hop(*server.transport.local_of(TCP), TCP)
            for number in range(200):
                client.call(server.uri(TCP), hop._replace(flow=-1 - number))
            statuses = [(await client.outcome()).status for _ in range(200)]
            assert statuses == [200] * 200
            assert len({source.flow for source in server.sources}) >= 200

    run(scene())


# Names.


def test_a_name_leads_to_the_next_server_when_one_is_down(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server:
            with socket.socket() as gone:
                gone.bind((IP, 0))
                down = gone.getsockname()[1]
            name_server = DnsServer(
                {
                    "example.com NAPTR": ['1 1 "s" "SIP+D2T" "" _sip._tcp.example.com.'],
                    "_sip._tcp.example.com SRV": [
                        f"1 1 {down} h.example.com.",
                        f"2 1 {server.transport.local_of(TCP).port} h.example.com.",
                    ],
                    "h.example.com A": [IP],
                }
            )
            dns = DnsClient([await name_server.start()], hosts_file="/nonexistent")
            async with phone(UDP, locate=SipLocator(dns, RandomIds())) as client:
                for _ in range(3):
                    client.call("sip:bob@example.com")
                    assert (await client.outcome()).status == 200
                client.call("sip:bob@other.example")
                event = await client.outcome()
                assert (event.is_response, event.reason) == (False, "host 'other.example' does not exist")
                assert name_server.asked.count("example.com NAPTR") == 1
            name_server.close()

    run(scene())


# Connections that fail.


def test_nobody_listens(run: Any) -> None:
    async def scene() -> None:
        async with phone(UDP) as client:
            with socket.socket() as gone:
                gone.bind((IP, 0))
                port = gone.getsockname()[1]
            client.call(f"sip:bob@{IP}:{port};transport=tcp")
            event = await client.until(CallRejected)
            assert (event.status, event.is_response, event.reason) == (503, False, "Connection refused")
            assert client.transport.flows.ends == {FlowEnd.CONNECT_FAILED: 1}

    run(scene())


def test_a_connection_that_is_never_made_has_a_limit(run: Any) -> None:
    async def scene() -> None:
        with socket.socket() as deaf:
            deaf.bind((IP, 0))
            deaf.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for sock in fillers:  # the backlog is full: no SYN is answered any more
                sock.setblocking(False)
                sock.connect_ex(deaf.getsockname())
            async with phone(UDP, settings=limits(connect_ns=50 * MILLISECOND)) as client:
                client.call(f"sip:bob@{IP}:{deaf.getsockname()[1]};transport=tcp")
                assert (await client.until(CallRejected)).reason == "connecting timed out"
            for sock in fillers:
                sock.close()

    run(scene())


@pytest.mark.parametrize("transport", [TLS, WS, WSS])
def test_a_handshake_that_is_never_made_has_a_limit(run: Any, transport: Transport) -> None:
    async def scene() -> None:
        with socket.socket() as deaf:
            deaf.bind((IP, 0))
            deaf.listen(5)
            async with phone(UDP, settings=limits(connect_ns=50 * MILLISECOND)) as client:
                client.call("sip:bob@x", Hop(IP, deaf.getsockname()[1], transport))
                assert (await client.until(CallRejected)).reason == "connecting timed out"

    run(scene())


def test_what_waits_for_a_connection_is_bounded(run: Any) -> None:
    async def scene() -> None:
        with socket.socket() as deaf:
            deaf.bind((IP, 0))
            deaf.listen(5)
            async with phone(UDP, settings=limits(waiting_bytes=3000)) as client:
                for _ in range(10):
                    client.call("sip:bob@x", Hop(IP, deaf.getsockname()[1], WS))
                assert (await client.until(CallRejected)).reason == "too much waits for the connection to be opened"

    run(scene())


@pytest.mark.parametrize("answer", [b"", b"SIP/2.0 100 Trying\r\nVia"])
def test_a_connection_that_is_cut_ends_its_calls(run: Any, answer: bytes) -> None:
    async def scene() -> None:
        with socket.socket() as listening:
            listening.bind((IP, 0))
            listening.listen(5)
            listening.setblocking(False)
            loop = asyncio.get_running_loop()
            async with phone(UDP) as client:
                client.call(f"sip:bob@{IP}:{listening.getsockname()[1]};transport=tcp")
                sock, _ = await loop.sock_accept(listening)
                assert (await receive(sock)).startswith(b"INVITE ")
                await loop.sock_sendall(sock, answer)
                sock.close()
                event = await client.until(CallRejected)
                assert (event.status, event.is_response) == (503, False)
                assert len(client.transport.flows) == 0

    run(scene())


def test_a_server_that_closes_after_each_response_and_answers_over_another_connection(run: Any) -> None:
    """It has the INVITE as soon as it has said so, and may connect to the Via for the rest. RFC 3261 18.2.2."""

    async def scene() -> None:
        with socket.socket() as listening:
            listening.bind((IP, 0))
            listening.listen(5)
            listening.setblocking(False)
            loop = asyncio.get_running_loop()
            async with phone(TCP) as client:
                client.call(f"sip:bob@{IP}:{listening.getsockname()[1]};transport=tcp")
                asking, _ = await loop.sock_accept(listening)
                invite = parse_message(await receive(asking))
                assert isinstance(invite, Request)
                ringing = make_response(invite, 180, to_tag="1")
                await loop.sock_sendall(asking, serialize_message(ringing))
                asking.close()
                await client.until(CallProceeding)
                await until(lambda: len(client.transport.flows) == 0)
                via = invite.top_via
                answering = await connect((via.host, via.port or 5060))
                answer = make_response(invite, 200, to_tag="1")
                answer.headers.add("Contact", f"<sip:bob@{IP}:{listening.getsockname()[1]};transport=tcp>")
                await loop.sock_sendall(answering, serialize_message(answer))
                await client.until(CallAnswered)
                acking, _ = await loop.sock_accept(listening)
                assert (await receive(acking)).startswith(b"ACK ")
                answering.close()
                acking.close()

    run(scene())


def test_a_call_over_a_connection_that_was_closed_opens_another(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server, phone(UDP) as client:
            for opened in (1, 2, 3):
                client.call(server.uri(TCP))
                assert (await client.outcome()).status == 200
                assert server.transport.flows.opened_total == opened
                client.transport.flows.end(opened)

    run(scene())


def test_a_flow_that_is_gone_is_told(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as client:
            client.call("sip:bob@x", Hop(IP, 5060, TCP, flow=77))
            assert (await client.until(CallRejected)).reason == "the connection is gone"

    run(scene())


def test_a_transport_that_is_not_carried_is_told(run: Any) -> None:
    async def scene() -> None:
        async with phone(UDP) as client:
            client.transport._carriers.pop(TCP)
            client.call("sip:bob@x", Hop(IP, 5060, TCP))
            assert (await client.until(CallRejected)).reason == "nothing here sends over TCP"

    run(scene())


# What others send.


def test_pieces_pings_and_several_messages(run: Any) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with phone(TCP) as server:
            sock = await connect(server.transport.local_of(TCP))
            await loop.sock_sendall(sock, b"\r\n\r\n")
            assert await receive(sock, b"\r\n") == b"\r\n"
            for at in range(0, len(request()), 50):
                await loop.sock_sendall(sock, request()[at : at + 50])
                await asyncio.sleep(0)
            await loop.sock_sendall(sock, request(branch="2") + request(branch="3"))
            data = b""
            while data.count(b"SIP/2.0 200") < 3:
                data += await receive(sock)
            assert {source.flow for source in server.sources} == {1}
            sock.close()

    run(scene())


def test_a_request_without_length_is_answered_and_the_connection_closed(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server:
            sock = await connect(server.transport.local_of(TCP))
            await asyncio.get_running_loop().sock_sendall(sock, request(length=""))
            assert (await receive(sock)).startswith(b"SIP/2.0 400 ")
            assert await is_cut(sock)
            assert server.transport.flows.ends == {FlowEnd.BROKEN_STREAM: 1}
            sock.close()

    run(scene())


@pytest.mark.parametrize("transport", [TCP, TLS, WS])
@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xff" * 90, b"\0" * 70000])
def test_garbage_ends_its_connection_only(
    run: Any, garbage: bytes, transport: Transport, server_tls: TlsSettings, trusting: FlowSettings
) -> None:
    async def scene() -> None:
        async with phone(transport, server_tls=server_tls) as server, phone(UDP, settings=trusting) as client:
            sock = await connect(server.transport.local_of(transport))
            await asyncio.get_running_loop().sock_sendall(sock, garbage)
            assert await is_cut(sock)
            sock.close()
            client.call(server.uri(transport))
            assert (await client.outcome()).status == 200

    run(scene())


def test_a_peer_that_does_not_read_is_cut(run: Any) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with phone(TCP, settings=limits(unsent_bytes=100_000)) as server:
            sock = await connect(server.transport.local_of(TCP))
            number = 0
            while not server.transport.flows.ends:
                number += 1
                with suppress(ConnectionError, TimeoutError):
                    await asyncio.wait_for(loop.sock_sendall(sock, request(branch=str(number)) * 50), 1)
            await until(lambda: bool(server.transport.flows.ends))
            assert server.transport.flows.ends == {FlowEnd.NOT_READING: 1}
            sock.close()

    run(scene())


def test_whoever_never_finishes_a_message_is_sent_away(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP, settings=limits(message_ns=30 * MILLISECOND)) as server:
            sock = await connect(server.transport.local_of(TCP))
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, request())
            assert (await receive(sock)).startswith(b"SIP/2.0 200 ")
            await loop.sock_sendall(sock, request()[:20])
            assert await is_cut(sock)
            assert server.transport.flows.ends == {FlowEnd.UNFINISHED: 1}
            sock.close()

    run(scene())


def test_whoever_says_nothing_is_sent_away(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP, settings=limits(first_message_ns=30 * MILLISECOND)) as server:
            sock = await connect(server.transport.local_of(TCP))
            await asyncio.get_running_loop().sock_sendall(sock, request()[:40])
            assert await is_cut(sock)
            assert server.transport.flows.ends == {FlowEnd.NO_FIRST_MESSAGE: 1}
            sock.close()

    run(scene())


@pytest.mark.parametrize(
    ("bounds", "end"),
    [
        ({"inbound": 2}, FlowEnd.TOO_MANY),
        ({"inbound_per_address": 2}, FlowEnd.TOO_MANY_FROM_ADDRESS),
    ],
)
def test_connections_of_others_are_bounded(run: Any, bounds: dict[str, int], end: FlowEnd) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with phone(TCP, settings=limits(**bounds)) as server:
            address = server.transport.local_of(TCP)
            kept = [await connect(address) for _ in range(2)]
            for sock in kept:
                await loop.sock_sendall(sock, request())
                assert (await receive(sock)).startswith(b"SIP/2.0 200 ")
            refused = await connect(address)
            assert await is_cut(refused)
            assert server.transport.flows.ends == {end: 1}
            kept.pop().close()
            await until(lambda: len(server.transport.flows) == 1)
            again = await connect(address)
            await loop.sock_sendall(again, request())
            assert (await receive(again)).startswith(b"SIP/2.0 200 ")
            for sock in (again, refused, *kept):
                sock.close()

    run(scene())


# Keep-alives.


@pytest.mark.parametrize("transport", [TCP, WS])
def test_pings_are_answered_and_keep_a_connection(run: Any, transport: Transport) -> None:
    async def scene() -> None:
        settings = limits(ping_ns=10 * MILLISECOND, pong_ns=5 * SECOND)
        async with phone(transport) as server, phone(UDP, settings=settings) as client:
            client.call(server.uri(transport))
            assert (await client.outcome()).status == 200
            flow = next(iter(client.transport.flows._by_number.values()))
            for _ in range(3):
                before = flow.liveness.heard_at
                await until(lambda before=before: flow.liveness.heard_at != before)  # type: ignore[misc]
            assert flow.liveness._must_pong
            assert not flow.is_ended

    run(scene())


def test_a_pong_that_stays_away_ends_the_connection(run: Any) -> None:
    async def scene() -> None:
        settings = limits(ping_ns=10 * MILLISECOND, pong_ns=10 * MILLISECOND, pong_required=True)
        with socket.socket() as listening:
            listening.bind((IP, 0))
            listening.listen(5)
            async with phone(UDP, settings=settings) as client:
                client.call(f"sip:bob@{IP}:{listening.getsockname()[1]};transport=tcp")
                event = await client.until(CallRejected)
                assert event.reason == "the peer does not answer keep-alives any more"

    run(scene())


# TLS and WebSocket handshakes that fail.


@pytest.mark.parametrize("transport", [TLS, WSS])
@pytest.mark.parametrize(
    ("issued", "name", "reason"),
    [
        ({"domains": ["other.example"]}, "pbx.example", "other.example|Hostname mismatch"),
        ({"domains": ["pbx.example"], "is_expired": True}, "pbx.example", "certificate has expired"),
        ({"domains": ["pbx.example"], "is_self_signed": True}, "pbx.example", "self-signed certificate"),
        ({"addresses": ["192.0.2.1"]}, "", "192.0.2.1|IP address mismatch"),
    ],
    ids=["wrong host", "expired", "self-signed", "wrong address"],
)
def test_certificates_that_are_refused(
    run: Any, authority: Authority, trusting: FlowSettings, transport: Transport, issued: Any, name: str, reason: str
) -> None:
    async def scene() -> None:
        tls = TlsSettings(certificate=authority.issue(**issued))
        async with phone(transport, server_tls=tls) as server, phone(UDP, settings=trusting) as client:
            client.call("sips:bob@pbx.example", Hop(*server.transport.local_of(transport), transport, name))
            found = (await client.until(CallRejected)).reason
            assert any(each in found for each in reason.split("|")), found
            assert client.transport.flows.ends == {FlowEnd.TLS_FAILED: 1}

    run(scene())


def test_an_authority_that_is_not_known(run: Any, tmp_path: Path, trusting: FlowSettings) -> None:
    async def scene() -> None:
        tls = TlsSettings(certificate=Authority(tmp_path, "stranger").issue(addresses=[IP]))
        async with phone(TLS, server_tls=tls) as server:
            async with phone(UDP, settings=trusting) as client:
                client.call(server.uri(TLS))
                reason = (await client.until(CallRejected)).reason
                assert reason == f"TLS certificate of {IP} refused: unable to get local issuer certificate"
            async with phone(UDP, settings=FlowSettings(tls=TlsSettings(is_verified=False))) as client:
                client.call(server.uri(TLS))
                assert (await client.outcome()).status == 200

    run(scene())


def test_a_client_certificate_is_shown(run: Any, authority: Authority, server_tls: TlsSettings) -> None:
    async def scene() -> None:
        asking = replace(server_tls, ca_file=authority.file, asks_client=True)
        shown = TlsSettings(ca_file=authority.file, certificate=authority.issue())
        async with phone(TLS, server_tls=asking) as server:
            async with phone(UDP, settings=FlowSettings(tls=shown)) as client:
                client.call(server.uri(TLS))
                assert (await client.outcome()).status == 200
            async with phone(UDP, settings=FlowSettings(tls=TlsSettings(ca_file=authority.file))) as client:
                client.call(server.uri(TLS))
                assert (await client.outcome()).status == 503

    run(scene())


@pytest.mark.parametrize("to", [TCP, UDP])
def test_tls_to_a_port_that_speaks_none(run: Any, to: Transport) -> None:
    async def scene() -> None:
        async with phone(UDP, TCP) as server, phone(UDP) as client:
            client.call("sips:bob@x", Hop(*server.transport.local_of(to), TLS))
            assert (await client.until(CallRejected)).status == 503

    run(scene())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "expected HTTP 101, found 403"),
        (b"SIP/2.0 400 Bad Request\r\n\r\n", "not WebSocket"),
        (b"", "not WebSocket: the connection ended before the upgrade"),
    ],
)
def test_a_server_that_refuses_websockets(run: Any, answer: bytes, reason: str) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listening:
            listening.bind((IP, 0))
            listening.listen(5)
            listening.setblocking(False)
            async with phone(UDP) as client:
                client.call("sip:bob@x", Hop(IP, listening.getsockname()[1], WS, "pbx.example"))
                sock, _ = await loop.sock_accept(listening)
                asked = await receive(sock)
                assert asked.startswith(b"GET / HTTP/1.1\r\n")
                assert b"Host: pbx.example:" in asked
                assert b"Sec-WebSocket-Protocol: sip\r\n" in asked
                await loop.sock_sendall(sock, answer)
                sock.close()
                assert reason in (await client.until(CallRejected)).reason

    run(scene())


def test_a_client_without_the_subprotocol_is_refused(run: Any) -> None:
    async def scene() -> None:
        async with phone(WS) as server:
            sock = await connect(server.transport.local_of(WS))
            await asyncio.get_running_loop().sock_sendall(
                sock,
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            assert (await receive(sock)).startswith(b"HTTP/1.1 400 ")
            assert await is_cut(sock)
            sock.close()

    run(scene())


def test_messages_of_a_stream_can_be_parsed(run: Any) -> None:
    async def scene() -> None:
        async with phone(TCP) as server:
            sock = await connect(server.transport.local_of(TCP))
            await asyncio.get_running_loop().sock_sendall(sock, request())
            assert parse_message(await receive(sock)).top_via.transport == "TCP"
            sock.close()

    run(scene())
