"""The driver of sans-IO datagram machines: one input, then drain until quiet, then arm one timer.

Written once, for every machine that has the five methods of docs/architecture.md: SIP user agents, registrars, both
together. How datagrams travel is the carriers' business: one for each transport, or one for several.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.timers import Deadline
from cmw.net.clock import monotonic_ns
from cmw.sip.hop import Datagram, Hop, Transport

EARLY_NS = 2 * MILLISECOND
"""How much too early a timer may wake us and still count: the loop's timers are whole milliseconds."""

LATE_NS = 20 * MILLISECOND
"""A wake-up later than this comes after a stall: what has arrived meanwhile is taken before any timer fires, for it
answers most of what the timers would send again."""


class DatagramMachine(Protocol):
    """The five methods.

    A machine may have more: `transport_failed`, `flow_lost` and `lookups_to_make` with `receive_lookup`, as
    `cmw.sip.UserAgent` has them; what it has is used.
    """

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


class Carrier(Protocol):
    """Takes datagrams to their destination, and gives those that come to the driver."""

    def send(self, datagram: Datagram) -> None:
        """Send, now or as soon as it can be; what fails is reported to the driver."""
        ...

    def read_ahead(self) -> None:
        """Give the driver what has arrived already and could stop a timer, without waiting for the loop."""
        ...

    def close(self) -> None:
        """Let go of every socket."""
        ...


MachineT = TypeVar("MachineT", bound=DatagramMachine)
ResultT = TypeVar("ResultT")

Trace = Callable[[str, bytes, Hop], None]
"""Called with ``in`` or ``out``, the bytes, and the other side."""

Locate = Callable[[Any], Awaitable[tuple[Sequence[Hop], str]]]
"""Answers a lookup of the machine: the hops, best first, or none and the reason."""


@dataclass(slots=True)
class TrafficCounts:
    """What passed since the start."""

    datagrams_received: int = 0
    bytes_received: int = 0
    datagrams_sent: int = 0
    bytes_sent: int = 0
    send_errors: int = 0
    network_errors: int = 0
    unsent_datagrams: int = 0
    """Lost here, because the network took nothing for so long that too many waited."""


