"""Sockets that SIP listens on: UDP and TCP of one number, as the first free port of a range."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable
from typing import NamedTuple

from cmw.core.address import Address, PortRange
from cmw.errors import CapacityError
from cmw.net.udp import bind_udp, local_address
from cmw.sip.hop import Transport

BACKLOG = 1024
"""Connections that the kernel takes for us while we are busy; the system may allow fewer."""

_TRIES = 64
"""How many ports of the kernel's choice are tried when all transports have to have the same."""


class Bind(NamedTuple):
    """Transports that share a port number.

    Args:
        transports: UDP and one that runs over TCP at most.
        ports: one port, 0 for any, or a range whose first free port is taken.
    """

    transports: tuple[Transport, ...]
    ports: int | PortRange


def bind_sip(ip: str, bind: Bind) -> dict[Transport, socket.socket]:
    """Return a bound, non-blocking socket for each transport; those over TCP listen.

    Raises:
        CapacityError: no port is free for all of them.
        OSError: the address or the port may not be used; the text names both.
    """
    ports = bind.ports
    if ports == 0:
        candidates: Iterable[int] = [0] * _TRIES
    else:
        candidates = (ports,) if isinstance(ports, int) else range(ports.first, ports.last + 1)
    for port in candidates:
        bound = _bind_all(ip, port, bind.transports)
        if bound is not None:
            return bound
    names = " and ".join(bind.transports)
    if isinstance(ports, int):
        raise CapacityError(f"{names} port {ports} on {ip} is in use")
    raise CapacityError(f"expected a free {names} port in {ports} on {ip}, found all {len(ports)} in use")


def _bind_all(ip: str, port: int, transports: Iterable[Transport]) -> dict[Transport, socket.socket] | None:
    """Return the sockets on one port, None when it is in use for one of them."""
    bound: dict[Transport, socket.socket] = {}
    try:
        for transport in transports:
            bound[transport] = sock = bind_udp(ip, port) if transport is Transport.UDP else bind_tcp(ip, port)
            port = local_address(sock).port
    except CapacityError:
        _close(bound)
        return None
    except BaseException:
        _close(bound)
        raise
    return bound


def _close(bound: dict[Transport, socket.socket]) -> None:
    for sock in bound.values():
        sock.close()


def bind_tcp(ip: str, port: int) -> socket.socket:
    """Return a non-blocking, listening TCP socket.

    Raises:
        CapacityError: the port is in use.
        OSError: the address or the port may not be used; the text names both.
    """
    is_v6 = ipaddress.ip_address(ip).version == 6
    sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not keep the port
        if is_v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((ip, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise CapacityError(f"TCP port {port} on {ip} is in use") from None
        raise OSError(error.errno, f"cannot bind TCP {Address(ip, port)}: {os.strerror(error.errno or 0)}") from None
    return sock
