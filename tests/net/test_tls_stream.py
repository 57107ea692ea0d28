"""TLS on any stream: whole, a byte at a time, within itself, and cut off."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cmw.net.link_client import tls_context
from cmw.net.tls_stream import Stream, TlsStream
from tests.support.certificates import Authority
from tests.support.doctor_desk import tls_server

LARGE = bytes(range(256)) * 4096
"""More than a record, and more than a socket takes at once."""


class Bytewise:
    """A stream that gives a byte at a time."""

    def __init__(self, below: Stream) -> None:
        self._below = below

    def sendall(self, data: bytes, /) -> None:
        self._below.sendall(data)

    def recv(self, limit: int, /) -> bytes:
        return self._below.recv(1)


@contextmanager
def served(serve: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """Yield one end of a connection whose other end a thread has."""
    near, far = socket.socketpair()

    def run() -> None:
        with far:
            serve(far)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with near:
        near.settimeout(30)
        yield near
    thread.join(30)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def echo(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Return what gives back a message of LARGE, and then says goodbye."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            got = b""
            while len(got) < len(LARGE):
                got += secured.recv(65536)
            secured.sendall(got)
            with suppress(ssl.SSLEOFError):  # its own is sent; ours does not come back
                secured.unwrap()

    return serve


@pytest.mark.parametrize("wrap", [lambda below: below, Bytewise], ids=["whole", "bytewise"])
def test_both_ways_and_to_the_end(authority: Authority, wrap: Callable[[Stream], Stream]) -> None:
    with served(echo(tls_server(authority.issue(domains=["gateway.example"])))) as below:
        stream = TlsStream(wrap(below), tls_context(authority.file), "gateway.example")
        assert stream.version == "TLSv1.3"
        assert ("DNS", "gateway.example") in stream.certificate["subjectAltName"]
        stream.sendall(LARGE)
        got = b""
        while len(got) < len(LARGE):
            got += stream.recv(65536)
        assert got == LARGE
        assert stream.recv(1) == b""


def test_the_wrong_name_is_refused(authority: Authority) -> None:
    def serve(connection: socket.socket) -> None:
        with pytest.raises(OSError, match=r"alert|EOF|reset|Broken"):
            tls_server(authority.issue(domains=["other.example"])).wrap_socket(connection, server_side=True).recv(1)

    with served(serve) as below, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        TlsStream(below, tls_context(authority.file), "gateway.example")


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x03", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_handshake_that_ends_is_an_error(authority: Authority, said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    with served(serve) as below, pytest.raises(OSError):
        TlsStream(below, tls_context(authority.file), "gateway.example")


def test_an_end_without_goodbye_is_an_end(authority: Authority) -> None:
    def serve(connection: socket.socket) -> None:
        secured = tls_server(authority.issue(domains=["gateway.example"])).wrap_socket(connection, server_side=True)
        secured.sendall(b"half")
        secured.recv(1)
        secured.detach()
        connection.close()

    with served(serve) as below:
        stream = TlsStream(below, tls_context(authority.file), "gateway.example")
        assert stream.recv(65536) == b"half"
        stream.sendall(b"x")
        below.shutdown(socket.SHUT_RD)
        assert stream.recv(65536) == b""
