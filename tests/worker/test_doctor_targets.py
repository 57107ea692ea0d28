"""The doctor goes the way to what will be called: its name, the address of ours that leads there, and what it sees."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cmw.net import route
from cmw.sip import Hop, Request, Transport, make_response, parse_message, parse_uri, serialize_message
from cmw.worker import doctor_nat, doctor_targets
from cmw.worker import settings as settings_module
from cmw.worker.doctor_nat import look_at_nat
from cmw.worker.doctor_targets import look_at_targets
from cmw.worker.finding import Grade
from cmw.worker.settings import Addresses, load_settings
from tests.support.certificates import Authority
from tests.support.doctor_desk import Findings, by_check, grades, tls_server

pytestmark = pytest.mark.loopback

GATEWAY = "ws://127.0.0.1:9"


def addresses(ip: str, external: str = "", sdp: str = "") -> Addresses:
    return Addresses(ip, ip, sdp or external or ip, external or ip)


@contextmanager
def server(ip: str, transport: Transport, received: str | None, context: ssl.SSLContext | None = None) -> Iterator[Hop]:
    """Answer one OPTIONS, as if it had come from another address, after something that is no answer."""
    kind = socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM

    def answer(data: bytes, port: int) -> bytes:
        request = parse_message(data)
        assert isinstance(request, Request)
        seen = f";received={received};rport=40000" if received else f";rport={port}"
        response = make_response(request, 200, "OK")
        response.body = b"v=0\r\n"
        return serialize_message(response).replace(b";rport", seen.encode(), 1)

    def serve() -> None:
        if kind is socket.SOCK_DGRAM:
            data, source = sock.recvfrom(65535)
            sock.sendto(b"nonsense\r\n\r\n", source)
            sock.sendto(answer(data, source[1]), source)
            return
        connection, source = sock.accept()
        with context.wrap_socket(connection, server_side=True) if context else connection as stream:
            told = answer(stream.recv(65535), source[1])
            for part in (b"\r\n", told[:40], told[40:-3], told[-3:]):
                stream.sendall(part)
            stream.recv(1)

    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((ip, 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Hop(ip, sock.getsockname()[1], transport)
        thread.join(10)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
def test_nat_is_what_a_server_sees_of_us(loopback_ip: Callable[[], str], tmp_path: Path, transport: Transport) -> None:
    ip, far = loopback_ip(), loopback_ip()
    context = tls_server(Authority(tmp_path).issue()) if transport is Transport.TLS else None
    with server(far, transport, None, context) as hop:
        assert look_at_nat(hop, addresses(ip)).grade is Grade.OK
    with server(far, transport, "203.0.113.10", context) as hop:
        behind = look_at_nat(hop, addresses(ip))
    assert behind.grade is Grade.WARN
    assert "sees 203.0.113.10 port 40000" in behind.found
    assert "EXTERNAL_IP=203.0.113.10 and SDP_IP=203.0.113.10" in behind.remedy
    with server(far, transport, "203.0.113.10", context) as hop:
        assert look_at_nat(hop, addresses(ip, external="203.0.113.10")).grade is Grade.OK
    refused = look_at_nat(Hop(far, 9, transport), addresses(ip))
    assert (refused.grade, refused.remedy) == (Grade.FAIL, f"see that SIP over {transport} reaches the target")
    assert refused.found.endswith("Connection refused")


@pytest.mark.parametrize("received", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_address_of_ipv6_however_it_is_written(loopback_ip: Callable[[], str], received: str) -> None:
    own = Addresses(loopback_ip(), "::1", "::1", "::1")
    with server(loopback_ip(), Transport.UDP, received) as hop:
        assert look_at_nat(hop, own).grade is Grade.OK


def test_media_would_go_to_the_private_address(loopback_ip: Callable[[], str]) -> None:
    ip = loopback_ip()
    with server(loopback_ip(), Transport.UDP, "203.0.113.10") as hop:
        found = look_at_nat(hop, addresses(ip, external="203.0.113.10", sdp=ip))
    assert found.grade is Grade.WARN
    assert found.found.endswith(f"but SDP shows {ip}")
    assert found.remedy.startswith("set SDP_IP=203.0.113.10")


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_server_that_keeps_silent(
    loopback_ip: Callable[[], str], monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setattr(doctor_nat, "PATIENCE_S", 0.02)
    ip = loopback_ip()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM) as sock:
        sock.bind((ip, 0))
        if transport is Transport.TCP:
            sock.listen()
        found = look_at_nat(Hop(ip, sock.getsockname()[1], transport), addresses(loopback_ip()))
    assert (found.grade, found.found.endswith("does not answer OPTIONS")) == (Grade.WARN, True)


def test_a_stream_of_something_else(loopback_ip: Callable[[], str]) -> None:
    with socket.create_server((loopback_ip(), 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP ready\r\n\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = look_at_nat(Hop(*listener.getsockname(), Transport.TCP), addresses(loopback_ip()))
        thread.join(10)
    assert found.grade is Grade.WARN


def test_websockets_come_back_on_their_own_connection(loopback_ip: Callable[[], str]) -> None:
    assert look_at_nat(Hop("192.0.2.1", 443, Transport.WSS), addresses(loopback_ip())).grade is Grade.OK


# Names and routes.


def looked(*targets: str) -> tuple[Findings, list[Addresses]]:
    chosen: list[Addresses] = []

    def look() -> Iterator[doctor_targets.Finding]:
        chosen.extend((yield from look_at_targets(load_settings(), [parse_uri(each) for each in targets])))

    return by_check(look()), chosen


def test_addresses_without_a_destination(settings: Callable[..., str]) -> None:
    ip = settings(GATEWAY, EXTERNAL_IP="203.0.113.10", SDP_IP="203.0.113.11")
    found, chosen = looked()
    [home] = found["addresses"]
    assert home.grade is Grade.OK
    assert home.found == (
        f"without a destination: SIP {ip}, media {ip}, in SDP 203.0.113.11, in Via and Contact 203.0.113.10"
    )
    assert chosen == [Addresses(ip, ip, "203.0.113.11", "203.0.113.10")]


def test_no_address_is_to_be_had(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings("nowhere.invalid:443")
    monkeypatch.delenv("SIP_IP")
    monkeypatch.setattr(settings_module, "default_address", lambda: None)
    found, chosen = looked()
    [home] = found["addresses"]
    assert (home.grade, home.remedy, chosen) == (Grade.FAIL, "set SIP_IP", [])
    assert home.found.startswith("SIP_IP: not set and not to be detected by the route to nowhere.invalid:443")
    settings("nowhere.invalid:443")  # what the remedy says
    assert looked()[0]["addresses"][0].grade is Grade.OK


def test_the_address_towards_each_destination(
    settings: Callable[..., str], loopback_ip: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(GATEWAY)
    monkeypatch.delenv("SIP_IP")
    with server(loopback_ip(), Transport.UDP, None) as one, server(loopback_ip(), Transport.TCP, None) as two:
        found, chosen = looked(f"sip:{one}", f"sip:{two}")
    assert grades(found, "addresses") == [Grade.OK] * 3
    assert grades(found, "NAT") == [Grade.OK] * 2
    assert {own.sip for own in chosen} == {"127.0.0.1"}
    assert f"for sip:{two.host}:{two.port};transport=tcp: SIP 127.0.0.1" in found["addresses"][2].found


def test_no_route_leads_there(settings: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings(GATEWAY)
    monkeypatch.delenv("SIP_IP")

    def connect(family: int, address: tuple[object, ...]) -> str:
        if address[0] == "192.0.2.1":
            raise OSError(101, "Network is unreachable")
        return "127.0.0.1"

    monkeypatch.setattr(route, "_connected_from", connect)
    found, _ = looked("sip:192.0.2.1")
    assert grades(found, "addresses") == [Grade.OK, Grade.FAIL]
    assert found["addresses"][1].found == "for sip:192.0.2.1: Network is unreachable"
    assert "NAT" not in found


def test_a_name_is_looked_up_as_a_worker_does(
    settings: Callable[..., str], loopback_ip: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(GATEWAY)
    with server(loopback_ip(), Transport.UDP, None) as hop:
        hosts = tmp_path / "hosts"
        hosts.write_text(f"{hop.host} pbx.example\n")
        real = doctor_targets.DnsClient
        monkeypatch.setattr(doctor_targets, "DnsClient", lambda: real((), hosts_file=str(hosts)))
        found, _ = looked(f"sip:pbx.example:{hop.port}", "sip:nowhere.invalid:5060")
    [known, unknown] = found["DNS"]
    assert (known.grade, known.found) == (Grade.OK, f"sip:pbx.example:{hop.port} leads to {hop.host}:{hop.port}")
    assert grades(found, "NAT") == [Grade.OK]
    assert (unknown.grade, unknown.remedy) == (Grade.FAIL, "mend the name, or its records in DNS")
