"""A user agent and a registrar behind one socket: each message goes to the one it is for."""

from __future__ import annotations

from collections.abc import Sequence

from cmw.core.clock import Nanos
from cmw.core.timers import Deadline
from cmw.sip.events import Event
from cmw.sip.hop import Datagram, Hop
from cmw.sip.lookup import Lookup
from cmw.sip.message import MalformedMessageError, Request, parse_message
from cmw.sip.registrar import Registrar
from cmw.sip.registrar_events import RegistrarEvent
from cmw.sip.user_agent import UserAgent


class SharedSocket:
    """The methods of a user agent over both.

    What belongs to a call of the agent's stays with the agent, even when the user it names registers during the call.
    Of the rest, what the registrar does not claim is the agent's, and so is what cannot be read.
    """

    def __init__(self, agent: UserAgent, registrar: Registrar) -> None:
        self.agent = agent
        self.registrar = registrar

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        """Take a datagram; whatever it holds, nothing is raised."""
        try:
            message = parse_message(data)
        except MalformedMessageError:
            self.agent.receive_datagram(data, source, now=now)  # it answers and counts what is malformed
            return
        is_of_call = isinstance(message, Request) and self.agent.knows(message)
        if not is_of_call and self.registrar.claims(message, source):
            self.registrar.receive_message(message, source, now=now)
        else:
            self.agent.receive_message(message, source, now=now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let every timer fire that is due."""
        self.agent.handle_timeout(now=now)
        self.registrar.handle_timeout(now=now)

    def transport_failed(self, destination: Hop, reason: str, *, at_fault: bytes | None = None, now: Nanos) -> None:
        """Take the network's word that nobody listens at `destination`, or that one datagram cannot be sent."""
        self.agent.transport_failed(destination, reason, at_fault=at_fault, now=now)

    def flow_lost(self, flow: int, hop: Hop, reason: str, *, now: Nanos) -> None:
        """Take the end of a connection."""
        self.agent.flow_lost(flow, hop, reason, now=now)
        self.registrar.flow_lost(flow, now=now)

    def lookups_to_make(self) -> list[Lookup]:
        """Return the names to look up; drains."""
        return self.agent.lookups_to_make()

    def receive_lookup(self, number: int, hops: Sequence[Hop], reason: str = "", *, now: Nanos) -> None:
        """Take the answer to a lookup."""
        self.agent.receive_lookup(number, hops, reason, now=now)

    def datagrams_to_send(self) -> list[Datagram]:
        """Return the datagrams of both; drains."""
        return self.agent.datagrams_to_send() + self.registrar.datagrams_to_send()

    def next_event(self) -> Event | RegistrarEvent | None:
        """Return the next event of either; drains one."""
        return self.agent.next_event() or self.registrar.next_event()

    def next_timeout(self) -> Deadline | None:
        """Return when to come back."""
        deadlines = [d for d in (self.agent.next_timeout(), self.registrar.next_timeout()) if d is not None]
        return min(deadlines, key=lambda deadline: deadline.at, default=None)
