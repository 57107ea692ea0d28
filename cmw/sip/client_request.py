"""A request of ours on its way: over one hop after another until it is answered. Source: RFC 3263 4.3."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from cmw.core.clock import Nanos
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_tables import State


class Timed(Hashable, Protocol):
    """Whoever has timers."""

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let its timers fire."""
        ...


class RequestOwner(Protocol):
    """Whoever sends requests: a call, a registration, a request of its own."""

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to one of its requests."""
        ...

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end of a request without a response: 408 after silence, 503 when no hop could be reached."""
        ...


class _Nobody:
    """The owner of what gets no answer: an ACK."""

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Ignore a response."""

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Ignore that it could not be sent: its 2xx comes again, and the ACK is tried again then."""


NOBODY = _Nobody()


class ClientRequest:
    """One request, and the transaction that carries it at this moment; made by `Sender.send`.

    Args:
        request: without Via.
        owner: the machine that is told of responses.
        next_uri: where it goes: the first route, or else the Request-URI.
        fallback: hop to take when `next_uri` leads nowhere: where the peer's own messages came from.
        own_flow: which connection takes the place of that of `fallback` when it is gone, 0 for any.
        contact: the URI of ours that its Contact shows, "" when it has none; it follows the transport.
        contact_user: user part of that URI.
        tries: how often all the hops may be tried.

    Attributes:
        transaction: the latest one; None as long as no hop is known.
        hop: where it was sent, None before.
        hops: where it is sent next if that fails.
        hops_again: where it is sent once these are used up, while there are `tries` left.
        udp_hop: where it is sent if nobody takes it over TCP, which it took for its size.
        data: what was sent.
        heard_until: until when an INVITE that went another way meanwhile may still be accepted on the earlier one.
        is_kept: it is not sent anywhere else any more; its owner may say so.
        is_withdrawn: nobody is told of it any more.
    """

    __slots__ = (
        "contact",
        "contact_user",
        "data",
        "fallback",
        "heard_until",
        "hop",
        "hops",
        "hops_again",
        "is_kept",
        "is_withdrawn",
        "next_uri",
        "own_flow",
        "owner",
        "request",
        "retransmissions_before",
        "transaction",
        "tries",
        "udp_hop",
    )

    def __init__(
        self,
        request: Request,
        owner: RequestOwner,
        next_uri: str,
        fallback: Hop | None,
        own_flow: int,
        contact: str,
        contact_user: str,
        tries: int,
    ) -> None:
        self.request = request
        self.owner = owner
        self.next_uri = next_uri
        self.fallback = fallback
        self.own_flow = own_flow
        self.contact_user = contact_user
        self.tries = tries
        self.contact = contact
        self.transaction: Transaction | None = None
        self.hop: Hop | None = None
        self.hops: tuple[Hop, ...] = ()
        self.hops_again: tuple[Hop, ...] = ()
        self.data = b""
        self.udp_hop: Hop | None = None
        self.heard_until: Nanos = 0
        self.is_kept = False
        self.is_withdrawn = False
        self.retransmissions_before = 0

    @property
    def method(self) -> str:
        """Return the method."""
        return self.request.method

    @property
    def state(self) -> State | None:
        """Return the state of the transaction; None as long as no hop is known."""
        return None if self.transaction is None else self.transaction.state

    @property
    def retransmissions(self) -> int:
        """Return how often the request was sent again, to whatever hop."""
        current = 0 if self.transaction is None else self.transaction.retransmissions
        return self.retransmissions_before + current
