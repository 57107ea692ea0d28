"""Ports that a worker binds: free, allowed, and enough of them."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
from collections.abc import Iterator, Sequence

from cmw.core.address import PortRange
from cmw.worker.capacity import FIRST_TIER, endpoint_capacity
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.health import listen_on
from cmw.worker.settings import Addresses, WorkerSettings

PAIRS_TRIED = 500
"""Port pairs of the RTP range that are bound to see whether they are free, spread over all of it."""

PATIENCE_S = 2.0
"""For whoever holds the health port."""


def look_at_ports(settings: WorkerSettings, chosen: Sequence[Addresses], wanted: int | None) -> Iterator[Finding]:
    """Try the ports at every address that was chosen, and tell how many endpoints they carry."""
    for ip in dict.fromkeys(own.sip for own in chosen):
        yield _sip_ports(ip, settings.sip_ports)
    for ip in dict.fromkeys(own.media for own in chosen):
        yield _rtp_ports(ip, settings.rtp_ports, wanted)
    yield _health_port(settings.health_port)
    yield _capacity(settings.rtp_ports, wanted)


def _sip_ports(ip: str, ports: PortRange) -> Finding:
    faults = [
        _fault(ip, port, socket.SOCK_DGRAM) or _fault(ip, port, socket.SOCK_STREAM)
        for port in range(ports.first, ports.last + 1)
    ]
    free = [port for port, fault in enumerate(faults, ports.first) if fault is None]
    if free:
        return ok("SIP ports", f"{len(free)} of {len(ports)} in {ports} are free on {ip}, the first is {free[0]}")
    other = "choose SIP_PORT_START and SIP_PORT_END apart from other programs"
    show = "bind what `ip address` shows by SIP_IP; show peers the other by EXTERNAL_IP"
    return fail("SIP ports", f"{ip} {ports}: {_words(faults)}", _remedy(faults, other, show))


def _rtp_ports(ip: str, ports: PortRange, wanted: int | None) -> Finding:
    pairs = ports.pairs()
    tried = pairs[:: max(1, len(pairs) // PAIRS_TRIED)]
    faults = [_fault(ip, port, socket.SOCK_DGRAM) or _fault(ip, port + 1, socket.SOCK_DGRAM) for port in tried]
    taken = [fault for fault in faults if fault is not None]
    found = f"{len(pairs)} pairs in {ports} on {ip}, {len(taken)} of {len(tried)} tried are {_words(taken)}"
    other = "choose RTP_PORT_MIN and RTP_PORT_MAX apart from other programs"
    show = "bind what `ip address` shows by MEDIA_IP or SIP_IP; show peers the other by SDP_IP"
    remedy = _remedy(taken, other, show)
    left = len(pairs) * (len(tried) - len(taken)) // len(tried)
    if taken and left < (wanted or 1):
        return fail("RTP ports", f"{found}: {left} endpoints at once", remedy)
    return warn("RTP ports", found, remedy) if len(taken) * 10 > len(tried) else ok("RTP ports", found)


def _health_port(port: int) -> Finding:
    try:
        listen_on(None, port).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return fail("health port", f"{port}: {os.strerror(error.errno or 0)}", "set HEALTH_PORT to 1024 or above")
    else:
        return ok("health port", f"{port} is free")
    if _is_worker(port):
        return warn("health port", f"{port}: a worker answers there", "set HEALTH_PORT, unless it is this one, running")
    return fail("health port", f"{port}: in use by a program that is no worker", "set HEALTH_PORT to a free port")


def _is_worker(port: int) -> bool:
    """Tell whether it is a worker's page of health that answers on a port of this machine."""
    asking = http.client.HTTPConnection("localhost", port, timeout=PATIENCE_S)
    try:
        asking.request("GET", "/health")
        page = json.loads(asking.getresponse().read(4096))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        asking.close()
    return isinstance(page, dict) and {"status", "connected", "uptime"} <= set(page)


def _capacity(ports: PortRange, wanted: int | None) -> Finding:
    capacity = endpoint_capacity(ports)
    found = f"{capacity.endpoints} endpoints at once: {capacity.bound}"
    remedy = "widen RTP_PORT_MIN to RTP_PORT_MAX, or raise the limit of open files (ulimits: nofile)"
    if capacity.endpoints < (wanted or 1):
        return fail("capacity", found, remedy)
    return warn("capacity", found, remedy) if capacity.endpoints < FIRST_TIER else ok("capacity", found)


def _fault(ip: str, port: int, kind: socket.SocketKind) -> int | None:
    """Return the number of the error with which a port cannot be bound; None when it can."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return None


def _words(faults: Sequence[int | None]) -> str:
    """Say why ports cannot be bound; in use, when that is all."""
    other = next((fault for fault in faults if fault not in (None, errno.EADDRINUSE)), None)
    return "in use" if other is None else f"refused: {os.strerror(other)}"


def _remedy(faults: Sequence[int | None], other_ports: str, other_address: str) -> str:
    if errno.EADDRNOTAVAIL in faults:
        return other_address
    if errno.EACCES in faults:
        return f"{other_ports}, and from 1024 on"
    return other_ports
