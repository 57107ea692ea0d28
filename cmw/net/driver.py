"""The driver of sans-IO datagram machines: one input, then drain until quiet, then arm one timer.

Written once, for every machine that has the five verbs of house style: SIP user agents, registrars, both on one socket.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from cmw.core.address import Address, PortRange
from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.timers import Deadline
from cmw.net.clock import monotonic_ns
from cmw.net.udp import bind_udp, local_address, read_error
from cmw.sip.hop import Datagram, Hop

RECEIVE_BATCH = 64
"""Datagrams read before the loop gets its turn again."""

MAX_DATAGRAM_BYTES = 65535

EARLY_NS = 2 * MILLISECOND
"""How much too early a timer may wake us and still count: the loop's timers are whole milliseconds."""


class DatagramMachine(Protocol):
    """The five verbs."""

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        """Take bytes from the network."""
        ...

    def handle_timeout(self, *, now: Nanos) -> None:
        """Take the passing of time."""
        ...

    def datagrams_to_send(self) -> list[Datagram]:
        """Return bytes for the network; drains."""
        ...

    def next_event(self) -> Any:
        """Return the next fact, None when all are drained."""
        ...

    def next_timeout(self) -> Deadline | None:
        """Return when to come back."""
        ...


MachineT = TypeVar("MachineT", bound=DatagramMachine)
ResultT = TypeVar("ResultT")

Trace = Callable[[str, bytes, Hop], None]
"""Called with ``in`` or ``out``, the bytes, and the other side's address."""


@dataclass(slots=True)
class TrafficCounts:
    """What passed through a socket since it was opened."""

    datagrams_received: int = 0
    bytes_received: int = 0
    datagrams_sent: int = 0
    bytes_sent: int = 0
    send_errors: int = 0
    network_errors: int = 0


