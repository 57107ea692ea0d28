"""What a `UserAgent` tells: facts, each with the instant it became one.

Every call ends with exactly one of `CallRejected`, `CallTimedOut`, `CallCancelled` and `CallEnded`; every registration
with one of `RegistrationFailed` and `RegistrationEnded`. A handle stays valid until the event after its last one is
asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cmw.core.clock import Nanos
from cmw.sip.call_events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallEvent,
    CallLost,
    CallModified,
    CallOffered,
    CallProceeding,
    CallRedirected,
    CallRefreshed,
    CallRejected,
    CallReoffered,
    CallReofferRejected,
    CallReofferWithdrawn,
    CallReplaced,
    CallTimedOut,
    Ending,
    InfoReceived,
    LossCause,
    MessageReceived,
    NotifyReceived,
    RequestFailed,
    RequestSucceeded,
    SessionExpired,
    TimeoutStage,
    TransferAccepted,
    TransferCompleted,
    TransferProgressed,
    TransferRequested,
)
from cmw.sip.hop import Hop

__all__ = [
    "CallAnswered",
    "CallCancelled",
    "CallConfirmed",
    "CallEnded",
    "CallEvent",
    "CallLost",
    "CallModified",
    "CallOffered",
    "CallProceeding",
    "CallRedirected",
    "CallRefreshed",
    "CallRejected",
    "CallReofferRejected",
    "CallReofferWithdrawn",
    "CallReoffered",
    "CallReplaced",
    "CallTimedOut",
    "DatagramDiscarded",
    "DiscardReason",
    "Ending",
    "Event",
    "InfoReceived",
    "LossCause",
    "MessageReceived",
    "NotifyReceived",
    "RegistrationDelayed",
    "RegistrationEnded",
    "RegistrationEvent",
    "RegistrationFailed",
    "RegistrationLost",
    "RegistrationSucceeded",
    "RequestAnswered",
    "RequestFailed",
    "RequestSucceeded",
    "SessionExpired",
    "TimeoutStage",
    "TransferAccepted",
    "TransferCompleted",
    "TransferProgressed",
    "TransferRequested",
]


class DiscardReason(StrEnum):
    """Why a datagram had no effect."""

    KEEPALIVE = "keepalive"
    """Nothing but line breaks or zero bytes, as sent to keep NAT bindings open. Source: RFC 5626 4.4."""
    MALFORMED = "malformed"
    """The first line is neither a request line nor a status line. What has a Via is answered, here and below."""
    TOO_LONG = "too_long"
    """More bytes than a message may have."""
    BAD_VERSION = "bad_version"
    """Another version than SIP/2.0. Source: RFC 3261 21.5.6."""
    BAD_HEADER = "bad_header"
    """A header cannot be read, or there are too many."""
    MISSING_HEADER = "missing_header"
    """Via, From, To, Call-ID or CSeq is not there. Source: RFC 3261 8.1.1."""
    REPEATED_HEADER = "repeated_header"
    """A header stands several times that has one value only. Source: RFC 3261 7.3.1."""
    BAD_LENGTH = "bad_length"
    """The body is not as long as Content-Length says. Source: RFC 3261 18.3."""
    METHOD_MISMATCH = "method_mismatch"
    """The CSeq names another method than the request line. Source: RFC 3261 8.1.1.5."""
    SEVERAL_VIAS = "several_vias"
    """A response that was misrouted: its last hop is not us. Source: RFC 3261 8.1.3.3."""
    FOREIGN_VIA = "foreign_via"
    """A response whose Via names another address than ours. Source: RFC 3261 18.1.2."""
    STRAY_RESPONSE = "stray_response"
    """No transaction of ours has this branch. Source: RFC 6026 7.2."""
    STRAY_ACK = "stray_ack"
    """The ACK belongs to no call of ours."""
    NOT_CLAIMED = "not_claimed"
    """A registrar was handed a request that is none of its business."""


@dataclass(frozen=True, slots=True)
class RegistrationSucceeded:
    """A binding stands, for the first time or again.

    Args:
        expires_s: lifetime that the registrar granted, seconds.
    """

    registration: int
    expires_s: int
    at: Nanos


@dataclass(frozen=True, slots=True)
class RegistrationDelayed:
    """A REGISTER failed and will be tried again; a binding that stands still does.

    Args:
        status: the response that came, 0 when none did.
        again_at: when the next one goes at the earliest.
    """

    registration: int
    status: int
    reason: str
    again_at: Nanos
    at: Nanos


@dataclass(frozen=True, slots=True)
class RegistrationLost:
    """A binding stands no more: its time ran out before a refresh succeeded, or its connection is gone.

    It is tried again; `RegistrationSucceeded` tells that it stands again, `RegistrationFailed` that it never will.

    Args:
        status: the last response to a refresh, 0 when none came.
    """

    registration: int
    status: int
    reason: str
    at: Nanos


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """A registration is given up; its last event.

    Args:
        status: the response that ended it, 0 when none came.
    """

    registration: int
    status: int
    reason: str
    at: Nanos


@dataclass(frozen=True, slots=True)
class RegistrationEnded:
    """A binding was removed as asked; its last event."""

    registration: int
    at: Nanos


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A request outside of any call was answered without asking anyone: OPTIONS, an unknown method, a stray BYE."""

    method: str
    status: int
    source: Hop
    at: Nanos


@dataclass(frozen=True, slots=True)
class DatagramDiscarded:
    """A datagram had no effect."""

    reason: DiscardReason
    source: Hop
    detail: str
    at: Nanos


RegistrationEvent = (
    RegistrationSucceeded | RegistrationDelayed | RegistrationLost | RegistrationFailed | RegistrationEnded
)
Event = RegistrationEvent | CallEvent | RequestAnswered | DatagramDiscarded
