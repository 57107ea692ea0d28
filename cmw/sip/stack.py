"""What the calls and registrations of one user agent share: transactions, address, and the queues of their effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.errors import LocalProtocolError
from cmw.sip.account import Account
from cmw.sip.client_request import Timed
from cmw.sip.events import Event
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import Listener, OwnAddresses
from cmw.sip.lookup import literal_hop
from cmw.sip.message import make_response
from cmw.sip.protection_spaces import ProtectionSpaces
from cmw.sip.sender import Sender
from cmw.sip.timing import Timing
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.uri import is_sips


class Stack:
    """The shared part of one user agent.

    Args:
        listeners: where it can be reached, by transport.
        ids: source of identifiers.
        user_agent: value of User-Agent and Server.
        timing: base values of the timers.
        max_udp_bytes: a longer request goes over TCP where we have it.
    """

    def __init__(
        self, *, listeners: Iterable[Listener], ids: Ids, user_agent: str, timing: Timing, max_udp_bytes: int
    ) -> None:
        self.own = OwnAddresses(listeners, ids)
        self.ids = ids
        self.user_agent = user_agent
        self.timing = timing
        self.out: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.layer = TransactionLayer(own=self.own, ids=ids, timing=timing, out=self.out)
        self.heap: DeadlineHeap[Timed] = DeadlineHeap()
        self.sender = Sender(
            self.layer, own=self.own, ids=ids, out=self.out, heap=self.heap, timing=timing, max_udp_bytes=max_udp_bytes
        )
        self.last_handle = 0
        self.forks_ignored = 0
        self.dialogs: dict[tuple[str, str], object] = {}
        self.transfers: dict[int, object] = {}
        self.accounts: dict[str, Account] = {}
        self.realms: dict[str, ProtectionSpaces] = {}
        self.homes: dict[str, Hop] = {}
        """Where the account with a user part in its Contact has registered, be it through a proxy."""

    def contact(self, user: str, hop: Hop, *, is_secure: bool = False) -> str:
        """Return the URI by which whoever is behind `hop` reaches `user` here.

        Args:
            is_secure: for a request to a SIPS URI.
        """
        return self.own.towards(hop).contact(user, is_secure=is_secure)

    def contact_for(self, user: str, uri: str, destination: Hop | None = None) -> str:
        """Return the Contact URI for a request on its way to `uri`, as far as it is known by which transport it goes.

        Args:
            user: user part, "" for none.
            uri: the first route or the Request-URI.
            destination: goes before it.
        """
        hop = destination or literal_hop(uri)
        own = self.own.first if hop is None else self.own.towards(hop)
        return own.contact(user, is_secure=is_sips(uri))

    def check_hop(self, hop: Hop) -> Hop:
        """Return a hop, refusing with `LocalProtocolError` one that we have no listener to reach by."""
        if hop.transport not in self.own:
            raise LocalProtocolError(f"expected a listener for {hop.transport} to reach {hop}, found none")
        return hop

    def new_handle(self) -> int:
        """Return a number that the user will know a call, a registration, a request or a transfer by."""
        self.last_handle += 1
        return self.last_handle

    def rearm(self, machine: Timed, deadline: Deadline | None) -> None:
        """Remember when `machine` has to be woken."""
        self.heap.set(machine, deadline)

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
