"""What a `UserAgent` tells: facts, each with the instant it became one.

Every call ends with exactly one of `CallRejected`, `CallTimedOut`, `CallCancelled` and `CallEnded`; every registration
with one of `RegistrationFailed` and `RegistrationEnded`. A handle stays valid until the event after its last one is
asked for.
"""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.call_events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallLost,
    CallOffered,
    CallProceeding,
    CallRedirected,
    CallRejected,
    CallReplaced,
    CallTimedOut,
    Ending,
    LossCause,
    TimeoutStage,
)
from cmw.sip.discard_reason import DiscardReason
from cmw.sip.hop import Hop
from cmw.sip.registration_events import (
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
)
from cmw.sip.request_events import (
    InfoReceived,
    MessageReceived,
    NotifyReceived,
    RequestAnswered,
    RequestFailed,
    RequestSucceeded,
)
from cmw.sip.session_events import (
    CallModified,
    CallRefreshed,
    CallReoffered,
    CallReofferRejected,
    CallReofferWithdrawn,
    SessionExpired,
)
from cmw.sip.transfer_events import TransferAccepted, TransferCompleted, TransferProgressed, TransferRequested

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


@fact
class DatagramDiscarded:
    """A datagram had no effect."""

    reason: DiscardReason
    source: Hop
    detail: str
    at: Nanos


CallEvent = (
    CallOffered
    | CallProceeding
    | CallAnswered
    | CallConfirmed
    | CallRedirected
    | CallLost
    | CallReplaced
    | CallRejected
    | CallTimedOut
    | CallCancelled
    | CallEnded
    | CallReoffered
    | CallReofferWithdrawn
    | CallModified
    | CallReofferRejected
    | CallRefreshed
    | SessionExpired
    | TransferRequested
    | TransferAccepted
    | TransferProgressed
    | TransferCompleted
    | InfoReceived
    | MessageReceived
    | NotifyReceived
    | RequestSucceeded
    | RequestFailed
)
Event = RegistrationEvent | CallEvent | RequestAnswered | DatagramDiscarded
