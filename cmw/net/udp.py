"""UDP sockets for signalling: bound to the first free port, with room for bursts, told of ICMP errors."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from typing import NamedTuple

from cmw.core.address import Address, PortRange
from cmw.errors import CapacityError

RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
"""What arrives while the process stands still for two seconds at 3,000 calls a second: an INVITE takes 1.3 KiB of what
the kernel makes of this, which is twice as much, and comes up to three times in that time."""

_SO_RCVBUFFORCE = 33  # linux/asm-generic/socket.h; needs CAP_NET_ADMIN, not limited by net.core.rmem_max
_SO_MEMINFO = 55  # linux/asm-generic/socket.h, since Linux 4.12: nine counts, the last is of drops
_MEMINFO = struct.Struct("=9I")
_IP_RECVERR = 11  # linux/in.h
_IPV6_RECVERR = 25  # linux/in6.h
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err, linux/errqueue.h
_UNREACHABLE = frozenset(
    (
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENOPROTOOPT,
        errno.EPROTO,
        errno.EACCES,
    )
)
"""Network, host, port or protocol unreachable, or parameter problem. Source: RFC 3261 18.4."""


class NetworkError(NamedTuple):
    """What the network told about a datagram of ours."""

    destination: Address
    reason: str


def bind_udp(ip: str, ports: int | PortRange) -> socket.socket:
    """Return a non-blocking socket bound to `ip` and the first free port.

    Args:
        ip: literal address of this machine, or 0.0.0.0 or ::.
        ports: one port, 0 for any, or a range of them.

    Raises:
        CapacityError: every port is in use.
        OSError: the address or the port may not be used; the text names both.
    """
    candidates = range(ports, ports + 1) if isinstance(ports, int) else range(ports.first, ports.last + 1)
    for port in candidates:
        sock = _bind(ip, port)
        if sock is not None:
            return sock
    if isinstance(ports, int):
        raise CapacityError(f"UDP port {ports} on {ip} is in use")
    raise CapacityError(f"expected a free UDP port in {ports} on {ip}, found all {len(ports)} in use")


def _bind(ip: str, port: int) -> socket.socket | None:
    """Return a socket bound to one port, None when the port is in use."""
    is_v6 = ipaddress.ip_address(ip).version == 6
    sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((ip, port))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise OSError(error.errno, f"cannot bind UDP {Address(ip, port)}: {os.strerror(error.errno or 0)}") from None
    _enlarge(sock)
    if is_v6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    return sock


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except OSError:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def local_address(sock: socket.socket) -> Address:
    """Return what a socket is bound to."""
    return Address(*sock.getsockname()[:2])


def read_drops(sock: socket.socket) -> int:
    """Return how many datagrams the kernel has dropped because `sock` was full; 0 where it does not tell."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return 0
    return int(_MEMINFO.unpack(told)[-1]) if len(told) == _MEMINFO.size else 0


def read_error(sock: socket.socket) -> NetworkError | None:
    """Return the next error that the network reported for a datagram of ours, None when there is none left.

    Errors that say nothing about the destination, such as an exceeded TTL, come with an empty reason.
    """
    try:
        _, ancillary, _, address = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    reason = ""
    for _, kind, data in ancillary:
        if kind in (_IP_RECVERR, _IPV6_RECVERR) and len(data) >= _EXTENDED_ERROR.size:
            number = _EXTENDED_ERROR.unpack_from(data)[0]
            reason = os.strerror(number) if number in _UNREACHABLE else ""
    return NetworkError(Address(*address[:2]) if address else Address("", 0), reason)
