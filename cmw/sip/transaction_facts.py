"""What the transaction layer tells its user: facts about requests and responses."""

from __future__ import annotations

from typing import NamedTuple

from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.transaction import Transaction


class ResponseReceived(NamedTuple):
    """A response came that its transaction lets pass."""

    transaction: Transaction
    owner: object
    response: Response
    source: Hop


class RequestReceived(NamedTuple):
    """A new request came; the user has to respond through its transaction.

    `is_merged` tells that the same request is being served already after another path. Source: RFC 3261 8.2.2.2.
    """

    transaction: Transaction
    request: Request
    source: Hop
    is_merged: bool


class AckReceived(NamedTuple):
    """An ACK came that belongs to no failure response: it is for a 2xx, or astray."""

    request: Request
    source: Hop


class TransactionTimedOut(NamedTuple):
    """The other side stayed silent: no response to our request, or no ACK of our failure response."""

    transaction: Transaction
    owner: object


class TransportFailed(NamedTuple):
    """The network refused what the transaction sent. Source: RFC 3261 8.1.3.1."""

    transaction: Transaction
    owner: object
    reason: str


Fact = ResponseReceived | RequestReceived | AckReceived | TransactionTimedOut | TransportFailed
