"""`cmw doctor`: everything that a worker needs from its settings, its network and its machine, looked at beforehand."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from cmw.core.address import Address, PortRange
from cmw.errors import SettingsError
from cmw.link.url import ProxyUrl, parse_proxy_url
from cmw.net.link_client import tls_context
from cmw.net.link_proxy import tunnel_headers
from cmw.net.route import local_address_towards
from cmw.worker.capacity import FIRST_TIER, endpoint_capacity
from cmw.worker.doctor_machine import look_at_machine
from cmw.worker.doctor_nat import look_at_nat
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.settings import Addresses, WorkerSettings, read_settings

PATIENCE_S = 5.0
"""For the gateway: each step of the way to it."""

HEAD_BYTES = 8192
"""Of an answer of the proxy or the gateway."""

DAYS_OF_WARNING = 14
"""A certificate that ends sooner is told."""

CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 60.0
PAIRS_TRIED = 500
"""Port pairs of the RTP range that are bound to see whether they are free, spread over all of it."""

MEND_SETTINGS = "set it as docs/configuration.md says; `cmw config` shows every value and where it comes from"


class Wanted(NamedTuple):
    """What the operator wants to know beside the settings.

    Args:
        destinations: what will be called: for the addresses chosen, and asked with OPTIONS.
        capacity: endpoints that this worker is to carry; None when nobody says.
    """

    destinations: Sequence[Address] = ()
    capacity: int | None = None


def examine(wanted: Wanted) -> Iterator[Finding]:
    """Return each finding as soon as it is there; takes some seconds, and blocks."""
    settings, faults = read_settings()
    for fault in faults:
        yield fail("settings", str(fault), MEND_SETTINGS)
    if settings is not None:
        yield ok("settings", "all of them can be used; the token has the right shape")
        yield from _look_at_gateway(settings)
        yield from _look_at_addresses(settings, wanted)
    yield from look_at_machine(wanted.capacity)


# The gateway.


def _look_at_gateway(settings: WorkerSettings) -> Iterator[Finding]:
    """Go the way to the gateway step by step; by the proxy, where there is one."""
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
    connection = None
    for ip in ips:
        began = time.monotonic()
        try:
            connection = socket.create_connection((ip, port), PATIENCE_S)
        except OSError as error:
            remedy = f"let TCP to port {port} out through the firewall; see that the {who} runs"
            yield fail(f"{who} reach", f"{Address(ip, port)}: {error.strerror or error}", remedy)
            continue
        yield ok(f"{who} reach", f"{Address(ip, port)} answers ({_since(began)})")
        break
    if connection is not None:
        with ExitStack() as opened:
            opened.enter_context(connection)
            try:
                way = connection if proxy is None else _through(proxy, connection, settings)
            except (OSError, ValueError) as error:
                yield fail(
                    "gateway reach", f"by way of {proxy}: {_reason(error)}", "ask who runs the proxy to let us out"
                )
                return
            yield from _talk_to_gateway(settings, opened.enter_context(way))


def _through(proxy: ProxyUrl, connection: socket.socket, settings: WorkerSettings) -> socket.socket:
    """Return a connection to the gateway through a proxy. Source: RFC 9110 9.3.6."""
    if proxy.tls:
        connection = tls_context(settings.cloud_ca_file).wrap_socket(connection, server_hostname=proxy.address.host)
    target = str(settings.gateway.address)
    headers = "".join(f"{name}: {value}\r\n" for name, value in tunnel_headers(proxy, target))
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\n{headers}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < HEAD_BYTES:
        data = connection.recv(1)  # no byte more: what follows is the gateway's
        if not data:
            raise OSError("the proxy closed the connection")
        answer += data
    status = answer.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(status) < 2 or not status[1].startswith("2"):
        raise OSError(f"the proxy answered HTTP {status[1] if len(status) > 1 else '?'}")
    return connection


def _talk_to_gateway(settings: WorkerSettings, connection: socket.socket) -> Iterator[Finding]:
    host = settings.gateway.address.host
    if not settings.gateway.tls:
        yield warn("gateway TLS", "none: the token travels in clear", "use host:port with TLS outside of a lab")
        yield _clock(host, connection)
        return
    try:
        secured = tls_context(settings.cloud_ca_file).wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError) as error:
        remedy = "name the gateway's certificate authority by CLOUD_CA_FILE, or install it on this machine"
        yield fail("gateway TLS", _reason(error), remedy)
        return
    with secured:
        yield _certificate(secured)
        yield _clock(host, secured)


def _certificate(connection: ssl.SSLSocket) -> Finding:
    certificate = connection.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - time.time()) // 86400)
    found = f"{connection.version()}, the certificate is trusted and ends in {days} days"
    if days < DAYS_OF_WARNING:
        return warn("gateway TLS", found, "renew the gateway's certificate")
    return ok("gateway TLS", found)


def _clock(host: str, connection: socket.socket) -> Finding:
    """Compare the clocks by the Date of an answer: it has whole seconds, so half of one is nothing."""
    began = time.time()
    try:
        connection.settimeout(PATIENCE_S)
        connection.sendall(f"HEAD /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = connection.recv(HEAD_BYTES).decode("latin-1")
    except OSError as error:
        return fail("clock", f"the gateway does not answer: {_reason(error)}", "see that a gateway is behind CLOUD_URL")
    ended = time.time()
    dates = [line.partition(":")[2].strip() for line in head.splitlines() if line.lower().startswith("date:")]
    try:
        theirs = parsedate_to_datetime(dates[0]).astimezone(UTC)
    except (IndexError, ValueError):
        return warn("clock", "the gateway tells no date", "see that a gateway is behind CLOUD_URL")
    ours = datetime.fromtimestamp((began + ended) / 2, UTC)
    offset_s = (ours - theirs).total_seconds() - 0.5
    found = f"{abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} the gateway's, by whole seconds"
    if abs(offset_s) > CLOCK_FAIL_S:
        return fail("clock", found, "set the clock: run chrony or systemd-timesyncd")
    return (
        warn("clock", found, "run chrony or systemd-timesyncd") if abs(offset_s) > CLOCK_WARN_S else ok("clock", found)
    )


# Addresses and ports.


def _look_at_addresses(settings: WorkerSettings, wanted: Wanted) -> Iterator[Finding]:
    try:
        home = settings.addresses()
    except SettingsError as error:
        yield fail("addresses", str(error), "set SIP_IP")
        return
    yield ok("addresses", _shown("without a destination", home))
    chosen = [home]
    for destination in wanted.destinations:
        try:
            own = settings.addresses_at(settings.sip_ip or local_address_towards(destination))
        except OSError as error:
            yield fail("addresses", f"{destination}: {error.strerror or error}", "mend the name, or the route to it")
            continue
        chosen.append(own)
        yield ok("addresses", _shown(f"for {destination}", own))
        yield look_at_nat(destination, own)
    for own in dict.fromkeys(chosen):
        yield _sip_ports(own.sip, settings.sip_ports)
        yield _rtp_ports(own.media, settings.rtp_ports)
    yield _health_port(settings.health_port)
    yield _capacity(settings.rtp_ports, wanted.capacity)


def _shown(whom: str, own: Addresses) -> str:
    return f"{whom}: SIP {own.sip}, media {own.media}, in SDP {own.sdp}, in Via and Contact {own.external}"


def _sip_ports(ip: str, ports: PortRange) -> Finding:
    free = [port for port in range(ports.first, ports.last + 1) if _why_not(ip, port, socket.SOCK_DGRAM) is None]
    free = [port for port in free if _why_not(ip, port, socket.SOCK_STREAM) is None]
    if free:
        return ok("SIP ports", f"{len(free)} of {len(ports)} in {ports} are free on {ip}, the first is {free[0]}")
    why = _why_not(ip, ports.last, socket.SOCK_DGRAM) or "in use"
    return fail("SIP ports", f"{ip} {ports}: {why}", "choose SIP_PORT_START and SIP_PORT_END apart from other programs")


def _rtp_ports(ip: str, ports: PortRange) -> Finding:
    pairs = ports.pairs()
    tried = pairs[:: max(1, len(pairs) // PAIRS_TRIED)]
    taken = [port for port in tried if any(_why_not(ip, port + side, socket.SOCK_DGRAM) for side in (0, 1))]
    found = f"{len(pairs)} pairs in {ports} on {ip}, {len(taken)} of {len(tried)} tried are in use"
    if len(taken) == len(tried):
        why = _why_not(ip, ports.first, socket.SOCK_DGRAM) or "in use"
        return fail("RTP ports", f"{found}: {why}", "choose RTP_PORT_MIN and RTP_PORT_MAX apart from other programs")
    if len(taken) * 10 > len(tried):
        return warn("RTP ports", found, "choose RTP_PORT_MIN and RTP_PORT_MAX apart from other programs")
    return ok("RTP ports", found)


def _health_port(port: int) -> Finding:
    why = _why_not("0.0.0.0", port, socket.SOCK_STREAM)  # noqa: S104
    if why is None:
        return ok("health port", f"{port} is free")
    return warn("health port", f"{port}: {why}", "set HEALTH_PORT, unless it is a worker that runs here already")


def _capacity(ports: PortRange, wanted: int | None) -> Finding:
    capacity = endpoint_capacity(ports)
    found = f"{capacity.endpoints} endpoints at once: {capacity.bound}"
    remedy = "widen RTP_PORT_MIN to RTP_PORT_MAX, or raise the limit of open files (ulimits: nofile)"
    if capacity.endpoints < (wanted or 1):
        return fail("capacity", found, remedy)
    return warn("capacity", found, remedy) if capacity.endpoints < FIRST_TIER else ok("capacity", found)


def _why_not(ip: str, port: int, kind: socket.SocketKind) -> str | None:
    """Return why a port cannot be bound; None when it can."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
    return None


def _since(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"


def _reason(error: Exception) -> str:
    return getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