class Driver(Generic[MachineT]):
    """One machine and the carriers that it speaks through.

    Args:
        loop: the event loop; everything happens in its thread.
        machine: the machine.
        on_event: takes each event, in order; it may call `run`.
        trace: sees every datagram.
        locate: answers the lookups of the machine; without it they fail.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: MachineT,
        on_event: Callable[[Any], None],
        *,
        trace: Trace | None = None,
        locate: Locate | None = None,
        clock: Callable[[], Nanos] = monotonic_ns,
    ) -> None:
        self.machine = machine
        self.counts = TrafficCounts()
        self.trace = trace
        self.clock = clock
        self._loop = loop
        self._on_event = on_event
        self._locate = locate
        self._lookups_to_make = getattr(machine, "lookups_to_make", None)
        self._lookups: set[asyncio.Future[Any]] = set()
        self._carriers: dict[Transport, Carrier] = {}
        self._failures: deque[Callable[[], None]] = deque()
        self._is_draining = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanos = 0

    # for programs

    def run(self, command: Callable[[MachineT, Nanos], ResultT]) -> ResultT:
        """Give the machine a command and drain it; what the command raises is raised here, after the drain."""
        try:
            return command(self.machine, self.clock())
        finally:
            self.drain()

    def close(self) -> None:
        """Close every carrier; the machine is neither woken nor drained any more."""
        if self._is_closed:
            return
        self._is_closed = True
        for carrier in set(self._carriers.values()):
            carrier.close()
        for lookup in self._lookups:
            lookup.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # for carriers

    @property
    def is_closed(self) -> bool:
        """Tell whether `close` was called."""
        return self._is_closed

    def add_carrier(self, carrier: Carrier, transports: Iterable[Transport]) -> None:
        """Send what goes over these transports by `carrier` from now on."""
        self._carriers.update(dict.fromkeys(transports, carrier))

    def receive(self, data: bytes, source: Hop) -> None:
        """Hand a datagram to the machine and drain it; should that fail, it costs this datagram and nothing else."""
        self._take(data, source)
        self._arm()

    def receive_all(self, datagrams: Iterable[tuple[bytes, Hop]]) -> None:
        """Hand each of some datagrams to the machine and drain it before the next; the timer is armed once."""
        for data, source in datagrams:
            self._take(data, source)
        self._arm()

    def sent(self, datagram: Datagram) -> None:
        """Note that a datagram went out."""
        counts = self.counts
        counts.datagrams_sent += 1
        counts.bytes_sent += len(datagram.data)
        if self.trace is not None:
            self.trace("out", datagram.data, datagram.destination)

    def failed(self, destination: Hop, reason: str, at_fault: bytes | None = None) -> None:
        """Note that nothing, or only this one datagram, can be sent there; the machine hears of it when drained."""
        self._failures.append(partial(self._report_failure, destination, reason, at_fault))

    def lost(self, flow: int, hop: Hop, reason: str) -> None:
        """Note that a connection is gone; the machine hears of it when drained."""
        self._failures.append(partial(self._report_loss, flow, hop, reason))

    def drain(self) -> None:
        """Send and tell everything, in the order in which the machine brings it forth, until it is quiet."""
        if not self._is_draining:
            self._drain()
            self._arm()

    def report_fault(self, message: str, error: Exception) -> None:
        """Report a fault of ours to the loop, and go on."""
        self._loop.call_exception_handler({"message": message, "exception": error})

    # private

    def _take(self, data: bytes, source: Hop) -> None:
        counts = self.counts
        counts.datagrams_received += 1
        counts.bytes_received += len(data)
        if self.trace is not None:
            self.trace("in", data, source)
        try:
            self.machine.receive_datagram(data, source, now=self.clock())
        except Exception as error:
            self.report_fault(f"fault while taking a datagram from {source}", error)
        if not self._is_draining:
            self._drain()

    def _drain(self) -> None:
        self._is_draining = True
        try:
            machine = self.machine
            while not self._is_closed:
                for datagram in machine.datagrams_to_send():
                    self._send(datagram)
                event = machine.next_event()
                if event is not None:
                    self._tell(event)
                elif not self._look_up() and not (self._failures and self._tell_failures()):
                    return
        finally:
            self._is_draining = False

    def _send(self, datagram: Datagram) -> None:
        if self._is_closed:
            return
        carrier = self._carriers.get(datagram.destination.transport)
        if carrier is None:
            self.failed(datagram.destination, f"nothing here sends over {datagram.destination.transport}")
        else:
            carrier.send(datagram)

    def _tell_failures(self) -> bool:
        """Tell the machine what the network said; return whether there was anything."""
        told = bool(self._failures)
        while self._failures:
            self._failures.popleft()()
        return told

    def _tell(self, event: Any) -> None:
        """Hand an event to the program; its faults are reported and do not stop the machine."""
        try:
            self._on_event(event)
        except Exception as error:
            self.report_fault(f"fault while handling {type(event).__name__}", error)

    def _look_up(self) -> bool:
        """Start what the machine wants to know; return whether there was anything."""
        if self._lookups_to_make is None:
            return False
        wanted = self._lookups_to_make()
        for lookup in wanted:
            task = self._loop.create_task(self._find(lookup))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
        return bool(wanted)

    async def _find(self, lookup: Any) -> None:
        hops: Sequence[Hop] = ()
        reason = "names are not looked up here"
        if self._locate is not None:
            try:
                hops, reason = await self._locate(lookup)
            except Exception as error:
                self.report_fault(f"fault while looking up {lookup.uri}", error)
                hops, reason = (), "the lookup failed"
        if not self._is_closed:
            self.run(lambda machine, now: machine.receive_lookup(lookup.number, hops, reason, now=now))  # type: ignore[attr-defined]

    def _report_failure(self, destination: Hop, reason: str, at_fault: bytes | None) -> None:
        report = getattr(self.machine, "transport_failed", None)
        if report is not None:
            report(destination, reason, at_fault=at_fault, now=self.clock())

    def _report_loss(self, flow: int, hop: Hop, reason: str) -> None:
        report = getattr(self.machine, "flow_lost", None)
        if report is not None:
            report(flow, hop, reason, now=self.clock())

    def _wake(self) -> None:
        self._timer = None
        if self.clock() > self._timer_at + LATE_NS:
            for carrier in set(self._carriers.values()):
                carrier.read_ahead()
            if self._is_closed:
                return
        deadline = self.machine.next_timeout()
        now = self.clock()
        if deadline is not None and deadline.at <= now + EARLY_NS:
            try:
                self.machine.handle_timeout(now=max(now, deadline.at))
            except Exception as error:  # or nobody would be woken ever again
                self.report_fault(f"fault at a timer ({deadline.reason})", error)
        self.drain()

    def _arm(self) -> None:
        """Arm the timer unless it is armed for the deadline or sooner: an early wake costs less than arming anew."""
        if self._is_closed:
            return
        deadline = self.machine.next_timeout()
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer_at <= deadline.at:
                return
            self._timer.cancel()
        self._timer_at = deadline.at
        self._timer = self._loop.call_later(max(0, deadline.at - self.clock()) / SECOND, self._wake)
