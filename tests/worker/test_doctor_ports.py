"""The doctor tries the ports of a worker: free, taken, forbidden, not ours, and too few."""

from __future__ import annotations

import errno
import http.server
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from cmw.core.address import PortRange
from cmw.worker import doctor_ports
from cmw.worker.doctor_ports import look_at_ports
from cmw.worker.finding import Finding, Grade
from cmw.worker.settings import load_settings
from tests.support.doctor_desk import by_check

pytestmark = pytest.mark.loopback

GATEWAY = "ws://127.0.0.1:9"


def looked(check: str, capacity: int | None = None) -> Finding:
    settings = load_settings()
    [finding] = by_check(look_at_ports(settings, [settings.addresses()], capacity))[check]
    return finding


@contextmanager
def held(ip: str, *ports: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> Iterator[None]:
    """Have another program hold ports."""
    with ExitStack() as sockets:
        for port in ports:
            sock = sockets.enter_context(socket.socket(socket.AF_INET, kind))
            sock.bind((ip, port))
            if kind is socket.SOCK_STREAM:
                sock.listen()
        yield


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# SIP and RTP.


def test_sip_ports(settings: Callable[..., str]) -> None:
    ip = settings(GATEWAY, SIP_PORT_START="5060", SIP_PORT_END="5061")
    finding = looked("SIP ports")
    assert (finding.grade, finding.found) == (Grade.OK, f"2 of 2 in 5060-5061 are free on {ip}, the first is 5060")
    with held(ip, 5060, kind=socket.SOCK_STREAM):  # a worker needs UDP and TCP of one number
        finding = looked("SIP ports")
        assert (finding.grade, finding.found) == (Grade.OK, f"1 of 2 in 5060-5061 are free on {ip}, the first is 5061")
        with held(ip, 5061):
            finding = looked("SIP ports")
    assert (finding.grade, finding.found) == (Grade.FAIL, f"{ip} 5060-5061: in use")
    assert finding.remedy == "choose SIP_PORT_START and SIP_PORT_END apart from other programs"


@pytest.mark.parametrize(
    ("taken", "capacity", "grade"),
    [
        ((), None, Grade.OK),
        ((10001,), 30, Grade.OK),  # 1 of 40, and there are enough
        (range(10000, 10010), 30, Grade.WARN),  # 5 of 40
        (range(10000, 10010), 36, Grade.FAIL),  # 35 are left
        (range(10000, 10079, 2), None, Grade.FAIL),
    ],
)
def test_rtp_ports(settings: Callable[..., str], taken: tuple[int, ...], capacity: int | None, grade: Grade) -> None:
    ip = settings(GATEWAY, RTP_PORT_MIN="10000", RTP_PORT_MAX="10079")
    with held(ip, *taken):
        finding = looked("RTP ports", capacity)
    pairs = len({port // 2 for port in taken})
    assert finding.grade is grade
    assert finding.found.startswith(f"40 pairs in 10000-10079 on {ip}, {pairs} of 40 tried are in use")
    assert finding.remedy == (
        "" if grade is Grade.OK else "choose RTP_PORT_MIN and RTP_PORT_MAX apart from other programs"
    )


def test_an_address_that_is_not_ours(settings: Callable[..., str]) -> None:
    settings(GATEWAY, SIP_IP="192.0.2.1", RTP_PORT_MIN="10000", RTP_PORT_MAX="10003")
    sip, rtp = looked("SIP ports"), looked("RTP ports")
    assert (sip.grade, rtp.grade) == (Grade.FAIL, Grade.FAIL)
    assert sip.found == "192.0.2.1 5060-5080: refused: Cannot assign requested address"
    assert "refused: Cannot assign requested address" in rtp.found
    assert sip.remedy == "bind what `ip address` shows by SIP_IP; show peers the other by EXTERNAL_IP"
    assert rtp.remedy == "bind what `ip address` shows by MEDIA_IP or SIP_IP; show peers the other by SDP_IP"
    settings(GATEWAY, EXTERNAL_IP="192.0.2.1", SDP_IP="192.0.2.1", RTP_PORT_MIN="10000", RTP_PORT_MAX="10003")
    assert (looked("SIP ports").grade, looked("RTP ports").grade) == (Grade.OK, Grade.OK)


def test_ports_that_are_not_allowed(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings(GATEWAY, SIP_PORT_START="506", SIP_PORT_END="508")
    monkeypatch.setattr(doctor_ports, "_fault", lambda ip, port, kind: errno.EACCES if port < 1024 else None)
    sip = looked("SIP ports")
    assert sip.found.endswith("506-508: refused: Permission denied")
    assert sip.remedy == "choose SIP_PORT_START and SIP_PORT_END apart from other programs, and from 1024 on"


def test_ports_of_ipv6(settings: Callable[..., str]) -> None:
    settings(GATEWAY, SIP_IP="::1", RTP_PORT_MIN="10000", RTP_PORT_MAX="10003")
    assert looked("SIP ports").found.endswith("are free on ::1, the first is 5060")


# The health port.


@contextmanager
def page(body: str) -> Iterator[int]:
    """Serve one page over HTTP, whatever is asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


def test_a_health_port_that_is_free(settings: Callable[..., str]) -> None:
    port = free_port()
    settings(GATEWAY, HEALTH_PORT=str(port))
    finding = looked("health port")
    assert (finding.grade, finding.found) == (Grade.OK, f"{port} is free")


@pytest.mark.parametrize(
    ("body", "grade", "words"),
    [
        (json.dumps({"status": "healthy", "connected": True, "uptime": 1}), Grade.WARN, "a worker answers there"),
        (json.dumps({"status": "healthy", "version": "1"}), Grade.FAIL, "in use by a program that is no worker"),
        ("It works!", Grade.FAIL, "in use by a program that is no worker"),
    ],
)
def test_a_health_port_that_answers(settings: Callable[..., str], body: str, grade: Grade, words: str) -> None:
    with page(body) as port:
        settings(GATEWAY, HEALTH_PORT=str(port))
        finding = looked("health port")
    assert (finding.grade, finding.found) == (grade, f"{port}: {words}")


def test_a_health_port_that_says_nothing(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_ports, "PATIENCE_S", 0.05)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        settings(GATEWAY, HEALTH_PORT=str(listener.getsockname()[1]))
        assert looked("health port").grade is Grade.FAIL


def test_a_health_port_that_is_not_allowed(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str | None, port: int) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(doctor_ports, "listen_on", refuse)
    settings(GATEWAY, HEALTH_PORT="80")
    finding = looked("health port")
    assert (finding.grade, finding.found) == (Grade.FAIL, "80: Permission denied")
    assert finding.remedy == "set HEALTH_PORT to 1024 or above"


# How many endpoints.


@pytest.mark.parametrize(
    ("pairs", "wanted", "grade"),
    [(25, None, Grade.OK), (25, 25, Grade.OK), (24, None, Grade.WARN), (24, 10, Grade.WARN), (25, 26, Grade.FAIL)],
)
def test_capacity_by_ports(settings: Callable[..., str], pairs: int, wanted: int | None, grade: Grade) -> None:
    ports = PortRange(10000, 10000 + 2 * pairs - 1)
    settings(GATEWAY, RTP_PORT_MIN=str(ports.first), RTP_PORT_MAX=str(ports.last))
    finding = looked("capacity", wanted)
    assert finding.grade is grade
    assert finding.found.startswith(f"{pairs} endpoints at once: RTP_PORT_MIN to RTP_PORT_MAX, {ports}, holds")


@pytest.mark.parametrize(
    ("files", "wanted", "grade"),
    [(1100, 500, Grade.OK), (140, None, Grade.WARN), (140, 21, Grade.FAIL), (90, None, Grade.FAIL)],
)
def test_capacity_by_open_files(
    settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch, files: int, wanted: int | None, grade: Grade
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (files, files))
    settings(GATEWAY)
    finding = looked("capacity", wanted)
    assert finding.grade is grade
    assert f"the limit of open files, {files}" in finding.found
