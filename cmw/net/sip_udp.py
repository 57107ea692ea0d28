"""SIP over UDP: one socket that tells what the network says of our datagrams."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from cmw.net.driver import Driver
from cmw.net.udp import local_address, read_drops, read_error
from cmw.sip.hop import Datagram, Hop

RECEIVE_BATCH: Final = 64
"""Datagrams read before the loop gets its turn again."""

READ_AHEAD: Final = 16384
"""Datagrams read after a stall before any timer fires: about as many as the socket holds."""

MAX_DATAGRAM_BYTES: Final = 65535

MAX_UNSENT: Final = 10_000
"""Datagrams that wait for room in the socket's buffer, a second's or two of 1,500 calls/s; more are lost."""


MAX_SOURCES: Final = 1024
"""Addresses whose hop is at hand; beyond it all are made anew."""


class UdpSocket:
    """Carry the datagrams of a driver over one socket.

    Args:
        loop: the event loop.
        sock: a bound, non-blocking socket as `cmw.net.udp.bind_udp` makes it, which is closed by `close`.
        driver: whose datagrams.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, driver: Driver[Any]) -> None:
        self.local = local_address(sock)
        self._loop = loop
        self._sock = sock
        self._driver = driver
        self._unsent: deque[Datagram] = deque()
        self._sources: dict[Any, Hop] = {}
        self._is_closed = False
        loop.add_reader(sock, self._readable)

    def send(self, datagram: Datagram) -> None:
        """Send a datagram, or keep it until there is room."""
        if self._is_closed:
            return
        if self._unsent:
            self._keep_back(datagram)
            return
        try:
            self._sock.sendto(datagram.data, datagram.destination[:2])
        except BlockingIOError:
            self._keep_back(datagram)
            return
        except OSError:
            if not self._send_again(datagram):
                return
        self._driver.sent(datagram)

    def read_ahead(self) -> None:
        """Give the driver what the socket holds."""
        self._read(READ_AHEAD)

    @property
    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped because the socket was full."""
        return 0 if self._is_closed else read_drops(self._sock)

    def close(self) -> None:
        """Close the socket; what was kept back is gone."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()

    # private

    def _readable(self) -> None:
        self._read(RECEIVE_BATCH)

    def _read(self, most: int) -> None:
        self._driver.receive_all(self._datagrams(most))

    def _datagrams(self, most: int) -> Iterator[tuple[bytes, Hop]]:
        """Yield what the socket holds, and where it came from."""
        sources = self._sources
        for count in range(most):
            if self._is_closed:
                return
            try:
                data, address = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                if count == 0:
                    self._take_errors()
                    self._driver.drain()
                return
            except OSError:
                self._take_errors()
                self._driver.drain()
                continue
            source = sources.get(address)
            if source is None:
                if len(sources) >= MAX_SOURCES:
                    sources.clear()
                source = sources[address] = Hop(address[0], address[1])
            yield data, source

    def _keep_back(self, datagram: Datagram) -> None:
        if len(self._unsent) >= MAX_UNSENT:
            self._driver.counts.unsent_datagrams += 1
            return  # as any network may; what matters is sent again
        self._unsent.append(datagram)
        self._loop.add_writer(self._sock, self._writable)

    def _send_again(self, datagram: Datagram) -> bool:
        """Send once more, for the first error may have been an earlier datagram's; return whether it went out."""
        self._take_errors()
        try:
            self._sock.sendto(datagram.data, datagram.destination[:2])
        except BlockingIOError:
            self._keep_back(datagram)
            return False
        except OSError as error:
            self._driver.counts.send_errors += 1
            at_fault = datagram.data if error.errno == errno.EMSGSIZE else None
            self._driver.failed(datagram.destination, error.strerror or str(error), at_fault)
            return False
        return True

    def _writable(self) -> None:
        unsent, self._unsent = self._unsent, deque()
        self._loop.remove_writer(self._sock)
        for datagram in unsent:
            self.send(datagram)
        self._driver.drain()

    def _take_errors(self) -> None:
        """Take the network's reports, then watch the socket anew: libuv gives up on one that ever had any."""
        while (error := read_error(self._sock)) is not None:
            self._driver.counts.network_errors += 1
            if error.reason:
                self._driver.failed(Hop(*error.destination), error.reason)
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._loop.add_reader(self._sock, self._readable)
        if self._unsent:
            self._loop.add_writer(self._sock, self._writable)
