"""Binding UDP sockets, and what the network tells about datagrams that nobody took."""

from __future__ import annotations

import select
import socket

import pytest

from cmw.core.address import Address, PortRange
from cmw.errors import CapacityError
from cmw.net.udp import bind_udp, local_address, read_drops, read_error

pytestmark = pytest.mark.loopback
IP = "127.0.0.1"


def test_any_port_is_bound() -> None:
    with bind_udp(IP, 0) as sock:
        address = local_address(sock)
        assert address.host == IP
        assert address.port > 0
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_the_first_free_port_of_a_range_is_taken() -> None:
    with bind_udp(IP, 0) as taken:
        port = local_address(taken).port
        ports = PortRange(port, min(port + 20, 65535))
        with bind_udp(IP, ports) as sock:
            assert ports.first < local_address(sock).port <= ports.last


def test_a_range_without_a_free_port_is_named() -> None:
    with bind_udp(IP, 0) as taken:
        port = local_address(taken).port
        with pytest.raises(CapacityError, match=f"UDP port in {port}-{port} on 127.0.0.1, found all 1 in use"):
            bind_udp(IP, PortRange(port, port))
        with pytest.raises(CapacityError, match=f"UDP port {port} on 127.0.0.1 is in use"):
            bind_udp(IP, port)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot bind UDP 192\.0\.2\.1:5060"):
        bind_udp("192.0.2.1", 5060)


def test_ipv6_is_bound() -> None:
    with bind_udp("::1", 0) as sock:
        assert local_address(sock).host == "::1"


def test_a_refused_datagram_is_reported_with_its_destination() -> None:
    with bind_udp(IP, 0) as gone:
        nobody = local_address(gone)
    with bind_udp(IP, 0) as sock:
        sock.sendto(b"hello", nobody)
        select.select([], [], [sock], 5)
        error = read_error(sock)
        assert error is not None
        assert error.destination == Address(IP, nobody.port)
        assert error.reason == "Connection refused"
        assert read_error(sock) is None


def test_what_the_kernel_had_no_room_for_is_counted() -> None:
    with bind_udp(IP, 0) as full, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert read_drops(full) == 0
        for _ in range(20):
            sender.sendto(bytes(1000), tuple(local_address(full)))
        assert 10 < read_drops(full) < 20
