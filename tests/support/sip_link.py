"""Two or more SIP machines on a network that exists only in virtual time: it delays, loses, doubles and reorders."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

from cmw.core.address import Address
from cmw.core.clock import MILLISECOND, Nanos
from cmw.core.timers import Deadline
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import Listener
from cmw.sip.lookup import Lookup
from cmw.sip.message import Request, Response, parse_message


class Machine(Protocol):
    """What the link needs of a sans-IO machine."""

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None: ...
    def handle_timeout(self, *, now: Nanos) -> None: ...
    def datagrams_to_send(self) -> list[Datagram]: ...
    def next_timeout(self) -> Deadline | None: ...
    def next_event(self) -> object | None: ...


def listen_at(*hops: Hop) -> list[Listener]:
    """Return the listeners of a user agent that is at `hops`."""
    return [Listener(hop.transport, Address(hop.host, hop.port)) for hop in hops]


def summary(data: bytes) -> str:
    """Return ``INVITE`` for a request, ``200 INVITE`` for a response."""
    message = parse_message(data)
    return message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"


@dataclass
class Sent:
    """One datagram on the link."""

    at: Nanos
    source: Hop
    destination: Hop
    data: bytes
    is_lost: bool

    @property
    def what(self) -> str:
        return summary(self.data)

    @property
    def message(self) -> Request | Response:
        return parse_message(self.data)


def lose_nothing(sent: Sent) -> bool:
    return False


@dataclass
class Link:
    """A network without sockets.

    Args:
        delay_ns: one-way delay.
        lose: tells whether a datagram is lost; sees it before it is recorded.
        names: where each name leads, for lookups; others do not exist.
        chaos: when given, adds up to `jitter_ns` to each delay (so datagrams overtake each other) and doubles some.
    """

    delay_ns: Nanos = 10 * MILLISECOND
    lose: Callable[[Sent], bool] = lose_nothing
    chaos: random.Random | None = None
    jitter_ns: Nanos = 0
    double: float = 0.0
    now: Nanos = 0
    machines: dict[Hop, Machine] = field(default_factory=dict)
    on_event: dict[Hop, Callable[[object], None]] = field(default_factory=dict)
    events: dict[Hop, list[object]] = field(default_factory=dict)
    log: list[Sent] = field(default_factory=list)
    names: dict[str, list[Hop]] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    _flying: list[tuple[Nanos, int, Sent]] = field(default_factory=list)
    _order: int = 0

    def attach(self, address: Hop, machine: Machine, on_event: Callable[[object], None] | None = None) -> None:
        self.machines[address] = machine
        self.events[address] = []
        self.on_event[address] = on_event or (lambda event: None)

    def drain(self) -> None:
        """Carry what every machine wants to send, ask and tell, until all are quiet."""
        busy = True
        while busy:
            busy = False
            for address, machine in self.machines.items():
                for datagram in machine.datagrams_to_send():
                    busy = True
                    self._carry(address, datagram)
                for lookup in getattr(machine, "lookups_to_make", list)():
                    busy = True
                    self.lookups.append(lookup)
                    hops = self.names.get(lookup.uri.host, [])
                    machine.receive_lookup(lookup.number, hops, "no such name", now=self.now)  # type: ignore[attr-defined]
                while (event := machine.next_event()) is not None:
                    busy = True
                    self.events[address].append(event)
                    self.on_event[address](event)

    def inject(self, source: Hop, destination: Hop, data: bytes) -> None:
        """Put a datagram of a stranger on the link."""
        self._carry(source, Datagram(data, destination))

    def run(self, until: Nanos) -> None:
        """Let time pass up to `until`."""
        self.drain()
        while (at := self._next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self._step()
            self.drain()
        self.now = max(self.now, until)

    def run_until_quiet(self, limit: Nanos) -> None:
        """Let time pass until nothing is left to happen, at most up to `limit`."""
        self.drain()
        while (at := self._next_at()) is not None and at <= limit:
            self.now = max(self.now, at)
            self._step()
            self.drain()

    def sent(self, source: Hop) -> list[str]:
        """Return what one party has sent, lost or not."""
        return [each.what for each in self.log if each.source == source]

    def _carry(self, source: Hop, datagram: Datagram) -> None:
        sent = Sent(self.now, source, datagram.destination, datagram.data, is_lost=False)
        sent.is_lost = self.lose(sent)
        self.log.append(sent)
        if sent.is_lost:
            return
        copies = 2 if self.chaos is not None and self.chaos.random() < self.double else 1
        for _ in range(copies):
            delay_ns = self.delay_ns
            if self.chaos is not None:
                delay_ns += int(self.chaos.random() * self.jitter_ns)
            self._order += 1
            heappush(self._flying, (self.now + delay_ns, self._order, sent))

    def _next_at(self) -> Nanos | None:
        instants = [self._flying[0][0]] if self._flying else []
        for machine in self.machines.values():
            deadline = machine.next_timeout()
            if deadline is not None:
                instants.append(deadline.at)
        return min(instants, default=None)

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, sent = heappop(self._flying)
            machine = self.machines.get(sent.destination)
            if machine is not None:
                machine.receive_datagram(sent.data, sent.source, now=self.now)
        for machine in self.machines.values():
            deadline = machine.next_timeout()
            if deadline is not None and deadline.at <= self.now:
                machine.handle_timeout(now=self.now)
