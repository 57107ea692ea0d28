"""What a `Registrar` tells: facts, each with the instant it became one."""

from __future__ import annotations

from enum import StrEnum

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.hop import Hop


class RegistrarDiscardReason(StrEnum):
    """Why a message had no further effect."""

    MALFORMED = "malformed"
    """No SIP message could be read; a request was answered when enough of it came through."""
    NOT_CLAIMED = "not_claimed"
    """The request is for nobody who is registered here."""
    STRAY_RESPONSE = "stray_response"
    """The response answers nothing that was sent on from here."""
    ACK_ABSORBED = "ack_absorbed"
    """The ACK ends here: it is for an answer of our own, or cannot be sent on. Source: RFC 3261 16.11."""


@fact
class UserRegistered:
    """A binding was made or made anew.

    Args:
        user: user part of the address of record.
        contact: raw text of the contact's URI.
        expires_s: lifetime granted, seconds.
    """

    user: str
    contact: str
    expires_s: int
    at: Nanos


@fact
class UserUnregistered:
    """A binding ended.

    Args:
        expired: its time was over; False when its user removed it.
        is_lost: the connection that led to it is gone.
    """

    user: str
    contact: str
    expired: bool
    at: Nanos
    is_lost: bool = False


@fact
class RegistrarDiscarded:
    """A message had no further effect."""

    reason: RegistrarDiscardReason
    source: Hop
    detail: str
    at: Nanos


RegistrarEvent = UserRegistered | UserUnregistered | RegistrarDiscarded
