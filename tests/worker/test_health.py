"""The health page: the page's body, and bounds on whatever a client may do."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

import pytest

from cmw.errors import SettingsError
from cmw.worker.health import (
    CONNECTIONS,
    HEAD_BYTES,
    REQUESTS_PER_CONNECTION,
    HealthConversation,
    HealthServer,
    HealthState,
    Page,
    health_body,
)

HEALTHY = HealthState(healthy=True, connected=True, uptime_s=3600.9)
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def conversation(state: HealthState = HEALTHY) -> HealthConversation:
    return HealthConversation(lambda: state)


def ask(*chunks: bytes, state: HealthState = HEALTHY) -> tuple[bytes, bool]:
    talk = conversation(state)
    for chunk in chunks:
        talk.receive_data(chunk)
    return talk.data_to_send(), talk.close_expected()


def test_the_body_is_the_page_s() -> None:
    assert json.loads(health_body(HEALTHY)) == {"status": "healthy", "connected": True, "uptime": 3600}
    assert list(json.loads(health_body(HEALTHY))) == ["status", "connected", "uptime"]


@pytest.mark.parametrize("cut", [1, 7, len(GET), 1000])
def test_get_health_answers_200_however_the_request_is_cut(cut: int) -> None:
    answer, close = ask(*(GET[start : start + cut] for start in range(0, len(GET), cut)))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/json" in head
    assert body.decode() == health_body(HEALTHY)
    assert not close


def test_unhealthy_answers_503_with_the_reason() -> None:
    state = HealthState(healthy=False, connected=False, uptime_s=5, reason="authentication failed: invalid token")
    answer, _ = ask(GET, state=state)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "status": "unhealthy",
        "connected": False,
        "uptime": 5,
        "reason": "authentication failed: invalid token",
    }


def test_live_and_ready() -> None:
    draining = HealthState(healthy=True, connected=True, uptime_s=5, unready="draining: no new runs are taken")
    assert ask(GET.replace(b"/health", b"/live"), state=draining)[0].startswith(b"HTTP/1.1 200 OK")
    answer, _ = ask(GET.replace(b"/health", b"/ready"), state=draining)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert answer.endswith(b"\r\n\r\ndraining: no new runs are taken\n")
    assert ask(GET.replace(b"/health", b"/ready"))[0].endswith(b"\r\n\r\nready\n")


def test_metrics_are_a_page_where_there_are_any() -> None:
    request = GET.replace(b"/health", b"/metrics")
    assert ask(request)[0].startswith(b"HTTP/1.1 404 Not Found")
    talk = HealthConversation(lambda: HEALTHY, lambda: Page(HTTPStatus.OK, "text/plain", b"cmw_up 1\n"))
    talk.receive_data(request)
    answer = talk.data_to_send()
    assert b"Content-Type: text/plain\r\nContent-Length: 9\r\n" in answer
    assert answer.endswith(b"cmw_up 1\n")


def test_a_query_is_ignored_and_http_1_0_closes() -> None:
    answer, close = ask(b"GET /health?x=1 HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert close


def test_head_has_the_length_and_no_body() -> None:
    answer, close = ask(GET.replace(b"GET", b"HEAD"))
    assert answer.endswith(b"\r\n\r\n")
    assert f"Content-Length: {len(health_body(HEALTHY))}".encode() in answer
    assert not close


@pytest.mark.parametrize(
    ("request_bytes", "status", "close"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"404 Not Found", False),
        (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405 Method Not Allowed", False),
        (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nabc", b"405 Method Not Allowed", True),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400 Bad Request", True),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400 Bad Request", True),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400 Bad Request", True),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * HEAD_BYTES, b"431 Request Header Fields Too Large", True),
        (GET[:-2] + b"X: " + b"y" * 2 * HEAD_BYTES + b"\r\n\r\n", b"431 Request Header Fields Too Large", True),
        (GET[:-2] + b"X: y\r\n" * HEAD_BYTES + b"\r\n", b"431 Request Header Fields Too Large", True),
    ],
)
def test_what_is_refused(request_bytes: bytes, status: bytes, close: bool) -> None:
    answer, closed = ask(request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert closed is close


@pytest.mark.parametrize("target", [b"http://localhost:3030/health", b"HTTP://x/health?all", b"http://[::1]/health"])
def test_a_target_may_be_a_whole_url(target: bytes) -> None:
    """A server must take it. Source: RFC 9112 3.2.2."""
    answer, _ = ask(GET.replace(b"/health", target))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_turn_up_to_a_bound() -> None:
    answer, close = ask(GET * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert not close
    answer, close = ask(GET * (REQUESTS_PER_CONNECTION + 50))
    assert answer.count(b"HTTP/1.1 200 OK") == REQUESTS_PER_CONNECTION
    assert close


def test_nothing_is_said_after_closing() -> None:
    talk = conversation()
    talk.receive_data(b"nonsense\r\n\r\n")
    talk.data_to_send()
    talk.receive_data(GET)
    assert talk.data_to_send() == b""


def test_a_slow_request_is_told_so_and_an_idle_connection_just_closed() -> None:
    slow = conversation()
    slow.receive_data(GET[:10])
    slow.receive_timeout()
    assert slow.data_to_send().startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert slow.close_expected()
    idle = conversation()
    idle.receive_timeout()
    assert idle.data_to_send() == b""
    assert idle.close_expected()


@pytest.mark.loopback
def test_served_on_a_socket_and_a_taken_port_is_named() -> None:
    async def scenario() -> tuple[bytes, str]:
        server = HealthServer(0, lambda: HEALTHY, host="127.0.0.1")
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = await reader.read()
        writer.close()
        second = HealthServer(server.port, lambda: HEALTHY, host="127.0.0.1")
        with pytest.raises(SettingsError) as raised:
            await second.start()
        await server.close()
        return answer, str(raised.value)

    answer, fault = asyncio.run(scenario())
    assert answer.endswith(health_body(HEALTHY).encode())
    assert fault.startswith("HEALTH_PORT: found ")
    assert fault.endswith("which another program has taken, expected a free TCP port")


@pytest.mark.loopback
def test_idle_connections_cannot_keep_a_probe_out() -> None:
    async def scenario() -> bytes:
        server = HealthServer(0, lambda: HEALTHY, host="127.0.0.1")
        await server.start()
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS + 5)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000))
        answer = await reader.read()
        for _, other in [*idle, (reader, writer)]:
            other.close()
        await server.close()
        return answer

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
