"""SIP as a library without I/O: values, transactions, dialogs, registrations and calls. Standard library only."""

from cmw.core.address import Address
from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.ids import Ids
from cmw.core.timers import Deadline
from cmw.errors import CmwError, LocalProtocolError, RemoteProtocolError
from cmw.sip.account import Account
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy, Keying
from cmw.sip.authentication import Attempt, Authentication
from cmw.sip.authentication_info import AuthenticationInfo, parse_authentication_info, serialize_authentication_info
from cmw.sip.call_options import CallOptions
from cmw.sip.call_state import CallCounts, CallInstants, CallSnapshot, CallState
from cmw.sip.challenge import Challenge, choose_challenges, parse_challenges, serialize_challenge
from cmw.sip.credentials import Credentials
from cmw.sip.date import format_date, parse_date
from cmw.sip.digest import DigestSession, authorize
from cmw.sip.digest_algorithm import ALGORITHMS, make_ha1
from cmw.sip.digest_verifier import DigestResult, DigestStatus, DigestVerifier
from cmw.sip.dtmf_info import DtmfDigit, make_dtmf_info, read_dtmf_info
from cmw.sip.events import (
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
    DatagramDiscarded,
    DiscardReason,
    Ending,
    Event,
    InfoReceived,
    LossCause,
    MessageReceived,
    NotifyReceived,
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
    RequestAnswered,
    RequestFailed,
    RequestSucceeded,
    SessionExpired,
    TimeoutStage,
    TransferAccepted,
    TransferCompleted,
    TransferProgressed,
    TransferRequested,
)
from cmw.sip.grammar import Params
from cmw.sip.headers import Headers, canonical_name
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.identity import Identity, read_identity
from cmw.sip.listener import Listener
from cmw.sip.locate import Answer, AnswerKind, Ask, Located, Naptr, Question, RecordType, Srv, locate
from cmw.sip.location import Binding
from cmw.sip.lookup import Lookup
from cmw.sip.media_type import Disposition, MediaType, parse_disposition, parse_media_type
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
from cmw.sip.methods import ALLOW
from cmw.sip.multipart import BodyPart, parse_body
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.negotiated_audio import AudioChange, CommonFormat, NegotiatedAudio, find_changes
from cmw.sip.negotiator import Negotiator
from cmw.sip.offer_answer import make_offer, negotiate, read_answer
from cmw.sip.option_tags import Support
from cmw.sip.protection_spaces import AuthenticationCounts, ProtectionSpaces
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.register_answer import BoundContact, RegisterAnswer
from cmw.sip.registrar import Registrar
from cmw.sip.registrar_events import (
    RegistrarDiscarded,
    RegistrarDiscardReason,
    RegistrarEvent,
    UserRegistered,
    UserUnregistered,
)
from cmw.sip.registration_snapshot import RegistrationFigures, RegistrationSnapshot, RegistrationState
from cmw.sip.replaces import Replaces, parse_replaces
from cmw.sip.retry_after import RetryAfter, parse_retry_after
from cmw.sip.retry_policy import RetryPolicy
from cmw.sip.sdp import (
    Attributes,
    Connection,
    MediaDescription,
    Origin,
    SessionDescription,
    find_bandwidth,
    serialize_sdp,
)
from cmw.sip.sdp_attributes import (
    Candidate,
    Crypto,
    Direction,
    Fingerprint,
    Group,
    parse_candidate,
    parse_crypto,
    parse_fingerprint,
    parse_group,
    parse_setup,
)
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import SdpWarning, SessionRefusedError, serialize_warnings, warning_rows
from cmw.sip.session_timer import Refresher, SessionTimerChoice
from cmw.sip.shared_socket import SharedSocket
from cmw.sip.status import reason_phrase
from cmw.sip.stream import MessageReceived as StreamMessageReceived
from cmw.sip.stream import (
    MessageStream,
    PingReceived,
    PongReceived,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamFault,
    StreamOpened,
)
from cmw.sip.tel_uri import OtherUri, TelUri, is_same_uri, parse_any_uri, parse_tel_uri
from cmw.sip.timing import Timer, Timing
from cmw.sip.transfer import ReferTo, parse_refer_to
from cmw.sip.uri import SipUri, escape, parse_uri, unescape
from cmw.sip.user_agent import UserAgent
from cmw.sip.via import Via, parse_via

__all__ = [
    "ALGORITHMS",
    "ALLOW",
    "MILLISECOND",
    "PCMA",
    "PCMU",
    "SECOND",
    "Account",
    "Address",
    "Answer",
    "AnswerKind",
    "Ask",
    "Attempt",
    "Attributes",
    "AudioChange",
    "AudioCodec",
    "AudioPolicy",
    "Authentication",
    "AuthenticationCounts",
    "AuthenticationInfo",
    "Binding",
    "BodyPart",
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
    "Candidate",
    "Challenge",
    "CmwError",
    "CommonFormat",
    "Connection",
    "Credentials",
    "Crypto",
    "Datagram",
    "DatagramDiscarded",
    "Deadline",
    "DigestResult",
    "DigestSession",
    "DigestStatus",
    "DigestVerifier",
    "Direction",
    "DiscardReason",
    "Disposition",
    "DtmfDigit",
    "Ending",
    "Event",
    "Fingerprint",
    "Follow",
    "Group",
    "Headers",
    "Hop",
    "Identity",
    "Ids",
    "InfoReceived",
    "Keying",
    "Listener",
    "LocalProtocolError",
    "Located",
    "Lookup",
    "LossCause",
    "MalformedMessageError",
    "MediaDescription",
    "MediaType",
    "MessageReceived",
    "MessageStream",
    "NameAddr",
    "Naptr",
    "NegotiatedAudio",
    "Negotiator",
    "NotifyReceived",
    "Origin",
    "OtherUri",
    "Params",
    "PingReceived",
    "PongReceived",
    "ProtectionSpaces",
    "Question",
    "RecordType",
    "RedirectPolicy",
    "ReferTo",
    "Refresher",
    "RegisterAnswer",
    "Registrar",
    "RegistrarDiscardReason",
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
    "RemoteProtocolError",
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
    "SharedSocket",
    "SipUri",
    "Srv",
    "StreamEnded",
    "StreamEvent",
    "StreamFailed",
    "StreamFault",
    "StreamMessageReceived",
    "StreamOpened",
    "Support",
    "TelUri",
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
    "canonical_name",
    "choose_challenges",
    "escape",
    "find_bandwidth",
    "find_changes",
    "format_date",
    "is_same_uri",
    "locate",
    "make_dtmf_info",
    "make_ha1",
    "make_offer",
    "make_response",
    "negotiate",
    "parse_any_uri",
    "parse_authentication_info",
    "parse_body",
    "parse_candidate",
    "parse_challenges",
    "parse_crypto",
    "parse_cseq",
    "parse_date",
    "parse_disposition",
    "parse_fingerprint",
    "parse_group",
    "parse_media_type",
    "parse_message",
    "parse_name_addr",
    "parse_refer_to",
    "parse_replaces",
    "parse_retry_after",
    "parse_sdp",
    "parse_setup",
    "parse_tel_uri",
    "parse_uri",
    "parse_via",
    "read_answer",
    "read_dtmf_info",
    "read_identity",
    "reason_phrase",
    "serialize_authentication_info",
    "serialize_challenge",
    "serialize_message",
    "serialize_sdp",
    "serialize_warnings",
    "unescape",
    "warning_rows",
]
