"""SIP as a library without I/O: values, transactions, dialogs, registrations and calls. Standard library only."""

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
from cmw.sip.status import reason_phrase
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.via import Via, parse_via

__all__ = [
    "CSeq",
    "Headers",
    "MalformedMessageError",
    "NameAddr",
    "Params",
    "Request",
    "Response",
    "SipUri",
    "Via",
    "make_response",
    "parse_cseq",
    "parse_message",
    "parse_name_addr",
    "parse_uri",
    "parse_via",
    "reason_phrase",
    "serialize_message",
]
