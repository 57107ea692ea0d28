"""A request of ours within a dialog, from the order to the answer, through challenges. Source: RFC 3261 12.2.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cmw.core.clock import Nanos
from cmw.sip.authentication import Attempt
from cmw.sip.client_request import ClientRequest
from cmw.sip.hop import Hop
from cmw.sip.leg import Leg
from cmw.sip.message import Response
from cmw.sip.methods import CHANGING_METHODS


class Asker(Protocol):
    """The part of a call that sent a request and waits for its answer."""

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take the final response, challenges that we answer apart."""
        ...

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the end without a response: 408 after silence, 503 after an error of the network, 0 with the call."""
        ...


@dataclass(slots=True, eq=False)
class DialogRequest:
    """What is sent, in which dialog, and who waits for the answer.

    Args:
        method: the method.
        leg: the dialog.
        asker: who waits.
        headers: rows beside those of the dialog.
        body: the body; SDP where `headers` says nothing else.
        handle: the number that the user knows it by, 0 for none.
        challenged: what was sent before the peer asked for our credentials, None as long as it did not.
        attempt: what was answered to its challenges.
    """

    method: str
    leg: Leg
    asker: Asker
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    handle: int = 0
    challenged: ClientRequest | None = None
    attempt: Attempt | None = None


ENDING_STATUSES = frozenset((404, 408, 410, 416, 480, 481, 482, 483, 484, 485, 502, 604))
"""Answers to a re-INVITE or UPDATE that mean: there is no such call any more. Source: RFC 5057 5.1."""


def ends_call(method: str, status: int) -> bool:
    """Tell whether an answer says that the peer has lost the call.

    481 says so of every request but NOTIFY, whose subscription alone it may speak of.
    """
    if method in CHANGING_METHODS:
        return status in ENDING_STATUSES
    return status == 481 and method not in ("NOTIFY", "BYE", "PRACK")


class _Silent:
    """The asker of what nobody wants to know the answer of."""

    def answered(self, asked: DialogRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Ignore the answer."""

    def unanswered(self, asked: DialogRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Ignore the silence."""


SILENT = _Silent()
