"""A relay on the way of RTP that drops packets and knows which."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

from tests.support.processes import PATIENCE_S

Place = tuple[str, int]
"""IP address and port."""


class Passing(NamedTuple):
    """An RTP packet that came by."""

    seq: int
    kept: bool


class Way(NamedTuple):
    """Where datagrams of one socket go on: out of another socket, to a place."""

    out: socket.socket
    to: Place
    is_lossy: bool


class Relay:
    """Stand between two parties that each take `ip` for the address of the other.

    Each party shows `ip` and its own ports in its session descriptions, so that both send to the relay, on the port of
    the other, and hear from it as if from the other. RTCP, and RTP to the caller, pass unharmed.

    Args:
        ip: the relay's address.
        caller: real address and RTP port.
        callee: the same; another port.
        drops: tells of the n-th RTP packet to the callee, from 0, whether it is dropped.
    """

    def __init__(self, ip: str, caller: Place, callee: Place, drops: Callable[[int], bool]) -> None:
        self.to_callee: list[Passing] = []
        self._drops = drops
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        for offset in (0, 1):  # RTP, then RTCP
            as_caller, as_callee = self._bind((ip, caller[1] + offset)), self._bind((ip, callee[1] + offset))
            self._watch(as_callee, Way(as_caller, (callee[0], callee[1] + offset), is_lossy=offset == 0))
            self._watch(as_caller, Way(as_callee, (caller[0], caller[1] + offset), is_lossy=False))
        self._bell, ear = socket.socketpair()
        self._sockets += [self._bell, ear]
        self._watch(ear, None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._bell.send(b"!")
        self._thread.join(PATIENCE_S)
        for sock in self._sockets:
            sock.close()

    def _bind(self, place: Place) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sock)
        sock.bind(place)
        return sock

    def _watch(self, sock: socket.socket, way: Way | None) -> None:
        self._selector.register(sock, selectors.EVENT_READ, way)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                self._pass_on(key.fileobj.recv(65535), key.data)  # type: ignore[union-attr]

    def _pass_on(self, data: bytes, way: Way) -> None:
        if way.is_lossy:
            kept = not self._drops(len(self.to_callee))
            self.to_callee.append(Passing(int.from_bytes(data[2:4], "big"), kept))
            if not kept:
                return
        way.out.sendto(data, way.to)
