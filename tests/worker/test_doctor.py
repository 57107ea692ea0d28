"""The doctor: each kind of trouble is found, graded, and has a remedy; what is well is said to be."""

from __future__ import annotations

import json
import os
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from cmw.cli import main as cli
from cmw.core.address import Address
from cmw.sip import Request, make_response, parse_message, serialize_message
from cmw.worker import doctor_machine
from cmw.worker.doctor import Wanted, examine
from cmw.worker.doctor_machine import limits_of_machine, look_at_machine
from cmw.worker.doctor_nat import look_at_nat
from cmw.worker.finding import Finding, Grade
from cmw.worker.settings import Addresses
from tests.support.certificates import Authority

pytestmark = pytest.mark.loopback

TOKEN = "cmw_" + "a1b2c3d4" * 8
MIB = 1 << 20


def addresses(ip: str, external: str = "") -> Addresses:
    return Addresses(ip, ip, ip, external or ip)


def by_check(findings: Iterator[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        assert bool(finding.remedy) is (finding.grade is not Grade.OK), finding
        found.setdefault(finding.check, []).append(finding)
    return found


@contextmanager
def gateway(ip: str, context: ssl.SSLContext | None = None, *, date: str | None = "now") -> Iterator[int]:
    """Answer one request for /health."""
    with socket.create_server((ip, 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                    stream.recv(4096)
                    line = f"Date: {formatdate(usegmt=True) if date == 'now' else date}\r\n" if date else ""
                    stream.sendall(f"HTTP/1.1 200 OK\r\n{line}Content-Length: 0\r\n\r\n".encode())
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.close()
        thread.join(10)


@pytest.fixture(autouse=True)
def quick_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "WAKES", 3)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, loopback_ip: Callable[[], str]) -> Callable[..., str]:
    """Return a function that sets what a worker needs, and returns its address."""

    def give(cloud_url: str, **more: str) -> str:
        ip = loopback_ip()
        for name, value in {"WORKER_TOKEN": TOKEN, "CLOUD_URL": cloud_url, "SIP_IP": ip, **more}.items():
            monkeypatch.setenv(name, value)
        return ip

    return give


def test_faults_of_the_settings_come_first_and_the_machine_is_looked_at_anyway() -> None:
    found = by_check(examine(Wanted()))
    assert [finding.found for finding in found["settings"]] == [
        "WORKER_TOKEN: not set, expected cmw_ followed by 64 hex characters, 68 characters in all",
        "CLOUD_URL: not set, expected host:port of the gateway (TLS), or ws://host:port in a lab",
    ]
    assert "machine" in found


def test_a_worker_that_would_start(settings: Callable[..., str], loopback_ip: Callable[[], str]) -> None:
    with gateway(ip := loopback_ip()) as port:
        settings(f"ws://{ip}:{port}")
        found = by_check(examine(Wanted(capacity=10)))
    for check in (
        "settings",
        "gateway name",
        "gateway reach",
        "clock",
        "addresses",
        "SIP ports",
        "RTP ports",
        "capacity",
    ):
        assert [finding.grade for finding in found[check]] == [Grade.OK], found[check]
    [tls] = found["gateway TLS"]
    assert (tls.grade, tls.found) == (Grade.WARN, "none: the token travels in clear")


def test_a_gateway_that_is_not_there(settings: Callable[..., str], loopback_ip: Callable[[], str]) -> None:
    settings(f"ws://{loopback_ip()}:9")
    [reach] = by_check(examine(Wanted()))["gateway reach"]
    assert reach.grade is Grade.FAIL
    assert "Connection refused" in reach.found


def test_a_name_that_nobody_has(settings: Callable[..., str]) -> None:
    settings("nowhere.invalid:443")
    [name] = by_check(examine(Wanted()))["gateway name"]
    assert name.grade is Grade.FAIL
    assert name.found.startswith("nowhere.invalid: ")


def test_a_certificate_of_an_authority_that_nobody_knows(
    settings: Callable[..., str], loopback_ip: Callable[[], str], tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Authority(tmp_path).issue(domains=["localhost"]))
    with gateway(ip := loopback_ip(), context) as port:
        settings(f"{ip}:{port}")
        found = by_check(examine(Wanted()))
    [tls] = found["gateway TLS"]
    assert tls.grade is Grade.FAIL
    assert "unable to get local issuer certificate" in tls.found
    assert "clock" not in found


def test_an_authority_that_the_settings_name(
    settings: Callable[..., str], loopback_ip: Callable[[], str], tmp_path: Path
) -> None:
    authority, ip = Authority(tmp_path), loopback_ip()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue(addresses=[ip]))
    with gateway(ip, context) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        found = by_check(examine(Wanted()))
    [tls] = found["gateway TLS"]
    assert tls.found.startswith("TLSv1.3, the certificate is trusted and ends in ")
    assert found["clock"][0].grade is Grade.OK


@pytest.mark.parametrize(
    ("answer", "reach"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", None),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy answered HTTP 407"),
        (b"", "the proxy closed the connection"),
    ],
)
def test_by_way_of_a_proxy(
    settings: Callable[..., str], loopback_ip: Callable[[], str], answer: bytes, reach: str | None
) -> None:
    asked: list[bytes] = []
    with socket.create_server((loopback_ip(), 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)
                if reach is None:
                    connection.recv(4096)
                    head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: 0\r\n\r\n"
                    connection.sendall(head.encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = listener.getsockname()
        settings("ws://gateway.example:8080", CLOUD_PROXY=f"http://bob:hidden@{host}:{port}")
        found = by_check(examine(Wanted()))
        thread.join(10)
    assert asked[0].startswith(b"CONNECT gateway.example:8080 HTTP/1.1\r\nHost: gateway.example:8080\r\n")
    assert b"Proxy-Authorization: Basic Ym9iOmhpZGRlbg==" in asked[0]
    assert found["proxy reach"][0].grade is Grade.OK
    assert "hidden" not in repr(found)
    if reach is None:
        assert found["clock"][0].grade is Grade.OK
    else:
        assert found["gateway reach"][0].found == f"by way of http://{host}:{port}: {reach}"


@pytest.mark.parametrize(
    ("date", "grade"),
    [("Mon, 01 Jan 2001 00:00:00 GMT", Grade.FAIL), (None, Grade.WARN), ("once upon a time", Grade.WARN)],
)
def test_a_clock_that_is_wrong(
    settings: Callable[..., str], loopback_ip: Callable[[], str], date: str | None, grade: Grade
) -> None:
    with gateway(ip := loopback_ip(), date=date) as port:
        settings(f"ws://{ip}:{port}")
        [clock] = by_check(examine(Wanted()))["clock"]
    assert clock.grade is grade


def test_ports_that_are_taken(settings: Callable[..., str]) -> None:
    ip = settings(
        "ws://127.0.0.1:9", SIP_PORT_START="5060", SIP_PORT_END="5060", RTP_PORT_MIN="10000", RTP_PORT_MAX="10003"
    )
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
    ):
        sip.bind((ip, 5060))
        rtp.bind((ip, 10001))
        found = by_check(examine(Wanted(capacity=50)))
    assert [(finding.grade, finding.found) for finding in found["SIP ports"]] == [
        (Grade.FAIL, f"{ip} 5060-5060: in use")
    ]
    [ports] = found["RTP ports"]
    assert (ports.grade, ports.found) == (Grade.WARN, f"2 pairs in 10000-10003 on {ip}, 1 of 2 tried are in use")
    [capacity] = found["capacity"]
    assert capacity.grade is Grade.FAIL
    assert "holds 2 pairs of ports" in capacity.found


def test_an_address_that_is_not_ours(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings("ws://127.0.0.1:9")
    monkeypatch.setenv("SIP_IP", "192.0.2.1")
    found = by_check(examine(Wanted()))
    assert "Cannot assign requested address" in found["SIP ports"][0].found
    assert "Cannot assign requested address" in found["RTP ports"][0].found


@contextmanager
def sip_server(ip: str, received: str | None) -> Iterator[Address]:
    """Answer one OPTIONS, as if it had come from another address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ip, 0))

        def serve() -> None:
            data, source = sock.recvfrom(65535)
            request = parse_message(data)
            assert isinstance(request, Request)
            answer = serialize_message(make_response(request, 200, "OK"))
            seen = f";received={received};rport=40000".encode() if received else f";rport={source[1]}".encode()
            sock.sendto(b"nonsense\r\n\r\n", source)
            sock.sendto(answer.replace(b";rport", seen, 1), source)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address(ip, sock.getsockname()[1])
        thread.join(10)


def test_nat_is_what_a_server_sees_of_us(loopback_ip: Callable[[], str]) -> None:
    ip, server = loopback_ip(), loopback_ip()
    with sip_server(server, None) as target:
        assert look_at_nat(target, addresses(ip)).grade is Grade.OK
    with sip_server(server, "203.0.113.10") as target:
        behind = look_at_nat(target, addresses(ip))
    assert behind.grade is Grade.WARN
    assert "sees 203.0.113.10 port 40000" in behind.found
    assert "EXTERNAL_IP=203.0.113.10 and SDP_IP=203.0.113.10" in behind.remedy
    with sip_server(server, "203.0.113.10") as target:
        assert look_at_nat(target, addresses(ip, external="203.0.113.10")).grade is Grade.OK
    assert look_at_nat(Address(server, 9), addresses(ip)).found.endswith("Connection refused")


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/memory.max": f"{512 * MIB}\n"}, 0.5, 512 * MIB),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, None, 8 * 1024 * MIB),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(256 * MIB),
            },
            0.25,
            256 * MIB,
        ),
    ],
)
def test_limits_of_a_container(tmp_path: Path, files: dict[str, str], cores: float | None, memory: int) -> None:
    root = write(tmp_path, {"proc/meminfo": "MemTotal:  8388608 kB\n", **files})
    found = limits_of_machine(root)
    assert found[1] == memory
    if cores is not None:
        assert found[0] == cores


def test_a_machine_is_held_against_what_is_wanted(tmp_path: Path) -> None:
    small = {"sys/fs/cgroup/cpu.max": "50000 100000", "sys/fs/cgroup/memory.max": str(256 * MIB)}
    governor = {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"}
    buffers = {"proc/sys/net/core/rmem_max": "212992\n"}
    found = by_check(look_at_machine(50, write(tmp_path, small | governor | buffers)))
    [machine] = found["machine"]
    assert (machine.grade, machine.found) == (
        Grade.WARN,
        "0.5 cores and 256 MiB of memory: below the smallest guideline",
    )
    assert "give it 2 cores and 1024 MiB" in machine.remedy
    assert found["CPU governor"][0].grade is Grade.WARN
    assert found["socket buffers"][0].found.startswith("at most 208 KiB")


@pytest.mark.parametrize(
    ("endpoints", "cores", "memory_mib"), [(25, 1, 512), (50, 2, 1024), (100, 2, 2048), (200, 4, 4096), (500, 8, 8192)]
)
def test_the_guidelines_are_those_of_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoints: int, cores: int, memory_mib: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    for memory, grade in ((memory_mib, Grade.OK), (memory_mib - 1, Grade.WARN)):
        root = write(tmp_path, {"sys/fs/cgroup/memory.max": str(memory * MIB), "proc/meminfo": "MemTotal: 16777216 kB"})
        [machine] = by_check(look_at_machine(endpoints, root))["machine"]
        assert machine.grade is grade
        assert (f"enough for {endpoints} audio endpoints" in machine.found) is (grade is Grade.OK)


def test_few_open_files_are_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 256))
    assert by_check(look_at_machine(None, tmp_path))["open files"][0].grade is Grade.FAIL


def test_the_command_prints_lines_and_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL  settings: WORKER_TOKEN: not set")
    assert lines[1].startswith("      set it as docs/configuration.md says")
    assert cli.run_command(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "FAIL"
    assert list(document["checks"][0]) == ["check", "status", "found", "remedy"]


@pytest.mark.parametrize("target", ["", "a b:1:2", "host:0", "host:70000"])
def test_a_target_that_is_none(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["doctor", "--to", target]) == 2
