"""What the calls and registrations of one user agent share: transactions, address, and the queues of their effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Protocol

from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.sip.account import Account
from cmw.sip.events import Event
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import Listener, OwnAddresses
from cmw.sip.message import Request, Response, make_response, serialize_message
from cmw.sip.timing import Timing
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_layer import TransactionLayer

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
"""The methods that are served."""

SDP_TYPE = "application/sdp"
"""The only body that opens a session here."""


class Timed(Hashable, Protocol):
    """Whoever has timers."""

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let its timers fire."""
        ...


class Machine(Timed, Protocol):
    """A call or a registration, as seen from the transactions that it owns."""

    def response_received(self, transaction: Transaction, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to one of its requests."""
        ...

    def transaction_failed(self, transaction: Transaction, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of a transaction without a response: 408 after silence, 503 after a transport error."""
        ...


class Stack:
    """The shared part of one user agent.

    Args:
        listeners: where it can be reached, by transport.
        ids: source of identifiers.
        user_agent: value of User-Agent and Server.
        timing: base values of the timers.
    """

    def __init__(self, *, listeners: Iterable[Listener], ids: Ids, user_agent: str, timing: Timing) -> None:
        self.own = OwnAddresses(listeners, ids)
        self.ids = ids
        self.user_agent = user_agent
        self.timing = timing
        self.out: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.layer = TransactionLayer(own=self.own, ids=ids, timing=timing, out=self.out)
        self.heap: DeadlineHeap[Timed] = DeadlineHeap()
        self.dialogs: dict[tuple[str, str], object] = {}
        self.accounts: dict[str, Account] = {}
        self.realms: dict[str, set[str]] = {}

    def contact(self, user: str, hop: Hop, *, is_secure: bool = False) -> str:
        """Return the URI by which whoever is behind `hop` reaches `user` here.

        Args:
            is_secure: for a request to a SIPS URI.
        """
        return self.own.towards(hop).contact(user, is_secure=is_secure)

    def rearm(self, machine: Timed, deadline: Deadline | None) -> None:
        """Remember when `machine` has to be woken."""
        self.heap.set(machine, deadline)

    def send_once(self, request: Request, destination: Hop) -> bytes:
        """Send a request that has no transaction, the ACK of a 2xx; return its bytes for sending them again."""
        request.headers.add_first("Via", self.layer.new_via(destination))
        data = serialize_message(request)
        self.out.append(Datagram(data, destination))
        return data

    def respond(
        self,
        transaction: Transaction,
        status: int,
        reason: str = "",
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        now: Nanos,
    ) -> None:
        """Answer a request through its transaction."""
        response = make_response(transaction.request, status, reason, to_tag=to_tag, headers=headers, body=body)
        response.headers.add("Server", self.user_agent)
        self.layer.respond(transaction, response, now=now)
