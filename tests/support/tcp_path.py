"""A path of TCP that can be cut, reset and made a black hole, whatever runs over it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from typing import NamedTuple

from tests.support.processes import PATIENCE_S

CHUNK = 1 << 16


class _Way(NamedTuple):
    """Where the bytes of one socket go, and whether they are kept too."""

    to: socket.socket
    is_told: bool = False


class TcpPath:
    """Take connections on a port of loopback and carry each to another port.

    Args:
        to_port: where the other end listens, on 127.0.0.1.

    Attributes:
        port: where to connect.
        taken: how many connections came.
        told: what those who connected have sent, one after the other.
    """

    def __init__(self, to_port: int) -> None:
        self.taken = 0
        self.told = bytearray()
        self._to_port = to_port
        self._is_black = False
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._bell, ear = socket.socketpair()
        self._ends = [self._listener, self._bell, ear]
        self._selector.register(self._listener, selectors.EVENT_READ, self._listener)
        self._selector.register(ear, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> TcpPath:
        return self

    def __exit__(self, *_: object) -> None:
        self._bell.send(b"!")
        self._thread.join(PATIENCE_S)
        for pair in self._pairs:
            for end in pair:
                end.close()
        for end in self._ends:
            end.close()

    def reset(self) -> None:
        """End every connection with RST, towards both sides, and take new ones."""
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    self._forget(end)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()
            self._pairs.clear()

    def swallow(self) -> None:
        """Carry nothing from now on, neither bytes nor ends nor new connections, and say so to nobody."""
        with self._lock:
            self._is_black = True

    def carry(self) -> None:
        """Carry new connections again. What was swallowed stays so, and its connections hear nothing any more."""
        with self._lock:
            self._is_black = False
            for pair in self._pairs:
                for end in pair:
                    self._forget(end)
            self._ends += [end for pair in self._pairs for end in pair]
            self._pairs.clear()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with self._lock:
                    if key.fileobj is self._listener:
                        self._take()
                    elif self._is_open(key.fileobj):  # what select told may have been reset or left alone since
                        self._pass_on(key.fileobj, key.data)  # type: ignore[arg-type]

    def _take(self) -> None:
        near, _ = self._listener.accept()
        self.taken += 1
        if self._is_black:
            self._ends.append(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._to_port))
        except ConnectionError:
            near.close()
            return
        self._pairs.append((near, far))
        self._selector.register(near, selectors.EVENT_READ, _Way(far, is_told=True))
        self._selector.register(far, selectors.EVENT_READ, _Way(near))

    def _pass_on(self, out_of: socket.socket, way: _Way) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = out_of.recv(CHUNK)
        if self._is_black:
            if not data:
                self._forget(out_of)
            return
        if data:
            if way.is_told:
                self.told += data
            with contextlib.suppress(ConnectionError):
                way.to.sendall(data)
            return
        self._forget(out_of)
        with contextlib.suppress(OSError):
            way.to.shutdown(socket.SHUT_WR)

    def _is_open(self, end: socket.socket) -> bool:
        return end.fileno() >= 0 and end in self._selector.get_map()

    def _forget(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(end)
