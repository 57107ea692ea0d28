"""SIP as a library without I/O: values, transactions, dialogs, registrations and calls. Standard library only."""

from cmw.sip.account import Account
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy, Keying
from cmw.sip.call_events import (
    CallLost,
    CallRedirected,
    CallRefreshed,
    CallReofferRejected,
    CallReofferWithdrawn,
    CallReplaced,
    InfoReceived,
    LossCause,
    MessageReceived,
    NotifyReceived,
    RequestFailed,
    RequestSucceeded,
    SessionExpired,
    TransferAccepted,
    TransferCompleted,
    TransferProgressed,
    TransferRequested,
)
from cmw.sip.call_options import CallOptions
from cmw.sip.call_state import CallCounts, CallInstants, CallSnapshot, CallState
from cmw.sip.digest import Challenge, Credentials, authorize, choose_challenges, parse_challenges
from cmw.sip.digest_verifier import DigestResult, DigestStatus, DigestVerifier
from cmw.sip.dtmf_info import DtmfDigit, make_dtmf_info, read_dtmf_info
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallEvent,
    CallModified,
    CallOffered,
    CallProceeding,
    CallRejected,
    CallReoffered,
    CallTimedOut,
    DatagramDiscarded,
    DiscardReason,
    Ending,
    Event,
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
    RequestAnswered,
    TimeoutStage,
)
from cmw.sip.grammar import Params
from cmw.sip.headers import Headers
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.identity import Identity, read_identity
from cmw.sip.listener import Listener
from cmw.sip.lookup import Lookup
from cmw.sip.message import (
    CSeq,
    MalformedMessageError,
    Request,
    Response,
    make_response,
    parse_cseq,
    parse_message,
    serialize_message,
)
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.negotiated_audio import AudioChange, NegotiatedAudio, find_changes
from cmw.sip.negotiator import Negotiator
from cmw.sip.offer_answer import make_offer, negotiate, read_answer
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.register_answer import BoundContact, RegisterAnswer
from cmw.sip.registrar import Registrar
from cmw.sip.registrar_events import RegistrarDiscarded, RegistrarEvent, UserRegistered, UserUnregistered
from cmw.sip.registration_snapshot import RegistrationFigures, RegistrationSnapshot, RegistrationState
from cmw.sip.replaces import Replaces
from cmw.sip.retry_after import RetryAfter
from cmw.sip.retry_policy import RetryPolicy
from cmw.sip.sdp import Attributes, Connection, MediaDescription, Origin, SessionDescription, serialize_sdp
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import SdpWarning, SessionRefusedError, serialize_warnings, warning_rows
from cmw.sip.session_timer import Refresher, SessionTimerChoice, Support
from cmw.sip.status import reason_phrase
from cmw.sip.timing import Timer, Timing
from cmw.sip.transfer import ReferTo
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.user_agent import UserAgent
from cmw.sip.via import Via, parse_via

__all__ = [
    "PCMA",
    "PCMU",
    "Account",
    "Attributes",
    "AudioChange",
    "AudioCodec",
    "AudioPolicy",
    "BoundContact",
    "CSeq",
    "CallAnswered",
    "CallCancelled",
    "CallConfirmed",
    "CallCounts",
    "CallEnded",
    "CallEvent",
    "CallInstants",
    "CallLost",
    "CallModified",
    "CallOffered",
    "CallOptions",
    "CallProceeding",
    "CallRedirected",
    "CallRefreshed",
    "CallRejected",
    "CallReofferRejected",
    "CallReofferWithdrawn",
    "CallReoffered",
    "CallReplaced",
    "CallSnapshot",
    "CallState",
    "CallTimedOut",
    "Challenge",
    "Connection",
    "Credentials",
    "Datagram",
    "DatagramDiscarded",
    "DigestResult",
    "DigestStatus",
    "DigestVerifier",
    "Direction",
    "DiscardReason",
    "DtmfDigit",
    "Ending",
    "Event",
    "Follow",
    "Headers",
    "Hop",
    "Identity",
    "InfoReceived",
    "Keying",
    "Listener",
    "Lookup",
    "LossCause",
    "MalformedMessageError",
    "MediaDescription",
    "MessageReceived",
    "NameAddr",
    "NegotiatedAudio",
    "Negotiator",
    "NotifyReceived",
    "Origin",
    "Params",
    "RedirectPolicy",
    "ReferTo",
    "Refresher",
    "RegisterAnswer",
    "Registrar",
    "RegistrarDiscarded",
    "RegistrarEvent",
    "RegistrationDelayed",
    "RegistrationEnded",
    "RegistrationEvent",
    "RegistrationFailed",
    "RegistrationFigures",
    "RegistrationLost",
    "RegistrationSnapshot",
    "RegistrationState",
    "RegistrationSucceeded",
    "Replaces",
    "Request",
    "RequestAnswered",
    "RequestFailed",
    "RequestSucceeded",
    "Response",
    "RetryAfter",
    "RetryPolicy",
    "SdpWarning",
    "SessionDescription",
    "SessionExpired",
    "SessionRefusedError",
    "SessionTimerChoice",
    "SipUri",
    "Support",
    "TimeoutStage",
    "Timer",
    "Timing",
    "TransferAccepted",
    "TransferCompleted",
    "TransferProgressed",
    "TransferRequested",
    "Transport",
    "UserAgent",
    "UserRegistered",
    "UserUnregistered",
    "Via",
    "authorize",
    "choose_challenges",
    "find_changes",
    "make_dtmf_info",
    "make_offer",
    "make_response",
    "negotiate",
    "parse_challenges",
    "parse_cseq",
    "parse_message",
    "parse_name_addr",
    "parse_sdp",
    "parse_uri",
    "parse_via",
    "read_answer",
    "read_dtmf_info",
    "read_identity",
    "reason_phrase",
    "serialize_message",
    "serialize_sdp",
    "serialize_warnings",
    "warning_rows",
]
