"""The way to the gateway, step by step: name, connection, proxy, TLS, whether it is one, and its clock."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import h11
import ujson

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.link.url import ProxyUrl, parse_proxy_url
from cmw.net.link_client import tls_context
from cmw.net.link_proxy import tunnel_headers
from cmw.net.tls_stream import Stream, TlsStream
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.settings import WorkerSettings

PATIENCE_S = 5.0
"""For each step of the way."""

HEAD_BYTES = 8192
"""Of an answer of the proxy."""

ANSWER_BYTES = 65536
"""Of an answer of the gateway."""

DAYS_OF_WARNING = 14
"""A certificate that ends sooner is told."""

CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 60.0

_NOT_YET_VALID, _EXPIRED = 9, 10
_NAME_MISMATCHES = (62, 64)
"""What OpenSSL calls X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def look_at_gateway(settings: WorkerSettings) -> Iterator[Finding]:
    """Go the way to the gateway; by the proxy, where there is one."""
    proxy = parse_proxy_url(settings.cloud_proxy.get_secret_value()) if settings.cloud_proxy is not None else None
    who, variable = ("proxy", "CLOUD_PROXY") if proxy is not None else ("gateway", "CLOUD_URL")
    host, port = proxy.address if proxy is not None else settings.gateway.address
    began = time.monotonic()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield fail(f"{who} name", f"{host}: {error.strerror or error}", f"mend the name in {variable}, or DNS")
        return
    ips = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    yield ok(f"{who} name", f"{host} is {', '.join(ips)} ({_since(began)})")
    findings, connection = _reach(who, ips, port)
    yield from findings
    if connection is not None:
        with ExitStack() as opened:
            opened.enter_context(connection)
            try:
                way = connection if proxy is None else _through(proxy, connection, settings)
            except (OSError, ValueError, SettingsError) as error:
                remedy = "ask who runs the proxy to let us out"
                yield fail("gateway reach", f"by way of {proxy}: {_reason(error)}", remedy)
                return
            yield from _talk_to_gateway(settings, way)


def _reach(who: str, ips: Sequence[str], port: int) -> tuple[list[Finding], socket.socket | None]:
    """Connect to the first address that answers, as the worker does; one that does not is no failure then."""
    silent: list[tuple[str, str]] = []
    findings: list[Finding] = []
    connection = None
    for ip in ips:
        began = time.monotonic()
        try:
            connection = socket.create_connection((ip, port), PATIENCE_S)
        except OSError as error:
            silent.append((str(Address(ip, port)), error.strerror or str(error)))
            continue
        findings.append(ok(f"{who} reach", f"{Address(ip, port)} answers ({_since(began)})"))
        break
    remedy = f"let TCP to port {port} out through the firewall; see that the {who} runs"
    if connection is not None:
        remedy = f"have the name lead to addresses alone at which the {who} answers; until then each is tried in turn"
    grade = fail if connection is None else warn
    return [grade(f"{who} reach", f"{address}: {why}", remedy) for address, why in silent] + findings, connection


