"""SIP as a library without I/O: values, transactions, dialogs, registrations and calls. Standard library only."""

from cmw.sip.digest import Challenge, Credentials, authorize, choose_challenges, parse_challenges
from cmw.sip.digest_verifier import DigestResult, DigestStatus, DigestVerifier
from cmw.sip.grammar import Params
from cmw.sip.headers import Headers
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
from cmw.sip.offer_answer import PCMA, PCMU, AudioCodec, Direction, NegotiatedAudio, make_offer, negotiate, read_answer
from cmw.sip.sdp import MediaDescription, SessionDescription, parse_sdp, serialize_sdp
from cmw.sip.status import reason_phrase
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.via import Via, parse_via

__all__ = [
    "PCMA",
    "PCMU",
    "AudioCodec",
    "CSeq",
    "Challenge",
    "Credentials",
    "DigestResult",
    "DigestStatus",
    "DigestVerifier",
    "Direction",
    "Headers",
    "MalformedMessageError",
    "MediaDescription",
    "NameAddr",
    "NegotiatedAudio",
    "Params",
    "Request",
    "Response",
    "SessionDescription",
    "SipUri",
    "Via",
    "authorize",
    "choose_challenges",
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
    "reason_phrase",
    "serialize_message",
    "serialize_sdp",
]
