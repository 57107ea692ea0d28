"""The doctor goes the way to the gateway: each step is found well, doubtful or broken, with a remedy that helps."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from cmw.worker import doctor_gateway
from cmw.worker.doctor_gateway import look_at_gateway
from cmw.worker.finding import Finding, Grade
from cmw.worker.settings import load_settings
from tests.support.certificates import Authority
from tests.support.doctor_desk import Findings, by_check, gateway, grades, health_page, served, tls_server

pytestmark = pytest.mark.loopback


def looked() -> Findings:
    return by_check(look_at_gateway(load_settings()))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def secured(
    authority: Authority, settings: Callable[..., str], loopback_ip: Callable[[], str], **shape: int
) -> Finding:
    """Return what is told of the TLS of a gateway whose certificate has such a shape."""
    ip = loopback_ip()
    with gateway(ip, tls_server(authority.issue(addresses=[ip], **shape))) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        [tls] = looked()["gateway TLS"]
    return tls


def test_a_gateway_in_a_lab(settings: Callable[..., str], loopback_ip: Callable[[], str]) -> None:
    with gateway(ip := loopback_ip()) as port:
        settings(f"ws://{ip}:{port}")
        found = looked()
    for check in ("gateway name", "gateway reach", "gateway", "clock"):
        assert grades(found, check) == [Grade.OK]
    assert found["gateway"][0].found == "version 1.2.3"
    [tls] = found["gateway TLS"]
    assert (tls.grade, tls.found) == (Grade.WARN, "none: the token travels in clear")


def test_a_name_that_nobody_has(settings: Callable[..., str]) -> None:
    settings("nowhere.invalid:443")
    found = looked()
    [name] = found["gateway name"]
    assert (name.grade, list(found)) == (Grade.FAIL, ["gateway name"])
    assert name.found.startswith("nowhere.invalid: ")


def test_a_gateway_that_is_not_there(settings: Callable[..., str], loopback_ip: Callable[[], str]) -> None:
    settings(f"ws://{loopback_ip()}:9")
    [reach] = looked()["gateway reach"]
    assert reach.grade is Grade.FAIL
    assert "Connection refused" in reach.found


def test_one_of_its_addresses_does_not_answer(
    settings: Callable[..., str], loopback_ip: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, ip = loopback_ip(), loopback_ip()
    with gateway(ip) as port:
        settings(f"ws://gateway.example:{port}")
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in (silent, ip)]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *rest, **more: entries if "example" in host else resolve(host, *rest, **more),
        )
        found = looked()
    assert found["gateway name"][0].found.startswith(f"gateway.example is {silent}, {ip} (")
    assert grades(found, "gateway reach") == [Grade.WARN, Grade.OK]
    assert found["gateway reach"][0].found == f"{silent}:{port}: Connection refused"
    assert grades(found, "clock") == [Grade.OK]


resolve = socket.getaddrinfo


# TLS.


@pytest.mark.parametrize(("days", "grade"), [(40, Grade.OK), (15, Grade.OK), (14, Grade.WARN), (2, Grade.WARN)])
def test_a_certificate_about_to_end(
    settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority, days: int, grade: Grade
) -> None:
    tls = secured(authority, settings, loopback_ip, days=days)
    assert tls.grade is grade
    assert tls.found == f"TLSv1.3, the certificate is trusted and ends in {days - 1} days"  # and some hours
    assert tls.remedy == ("" if grade is Grade.OK else "renew the gateway's certificate")


@pytest.mark.parametrize(
    ("shape", "found", "remedy"),
    [
        ({"days": -1}, "certificate has expired", "renew the gateway's certificate"),
        ({"days": 10, "begins_in_days": 5}, "certificate is not yet valid", "set this machine's clock"),
    ],
)
def test_a_certificate_out_of_its_time(
    settings: Callable[..., str],
    loopback_ip: Callable[[], str],
    authority: Authority,
    shape: dict[str, int],
    found: str,
    remedy: str,
) -> None:
    tls = secured(authority, settings, loopback_ip, **shape)
    assert (tls.grade, tls.found) == (Grade.FAIL, found)
    assert tls.remedy.startswith(remedy)


def test_a_certificate_for_another_name(
    settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority
) -> None:
    with gateway(ip := loopback_ip(), tls_server(authority.issue(domains=["other.example"]))) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        [tls] = looked()["gateway TLS"]
    assert tls.grade is Grade.FAIL
    assert tls.remedy.startswith(f"have the gateway's certificate issued for {ip}")


def test_a_certificate_of_an_authority_that_nobody_knows(
    settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority
) -> None:
    with gateway(ip := loopback_ip(), tls_server(authority.issue(addresses=[ip]))) as port:
        settings(f"{ip}:{port}")
        found = looked()
    [tls] = found["gateway TLS"]
    assert (tls.grade, tls.found) == (Grade.FAIL, "unable to get local issuer certificate")
    assert "CLOUD_CA_FILE" in tls.remedy
    assert "clock" not in found
    with gateway(
        ip,
        tls_server(authority.issue(addresses=[ip])),
    ) as port:  # what the remedy says
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        assert looked()["gateway TLS"][0].grade is not Grade.FAIL


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_gateway_without_tls_where_it_is_expected(
    settings: Callable[..., str], loopback_ip: Callable[[], str], said: bytes
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    with served(ip := loopback_ip(), serve) as port:
        settings(f"{ip}:{port}")
        [tls] = looked()["gateway TLS"]
    assert tls.grade is Grade.FAIL
    assert "ws://host:port goes without" in tls.remedy


def test_an_authority_that_went_away_since_the_settings_were_read(
    settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority
) -> None:
    with gateway(ip := loopback_ip()) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        read = load_settings()
        Path(authority.file).unlink()
        [tls] = by_check(look_at_gateway(read))["gateway TLS"]
    assert tls.grade is Grade.FAIL
    assert tls.found.startswith(f"CLOUD_CA_FILE: found '{authority.file}'")


# Whether it is a gateway, and its clock.


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        (health_page(), Grade.OK),
        (health_page(body="<h1>It works!</h1>"), Grade.WARN),
        (health_page(body='{"status":"healthy","connected":true,"uptime":1}'), Grade.WARN),
        (health_page().replace(b"200 OK", b"404 Not Found"), Grade.WARN),
        (b"220 mail.example ESMTP\r\n", Grade.FAIL),
        (b"", Grade.FAIL),
    ],
    ids=["gateway", "web page", "worker", "404", "mail", "nothing"],  # not by what is said: it has the time
)
def test_what_answers_is_a_gateway_or_something_else(
    settings: Callable[..., str], loopback_ip: Callable[[], str], answer: bytes, grade: Grade
) -> None:
    with gateway(ip := loopback_ip(), answer=answer) as port:
        settings(f"ws://{ip}:{port}")
        found = looked()
    assert grades(found, "gateway") == [grade]
    assert ("clock" in found) is (grade is not Grade.FAIL)


def test_a_gateway_with_tls_where_none_is_expected(
    settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority
) -> None:
    ip = loopback_ip()
    with gateway(ip, tls_server(authority.issue(addresses=[ip]))) as port:
        settings(f"ws://{ip}:{port}")
        [finding] = looked()["gateway"]
        assert finding.grade is Grade.FAIL
        assert finding.remedy.endswith("leave ws:// out if it wants TLS")
    with gateway(ip, tls_server(authority.issue(addresses=[ip]))) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        assert grades(looked(), "gateway") == [Grade.OK]


def test_who_takes_the_request_and_says_nothing(
    settings: Callable[..., str], loopback_ip: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_gateway, "PATIENCE_S", 0.05)
    with served(ip := loopback_ip(), lambda connection: print(connection.recv(4096), connection.recv(4096))) as port:
        settings(f"ws://{ip}:{port}")
        [finding] = looked()["gateway"]
    assert (finding.grade, finding.found) == (Grade.FAIL, "no answer in HTTP: timed out")


@pytest.mark.parametrize(
    ("seconds", "grade"), [(0, Grade.OK), (10, Grade.WARN), (-10, Grade.WARN), (300, Grade.FAIL), (-300, Grade.FAIL)]
)
def test_a_clock_beside_the_gateways(
    settings: Callable[..., str], loopback_ip: Callable[[], str], seconds: int, grade: Grade
) -> None:
    with gateway(ip := loopback_ip(), answer=health_page(date=formatdate(time.time() + seconds, usegmt=True))) as port:
        settings(f"ws://{ip}:{port}")
        [clock] = looked()["clock"]
    assert clock.grade is grade
    if seconds:
        assert ("behind" in clock.found) is (seconds > 0)


@pytest.mark.parametrize("date", [None, "once upon a time"])
def test_a_gateway_without_a_clock(
    settings: Callable[..., str], loopback_ip: Callable[[], str], date: str | None
) -> None:
    with gateway(ip := loopback_ip(), answer=health_page(date=date)) as port:
        settings(f"ws://{ip}:{port}")
        assert grades(looked(), "clock") == [Grade.WARN]


# A proxy.


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

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(answer)
        if reach is None:
            connection.recv(4096)
            connection.sendall(health_page())

    with served(host := loopback_ip(), serve) as port:
        settings("ws://gateway.example:8080", CLOUD_PROXY=f"http://bob:hidden@{host}:{port}")
        found = looked()
    assert asked[0].startswith(b"CONNECT gateway.example:8080 HTTP/1.1\r\nHost: gateway.example:8080\r\n")
    assert b"Proxy-Authorization: Basic Ym9iOmhpZGRlbg==" in asked[0]
    assert grades(found, "proxy name") == grades(found, "proxy reach") == [Grade.OK]
    assert "hidden" not in repr(found)
    if reach is None:
        assert grades(found, "clock") == [Grade.OK]
    else:
        assert found["gateway reach"][0].found == f"by way of http://{host}:{port}: {reach}"


def test_by_tls_within_tls(settings: Callable[..., str], loopback_ip: Callable[[], str], authority: Authority) -> None:
    ip, host = loopback_ip(), loopback_ip()
    certificate = tls_server(authority.issue(addresses=[ip, host], days=30))
    with gateway(ip, certificate) as gateway_port:

        def serve(connection: socket.socket) -> None:
            with certificate.wrap_socket(connection, server_side=True) as near:
                near.recv(4096)
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with socket.create_connection((ip, gateway_port)) as far:
                    far.settimeout(0.05)
                    near.settimeout(0.05)
                    while pass_on(near, far) and pass_on(far, near):
                        pass

        with served(host, serve) as port:
            settings(f"{ip}:{gateway_port}", CLOUD_CA_FILE=authority.file, CLOUD_PROXY=f"https://{host}:{port}")
            found = looked()
    for check in ("proxy reach", "gateway TLS", "gateway", "clock"):
        assert grades(found, check) == [Grade.OK]


def pass_on(source: socket.socket, target: socket.socket) -> bool:
    """Pass on what has come; tell whether there may be more."""
    try:
        data = source.recv(65536)
    except TimeoutError:
        return True
    target.sendall(data)
    return bool(data)


@pytest.mark.parametrize("who", ["proxy name", "proxy reach"])
def test_a_proxy_that_is_not_there(settings: Callable[..., str], loopback_ip: Callable[[], str], who: str) -> None:
    host = "nowhere.invalid" if who == "proxy name" else loopback_ip()
    settings("gateway.example:443", CLOUD_PROXY=f"http://{host}:9")
    found = looked()
    assert grades(found, who) == [Grade.FAIL]
    assert "gateway TLS" not in found
