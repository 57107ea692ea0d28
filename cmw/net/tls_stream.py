"""A blocking TLS client on anything that sends and receives bytes: on a TCP socket, or within TLS to a proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

ResultT = TypeVar("ResultT")

_CHUNK_BYTES = 16384


class Stream(Protocol):
    """Bytes both ways; a socket is one."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, limit: int, /) -> bytes: ...


class TlsStream:
    """Shakes hands when it is made; the stream below stays its owner's to close.

    Args:
        below: the stream that carries it.
        context: what to trust.
        host: name or address that the certificate has to show.

    Raises:
        OSError: TLS failed, or the stream below did.
    """

    def __init__(self, below: Stream, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._do(self._tls.do_handshake)

    @property
    def version(self) -> str:
        """Return which TLS it is, as ``TLSv1.3``."""
        return self._tls.version() or ""

    @property
    def certificate(self) -> dict[str, Any]:
        """Return what the other side has shown; empty when it was not to be checked."""
        return self._tls.getpeercert() or {}

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""
        while data:
            sent = self._do(partial(self._tls.write, data))
            data = data[sent:]

    def recv(self, limit: int, /) -> bytes:
        """Return the next bytes, none at the end, be it announced or not."""
        try:
            return self._do(partial(self._tls.read, limit))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def _do(self, step: Callable[[], ResultT]) -> ResultT:
        """Take a step as soon as the bytes for it are there."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._below.recv(_CHUNK_BYTES)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._out.pending:
            self._below.sendall(self._out.read())