class UdpListener(Generic[MachineT]):
    """One UDP socket and the machine that lives on it; made by `open_udp_listener`.

    Args:
        loop: the event loop; everything happens in its thread.
        sock: a bound, non-blocking socket, which is closed by `close`.
        machine: the machine.
        on_event: takes each event, in order; it may call `run`.
        trace: sees every datagram.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        machine: MachineT,
        on_event: Callable[[Any], None],
        *,
        trace: Trace | None = None,
        clock: Callable[[], Nanos] = monotonic_ns,
    ) -> None:
        self.machine = machine
        self.local = local_address(sock)
        self.counts = TrafficCounts()
        self._loop = loop
        self._sock = sock
        self._on_event = on_event
        self._trace = trace
        self._clock = clock
        self._unsent: deque[Datagram] = deque()
        self._failures: deque[tuple[Hop, str, bytes | None]] = deque()
        self._is_draining = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanos = 0
        loop.add_reader(sock, self._readable)

    def run(self, command: Callable[[MachineT, Nanos], ResultT]) -> ResultT:
        """Give the machine a command and drain it; what the command raises is raised here, after the drain."""
        try:
            return command(self.machine, self._clock())
        finally:
            self._drain()

    def close(self) -> None:
        """Close the socket; the machine is neither woken nor drained any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()

    # private

    def _readable(self) -> None:
        for count in range(RECEIVE_BATCH):
            if self._is_closed:
                return
            try:
                data, address = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                if count == 0:
                    self._take_errors()
                    self._drain()
                return
            except OSError:
                self._take_errors()
                self._drain()
                continue
            source = Hop(address[0], address[1])
            self.counts.datagrams_received += 1
            self.counts.bytes_received += len(data)
            if self._trace is not None:
                self._trace("in", data, source)
            self._feed(data, source)
            self._drain()

    def _feed(self, data: bytes, source: Hop) -> None:
        """Hand a datagram to the machine; should that fail, it costs this datagram and nothing else."""
        try:
            self.machine.receive_datagram(data, source, now=self._clock())
        except Exception as error:
            self._report_fault(f"fault while taking a datagram from {source}", error)

    def _wake(self) -> None:
        self._timer = None
        deadline = self.machine.next_timeout()
        now = self._clock()
        if deadline is not None and deadline.at <= now + EARLY_NS:
            try:
                self.machine.handle_timeout(now=max(now, deadline.at))
            except Exception as error:  # or nobody would be woken ever again
                self._report_fault(f"fault at a timer ({deadline.reason})", error)
        self._drain()

    def _drain(self) -> None:
        """Send and tell everything, in the order in which the machine brings it forth, until it is quiet."""
        if self._is_draining or self._is_closed:
            return
        self._is_draining = True
        try:
            while self._drain_once():
                pass
        finally:
            self._is_draining = False
        self._arm()

    def _drain_once(self) -> bool:
        datagrams = self.machine.datagrams_to_send()
        for datagram in datagrams:
            self._send(datagram)
        event = self.machine.next_event()
        if event is not None:
            self._tell(event)
        failed = bool(self._failures)
        while self._failures:
            self._report_failure(*self._failures.popleft())
        return not self._is_closed and (bool(datagrams) or event is not None or failed)

    def _tell(self, event: Any) -> None:
        """Hand an event to the program; its faults are reported and do not stop the machine."""
        try:
            self._on_event(event)
        except Exception as error:
            self._report_fault(f"fault while handling {type(event).__name__}", error)

    def _report_fault(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})

    def _send(self, datagram: Datagram) -> None:
        if self._is_closed:
            return
        if self._unsent:
            self._unsent.append(datagram)
            return
        try:
            self._sock.sendto(datagram.data, datagram.destination[:2])
        except BlockingIOError:
            self._keep_back(datagram)
            return
        except OSError:
            if not self._send_again(datagram):
                return
        self.counts.datagrams_sent += 1
        self.counts.bytes_sent += len(datagram.data)
        if self._trace is not None:
            self._trace("out", datagram.data, datagram.destination)

    def _keep_back(self, datagram: Datagram) -> None:
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
            self.counts.send_errors += 1
            at_fault = datagram.data if error.errno == errno.EMSGSIZE else None
            self._failures.append((datagram.destination, error.strerror or str(error), at_fault))
            return False
        return True

    def _writable(self) -> None:
        unsent, self._unsent = self._unsent, deque()
        self._loop.remove_writer(self._sock)
        for datagram in unsent:
            self._send(datagram)
        self._drain()

    def _take_errors(self) -> None:
        """Take the network's reports, then watch the socket anew: libuv gives up on one that ever had any."""
        while (error := read_error(self._sock)) is not None:
            self.counts.network_errors += 1
            if error.reason:
                self._failures.append((Hop(*error.destination), error.reason, None))
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._loop.add_reader(self._sock, self._readable)
        if self._unsent:
            self._loop.add_writer(self._sock, self._writable)

    def _report_failure(self, destination: Hop, reason: str, at_fault: bytes | None) -> None:
        report = getattr(self.machine, "transport_failed", None)
        if report is not None:
            report(destination, reason, at_fault=at_fault, now=self._clock())

    def _arm(self) -> None:
        """Arm the timer unless it is armed for the deadline or sooner: an early wake costs less than arming anew."""
        deadline = self.machine.next_timeout()
        if deadline is None or self._is_closed:
            return
        if self._timer is not None:
            if self._timer_at <= deadline.at:
                return
            self._timer.cancel()
        self._timer_at = deadline.at
        self._timer = self._loop.call_later(max(0, deadline.at - self._clock()) / SECOND, self._wake)


async def open_udp_listener(
    make_machine: Callable[[Address], MachineT],
    ip: str,
    ports: int | PortRange,
    on_event: Callable[[Any], None],
    *,
    trace: Trace | None = None,
) -> UdpListener[MachineT]:
    """Bind a socket, make the machine for its address, and run it on the running loop.

    Args:
        make_machine: called with the address that was bound.
        ip: literal address to bind.
        ports: one port, 0 for any, or a range whose first free port is taken.
        on_event: takes each event of the machine.
        trace: sees every datagram.

    Raises:
        CapacityError: no port is free.
        OSError: the address or port may not be used.
    """
    sock = bind_udp(ip, ports)
    try:
        machine = make_machine(local_address(sock))
        return UdpListener(asyncio.get_running_loop(), sock, machine, on_event, trace=trace)
    except BaseException:
        sock.close()
        raise


__all__ = ["DatagramMachine", "TrafficCounts", "UdpListener", "open_udp_listener"]