def _through(proxy: ProxyUrl, connection: socket.socket, settings: WorkerSettings) -> Stream:
    """Return a connection to the gateway through a proxy. Source: RFC 9110 9.3.6."""
    way: Stream = connection
    if proxy.tls:
        way = TlsStream(connection, tls_context(settings.cloud_ca_file), proxy.address.host)
    target = str(settings.gateway.address)
    headers = "".join(f"{name}: {value}\r\n" for name, value in tunnel_headers(proxy, target))
    way.sendall(f"CONNECT {target} HTTP/1.1\r\n{headers}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < HEAD_BYTES:
        data = way.recv(1)  # no byte more: what follows is the gateway's
        if not data:
            raise OSError("the proxy closed the connection")
        answer += data
    status = answer.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(status) < 2 or not status[1].startswith("2"):
        raise OSError(f"the proxy answered HTTP {status[1] if len(status) > 1 else '?'}")
    return way


def _talk_to_gateway(settings: WorkerSettings, way: Stream) -> Iterator[Finding]:
    address = settings.gateway.address
    if not settings.gateway.tls:
        yield warn("gateway TLS", "none: the token travels in clear", "use host:port with TLS outside of a lab")
        yield from _look_at_answer(address, way, tls=False)
        return
    try:
        secured = TlsStream(way, tls_context(settings.cloud_ca_file), address.host)
    except (OSError, ValueError, SettingsError) as error:
        yield fail("gateway TLS", _reason(error), _tls_remedy(error, address.host))
        return
    yield _certificate(secured)
    yield from _look_at_answer(address, secured, tls=True)


def _tls_remedy(error: Exception, host: str) -> str:
    if isinstance(error, SettingsError):
        return "name a PEM file by CLOUD_CA_FILE, or unset it"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "see that a gateway with TLS is behind CLOUD_URL; ws://host:port goes without, for a lab"
    if error.verify_code == _EXPIRED:
        return "renew the gateway's certificate; set this machine's clock, if it is that which is wrong"
    if error.verify_code == _NOT_YET_VALID:
        return "set this machine's clock: run chrony or systemd-timesyncd"
    if error.verify_code in _NAME_MISMATCHES:
        return f"have the gateway's certificate issued for {host}, or name the gateway in CLOUD_URL as it does"
    return "name the gateway's certificate authority by CLOUD_CA_FILE, or install it on this machine"


def _certificate(connection: TlsStream) -> Finding:
    ends = ssl.cert_time_to_seconds(str(connection.certificate["notAfter"]))
    days = int((ends - time.time()) // 86400)
    found = f"{connection.version}, the certificate is trusted and ends in {days} days"
    if days < DAYS_OF_WARNING:
        return warn("gateway TLS", found, "renew the gateway's certificate")
    return ok("gateway TLS", found)


class _Answer(NamedTuple):
    """What the other side answered to a request for its health, and when by our clock."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    at: float


def _look_at_answer(address: Address, way: Stream, *, tls: bool) -> Iterator[Finding]:
    """Tell whether it is a gateway, and compare the clocks."""
    remedy = "see that a gateway is behind CLOUD_URL, and no other server"
    try:
        answer = _ask_for_health(address, way)
    except OSError as error:
        secure = "" if tls else "; leave ws:// out if it wants TLS"
        yield fail("gateway", f"no answer in HTTP: {_reason(error)}", f"{remedy}{secure}")
        return
    except h11.RemoteProtocolError:
        yield fail("gateway", "what it answers is no HTTP", remedy)
        return
    version = _version_told(answer)
    if version is None:
        yield warn("gateway", f"its /health, HTTP {answer.status}, is not that of a gateway of cmw", remedy)
    else:
        yield ok("gateway", f"version {version}")
    yield _clock(answer)


def _ask_for_health(address: Address, way: Stream) -> _Answer:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_BYTES)
    headers = [("Host", str(address)), ("Connection", "close")]
    began = time.time()
    way.sendall(http.send(h11.Request(method="GET", target="/health", headers=headers)) or b"")
    way.sendall(http.send(h11.EndOfMessage()) or b"")
    head, at, body = None, began, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            data = way.recv(4096)
            if not data and head is None:
                raise ConnectionError("it closed the connection")
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            head, at = event, (began + time.time()) / 2
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        if head is not None and (isinstance(event, h11.EndOfMessage) or len(body) > ANSWER_BYTES):
            return _Answer(head.status_code, dict(head.headers), body, at)


def _version_told(answer: _Answer) -> str | None:
    """Return the version that a gateway's page of health tells, None when it is another page."""
    try:
        page: Any = ujson.loads(answer.body)
    except ValueError:
        return None
    version = page.get("version") if answer.status == 200 and isinstance(page, dict) else None
    return version if isinstance(version, str) and version.isprintable() and len(version) < 100 else None


def _clock(answer: _Answer) -> Finding:
    """Compare the clocks by the Date of an answer: it has whole seconds, so half of one is nothing."""
    try:
        theirs = parsedate_to_datetime(answer.headers[b"date"].decode("latin-1")).astimezone(UTC)
    except (KeyError, ValueError):
        return warn("clock", "the gateway tells no date", "see that a gateway is behind CLOUD_URL, and no other server")
    offset_s = (datetime.fromtimestamp(answer.at, UTC) - theirs).total_seconds() - 0.5
    found = f"{abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} the gateway's, by whole seconds"
    if abs(offset_s) > CLOCK_FAIL_S:
        return fail("clock", found, "set the clock: run chrony or systemd-timesyncd")
    if abs(offset_s) > CLOCK_WARN_S:
        return warn("clock", found, "run chrony or systemd-timesyncd")
    return ok("clock", found)


def _since(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"


def _reason(error: Exception) -> str:
    return getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
