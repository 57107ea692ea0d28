"""What the calls and registrations of one listener share: transactions, identity, and the queues of their effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Protocol

from cmw.core.address import Address, Datagram
from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.sip.account import Account
from cmw.sip.events import Event
from cmw.sip.message import Request, Response, make_response, serialize_message
from cmw.sip.timing import Timing
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.uri import escape

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
"""The methods that are served."""

SDP_TYPE = "application/sdp"
"""The only body that opens a session here."""


class Machine(Hashable, Protocol):
    """A call or a registration, as seen from the transactions that it owns."""

    def response_received(self, transaction: Transaction, response: Response, source: Address, *, now: Nanos) -> None:
        """Take a response to one of its requests."""
        ...

    def transaction_failed(self, transaction: Transaction, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of a transaction without a response: 408 after silence, 503 after a transport error."""
        ...

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let its timers fire."""
        ...


class Stack:
    """The shared part of one listener.

    Args:
        advertised: host and port that peers reach us at; for Via and Contact.
        ids: source of identifiers.
        user_agent: value of User-Agent and Server.
        timing: base values of the timers.
    """

    def __init__(self, *, advertised: Address, ids: Ids, user_agent: str, timing: Timing) -> None:
        self.advertised = advertised
        self.ids = ids
        self.user_agent = user_agent
        self.timing = timing
        self.out: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.layer = TransactionLayer(sent_by=advertised, ids=ids, timing=timing, out=self.out)
        self.heap: DeadlineHeap[Machine] = DeadlineHeap()
        self.dialogs: dict[tuple[str, str], object] = {}
        self.accounts: dict[str, Account] = {}
        self.realms: dict[str, set[str]] = {}

    def contact(self, user: str) -> str:
        """Return the URI that reaches `user` here."""
        return f"sip:{escape(user)}@{self.advertised}" if user else f"sip:{self.advertised}"

    def rearm(self, machine: Machine, deadline: Deadline | None) -> None:
        """Remember when `machine` has to be woken."""
        self.heap.set(machine, deadline)

    def send_once(self, request: Request, destination: Address) -> bytes:
        """Send a request that has no transaction, the ACK of a 2xx; return its bytes for sending them again."""
        request.headers.add_first("Via", self.layer.new_via())
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
