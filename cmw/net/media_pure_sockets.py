"""Pairs of sockets of the media engine in plain Python, and what comes off them."""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from typing import Final, NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.errors import CapacityError, LocalProtocolError
from cmw.net.clock import monotonic_ns

_SO_TIMESTAMPNS: Final = 35  # of Linux; the socket module has no name for either
_SO_RXQ_OVFL: Final = 40
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_TIMESPEC: Final = struct.Struct("@ll")

Where = tuple[str, int]
Sockets = tuple[socket.socket, socket.socket]
"""Of RTP and RTCP."""


class Arrival(NamedTuple):
    """A datagram as it came."""

    data: bytes
    at_ns: Nanos
    source: Where


class SocketWatch:
    """Which sockets have something, each told as (number of its slot, socket, whether it is RTCP's, events)."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_fd: dict[int, tuple[int, socket.socket, bool]] = {}

    def add(self, number: int, pair: Sockets) -> None:
        """Watch the pair of a slot."""
        for made, control in zip(pair, (False, True), strict=True):
            self._by_fd[made.fileno()] = (number, made, control)
            self._epoll.register(made.fileno(), select.EPOLLIN)

    def close(self, pair: Sockets) -> None:
        """Watch a pair no more, and close it."""
        for made in pair:
            self._epoll.unregister(made.fileno())
            del self._by_fd[made.fileno()]
            made.close()

    def ready(self) -> list[tuple[int, socket.socket, bool, int]]:
        """Return those that have something now."""
        return [(*self._by_fd[fd], events) for fd, events in self._epoll.poll(0, 4096)]


def receive(made: socket.socket, offset_ns: Nanos) -> tuple[Arrival, int | None]:
    """Return a datagram dated by the kernel, and how many found no room since the socket was made; None: none yet.

    Args:
        offset_ns: wall clock less monotonic clock.

    Raises:
        OSError: `BlockingIOError` when there is none.
    """
    data, ancillary, _, source = made.recvmsg(4096, 256, socket.MSG_DONTWAIT)
    now = at_ns = monotonic_ns()
    drops = None
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, rest = _TIMESPEC.unpack(value[: _TIMESPEC.size])
            at_ns = seconds * SECOND + rest - offset_ns
        elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
            drops = int.from_bytes(value[:4], sys.byteorder)
    return Arrival(data, at_ns if now - 5 * SECOND < at_ns <= now else now, source[:2]), drops


def send_twice(made: socket.socket, data: bytes | bytearray, where: Where) -> None:
    """Send; once more after an error, which may be the ICMP answer to an earlier packet."""
    try:
        made.sendto(data, where)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOBUFS):
            raise
        made.sendto(data, where)


def bound_pair(ip: str, rtp_port: int, dscp: int) -> Sockets:
    """Return sockets on a port and the next one."""
    rtp = _bound_socket(ip, rtp_port, dscp)
    try:
        return rtp, _bound_socket(ip, rtp_port + 1, dscp)
    except BaseException:
        rtp.close()
        raise


def _bound_socket(ip: str, port: int, dscp: int) -> socket.socket:
    """Return a socket that dates what it receives, counts what it drops and hears ICMP errors."""
    if not 1 <= port <= 65535 or not 0 <= dscp <= 63:
        raise LocalProtocolError(f"expected a port in 1 .. 65535 and a dscp in 0 .. 63, got {port} and {dscp}")
    try:
        made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise CapacityError(f"no descriptor left for a media socket: {error.strerror}") from error
        raise
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if ":" in ip:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        made.bind((ip, port))
    except BaseException:
        made.close()
        raise
    return made
